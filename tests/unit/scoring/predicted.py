"""Predictions from tags as words."""

from bioner.data.instances import Prediction


def predicted(*sentences: str) -> list[Prediction]:
    """Predictions for the instances s1, s2, …"""
    return [Prediction(f"s{number}", tags.split()) for number, tags in enumerate(sentences, 1)]
