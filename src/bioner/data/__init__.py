"""The contracts between stages: tags, instances, predictions and raw outputs, checked whenever they
are read.
"""
