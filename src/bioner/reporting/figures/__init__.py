"""The report's plots: functions from its tables to SVG inside the page."""

from collections.abc import Mapping

import polars as pl

from bioner.reporting.figures.curves import learning_curves
from bioner.reporting.figures.forest import all_pairs, differences
from bioner.reporting.figures.lengths import by_length
from bioner.reporting.figures.paper import against_paper
from bioner.reporting.figures.plot_data import families_of
from bioner.reporting.figures.reliability import reliability
from bioner.reporting.figures.speed import speed_against_f1
from bioner.reporting.figures.styles import assign_styles
from bioner.reporting.page import PageFigure


def figures(
    strict: pl.DataFrame,
    paper_scoring: pl.DataFrame,
    time: pl.DataFrame,
    significance: pl.DataFrame,
    histories: pl.DataFrame,
    bins: pl.DataFrame,
    families: Mapping[str, str],
) -> list[PageFigure]:
    """Draw all figures that have data; a model looks the same in each.

    Args:
        histories: see `learning_curves`.
        bins: see `reliability`.
        families: the catalogue's, by model; others are guessed.
    """
    known = families_of(strict, paper_scoring, time, significance, histories, bins)
    styles = assign_styles({model: families.get(model, family) for model, family in known.items()})
    drawn = (
        differences(significance, styles),
        all_pairs(significance, styles),
        by_length(strict, styles),
        speed_against_f1(strict, time, styles),
        against_paper(paper_scoring, styles),
        learning_curves(histories, styles),
        reliability(bins, styles),
    )
    return [figure for figure in drawn if figure is not None]
