"""What a run would take: jobs, hours, disk space and files, from its matrix and stated costs."""
