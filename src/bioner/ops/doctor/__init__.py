"""What a run needs of a machine, checked beforehand; `checks` lists all checks."""
