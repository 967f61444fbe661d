"""What a run needs of a machine, looked at before it is needed: a file a subject, `checks` puts
them together.
"""
