# Environment modules, an example: copy it, put in what `module avail` names, and `source` it before `make env` and before
# every `snakemake`. Python is all that is needed: CUDA's libraries come with torch, the driver is the node's.
module purge
module load Python/3.11.5-GCCcore-13.2.0
