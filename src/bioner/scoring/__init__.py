"""Scores of predictions against gold, in the long form of the data contract."""
