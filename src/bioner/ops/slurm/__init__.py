"""What jobs ask of Slurm, and what an earlier run left in its queue."""
