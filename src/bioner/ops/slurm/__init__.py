"""What Slurm is asked for, and what an earlier run left in its queue."""
