"""What a run would take, before anything runs: jobs, hours, space and files, from configuration and
stated costs.
"""
