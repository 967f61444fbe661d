"""How far a run is, read only from its folders: neither Snakemake nor Slurm is asked."""
