"""How far a run is, told by what lies in its folders: nothing is asked of Snakemake or Slurm."""
