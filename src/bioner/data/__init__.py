"""The contracts between stages: tags, instances, predictions and raw outputs, checked when read."""
