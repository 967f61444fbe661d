"""Before, around and after a run: plan, doctor, status, Slurm, profiles."""
