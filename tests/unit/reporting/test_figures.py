"""What each figure shows: its marks, its words, what it leaves out; nothing where there is nothing
to show.
"""

import math
import re
from collections import Counter

import polars as pl
import pytest
from lxml import etree

from bioner.reporting.figures import figures
from bioner.reporting.figures.curves import learning_curves
from bioner.reporting.figures.forest import all_pairs, differences
from bioner.reporting.figures.lengths import by_length
from bioner.reporting.figures.paper import against_paper
from bioner.reporting.figures.plot_data import families_of
from bioner.reporting.figures.reliability import reliability
from bioner.reporting.figures.speed import pareto, speed_against_f1
from bioner.reporting.figures.styles import assign_styles
from bioner.reporting.page import PageFigure
from tests.unit.comparison.compared import explored, untested
from tests.unit.reporting import figure_tables as made
from tests.unit.reporting.test_significance import comparison, judged

LOOKS = assign_styles(families_of(made.strict()))
PAGE = figures(
    made.strict(),
    made.paper_scoring(),
    made.time(),
    made.significance(),
    made.histories(),
    made.bins(),
    families={},
)


def marks(figure: PageFigure | None) -> Counter:
    """How many of each kind of mark a figure has, counted one by one.

    Markers are points, whatever line they stand on; the line that joins points is a line.
    """
    assert figure is not None
    found: Counter = Counter()
    for group in etree.fromstring(figure.svg).xpath("//*[@data-mark]"):
        kind = group.get("data-mark")
        drawn = len(group.findall("{*}path[@d]") + group.findall("{*}text"))
        found["line" if kind == "point" else kind] += drawn
        found["point"] += len(list(group.iter("{*}use")))
    return +found


def words(figure: PageFigure | None) -> list[str]:
    """The texts that are to be seen, in the order of the drawing."""
    assert figure is not None
    return [
        text
        for text in etree.fromstring(figure.svg).xpath("//*[local-name()='text']//text()")
        if text.strip()
    ]


def places(figure: PageFigure | None) -> list[tuple[float, float]]:
    """Where its points stand, in the order of the drawing: to the right and upwards."""
    assert figure is not None
    uses = etree.fromstring(figure.svg).xpath("//*[@data-mark]//*[local-name()='use']")
    return [(float(use.get("x")), -float(use.get("y"))) for use in uses]


def lines(figure: PageFigure | None, kind: str) -> list[list[tuple[float, float]]]:
    """Where the lines of a kind go: to the right and upwards."""
    assert figure is not None
    paths = etree.fromstring(figure.svg).xpath(f"//*[@data-mark='{kind}']/*[local-name()='path']")
    return [
        [(float(x), -float(y)) for x, y in re.findall(r"[ML] (\S+) (\S+)", path.get("d"))]
        for path in paths
    ]


def test_a_run_of_all_has_all_seven_and_each_is_small():
    names = [figure.name for figure in PAGE]
    assert names == [
        *("differences", "all-pairs", "f1-by-length", "speed-against-f1"),
        *("against-paper", "learning-curves", "reliability"),
    ]
    assert all(len(figure.svg.encode()) < 150_000 for figure in PAGE)
    assert all(figure.title and figure.caption and figure.alt for figure in PAGE)


def test_nothing_to_show_is_no_figure():
    empty = pl.DataFrame()
    assert figures(empty, empty, empty, empty, empty, empty, {}) == []
    bare = [
        table.clear()
        for table in (made.strict(), made.paper_scoring(), made.time(), made.significance())
    ]
    assert figures(*bare, made.histories().clear(), made.bins().clear(), {}) == []
    controls = made.strict().filter(pl.col("model").is_in(["oracle", "all-o"]))
    assert by_length(controls, LOOKS) is None


def test_tables_read_back_from_files_give_the_same_figures(tmp_path):
    tables = [
        made.strict(),
        made.paper_scoring(),
        made.time(),
        made.significance(),
        made.histories(),
        made.bins(),
    ]
    again = []
    for number, table in enumerate(tables):
        table.write_csv(tmp_path / f"{number}.csv")
        again.append(pl.read_csv(tmp_path / f"{number}.csv"))
    assert figures(*again, {}) == PAGE


def test_every_model_has_its_f1_and_interval_in_every_length():
    trained = made.strict().filter(~pl.col("model").is_in(list(made.CONTROLS)))
    # Five datasets, three lengths, six models in one decoding each.
    assert marks(by_length(trained, LOOKS)) == Counter(point=90, interval=90, line=30)
    figure = by_length(trained, LOOKS)
    # Constrained decoding is the headline: the paper's 88.56 and 1.
    assert (
        "JNLPBA, best by length: 1: mistral-7b 67.3, 2: mistral-7b 89.6, 3+: llama-8b 73.0."
        in figure.alt
    )


def test_a_point_stands_at_its_length_as_high_as_its_f1():
    scores = {"1": 80.0, "2": 90.0, "3+": 60.0}
    rows = [made.score("BC5CDR", "m", "direct", length, f1) for length, f1 in scores.items()]
    one, two, three = places(by_length(pl.DataFrame(rows), assign_styles({"m": "encoder"})))
    assert one[0] < two[0] < three[0]
    assert two[1] - one[1] == pytest.approx((one[1] - three[1]) / 2, abs=0.02)


def test_controls_are_there_unless_they_say_nothing_or_press_the_others_together():
    scores = {"oracle": (100.0, 100.0), "all-o": (0.0, 0.0), "bert-large-cased": (60.0, 80.0)}
    near, far = {"dictionary": (55.0, 70.0)}, {"dictionary": (40.0, 70.0)}
    figures = []
    for dictionary in (near, far):
        rows = [
            made.score("BC5CDR", model, "direct", length, f1)
            for model, values in (scores | dictionary).items()
            for length, f1 in zip(("1", "2"), values, strict=True)
        ]
        figures.append(by_length(pl.DataFrame(rows), LOOKS))
    # The encoder's intervals go from 58 to 82: a quarter of that on either side is from 52 to 88.
    assert [marks(figure)["point"] for figure in figures] == [4, 2]
    assert "off the scale: dictionary 40 to 70" in words(figures[1])


def test_lengths_stand_in_their_order_with_their_entities():
    rows = [
        made.score("BC5CDR", "m", "direct", length, 50.0) for length in ("10+", "2-9", "all", "1")
    ]
    figure = by_length(pl.DataFrame(rows), assign_styles({"m": "encoder"}))
    assert [word for word in words(figure) if word[0] in "12" and word[-1] in "19+"] == [
        "1",
        "2-9",
        "10+",
    ]
    assert words(figure).count("n = 1,000") == 3


def test_an_unknown_interval_is_not_drawn_and_an_unknown_f1_not_at_all():
    rows = [made.score("BC5CDR", "m", "direct", length, 50.0) for length in ("1", "2", "3+")]
    rows[0] |= {"f1_ci_low": None}
    rows[1] |= {"f1_ci_high": math.nan}
    rows[2] |= {"f1": math.nan}
    assert marks(by_length(pl.DataFrame(rows), assign_styles({"m": "encoder"}))) == Counter(
        point=2, line=1
    )


def test_a_length_of_too_few_entities_is_hollow_and_says_so():
    rows = [made.score("BC5CDR", "m", "direct", length, 50.0) for length in ("1", "2", "3+")]
    rows[2] |= {"f1_ci_low": None, "f1_ci_high": None, "no_interval": "5 gold entities"}
    figure = by_length(
        pl.DataFrame(rows, infer_schema_length=None), assign_styles({"m": "encoder"})
    )
    assert marks(figure) == Counter(point=3, interval=2, line=1)
    assert words(figure).count("no interval") == 1
    points = etree.fromstring(figure.svg).xpath("//*[@data-mark='point']//*[local-name()='use']")
    is_hollow = {float(point.get("x")): "fill-opacity: 0" in point.get("style") for point in points}
    assert [is_hollow[x] for x in sorted(is_hollow)] == [False, False, True]


def test_the_front_is_what_nobody_beats_in_both():
    # (2, 70) is beaten by (1, 70), (4, 75) by (3, 80), and (3, 79) by (3, 80).
    systems = [(4.0, 75.0), (3.0, 80.0), (1.0, 70.0), (2.0, 70.0), (3.0, 79.0), (9.0, 81.0)]
    frame = pl.DataFrame(systems, schema=["seconds_per_sample", "f1"], orient="row")
    assert pareto(frame).rows() == [(1, 70), (3, 80), (9, 81)]
    assert pareto(frame.clear()).is_empty()


def test_speed_is_that_of_the_best_batch_in_every_decoding():
    figure = speed_against_f1(made.strict(), made.time(), LOOKS)
    # Four encoders and two LLMs in two decodings.
    assert marks(figure) == Counter(point=5 * 8, interval=5 * 8, front=5)
    # The first encoder at batch 32: 0.01 / 4.
    assert "JNLPBA, Pareto front: bert-large-uncased 0.0025 s 70.9" in figure.alt
    assert "mistral-7b (constrained) 0.625 s 76.7" in figure.alt
    assert "Timed on a GPU in bf16." in figure.caption


def test_the_range_over_passes_is_a_line_along_the_seconds():
    seconds = pl.col("seconds_per_sample")
    spread = {"seconds_low": seconds * 0.9, "seconds_high": seconds * 1.2}
    figure = speed_against_f1(made.strict(), made.time().with_columns(**spread), LOOKS)
    assert marks(figure)["spread"] == 5 * 8


def test_the_slower_stands_to_the_right_and_times_by_the_fair_protocol_count_first():
    scores = [
        made.score("BC5CDR", model, "direct", "all", f1) for model, f1 in (("a", 70.0), ("b", 80.0))
    ]
    whose = {"dataset": "BC5CDR", "decoding": "direct", "precision": "bf16", "hardware": "H100"}
    times = [
        whose | {"model": model, "protocol": protocol, "seconds_per_sample": seconds}
        for model, protocol, seconds in (
            ("a", "fair", 0.4),
            ("a", "paper", 0.1),
            ("b", "paper", 0.2),
        )
    ]
    figure = speed_against_f1(
        pl.DataFrame(scores), pl.DataFrame(times), assign_styles(dict.fromkeys("ab", "encoder"))
    )
    assert "Pareto front: b 0.2 s 80.0." in figure.alt
    a, b = places(figure)
    assert b[0] < a[0] and a[1] < b[1]


def test_decodings_beside_the_headline_one_are_hollow():
    figure = speed_against_f1(made.strict(), made.time().filter(dataset="JNLPBA"), LOOKS)
    styles = [
        use.get("style")
        for use in etree.fromstring(figure.svg).xpath("//*[@data-mark='point']//*[@href]")
    ]
    assert sum("fill-opacity: 0" in style for style in styles) == 2  # free, of two LLMs
    assert len(styles) == 8


def test_times_of_two_machines_make_no_front():
    other = pl.when(pl.col("model").is_in(made.LLMS), pl.col("dataset") == "BioRED").then(
        pl.lit("another")
    )
    time = made.time().with_columns(hardware=other.otherwise("hardware"))
    figure = speed_against_f1(made.strict(), time, LOOKS)
    assert marks(figure)["front"] == 4
    assert "Times of BioRED are not from one machine" in figure.caption
    assert "Timed on a GPU in bf16 and another in bf16." in figure.caption


def test_all_claims_are_in_the_forest_and_exploration_if_it_can_be_read():
    figure = differences(made.significance(), LOOKS)
    # Two primary and two length claims per dataset; the 40 other pairs are a matrix.
    assert marks(figure) == Counter(point=20, interval=20, zero=20)
    assert "80 other comparisons: in significance.csv." in figure.caption  # 40 of recall
    few = made.significance().filter(pl.col("dataset").is_in(made.DATASETS[:2]))
    assert marks(differences(few, LOOKS))["point"] == 8 + 16
    assert all_pairs(few, LOOKS) is None


def test_more_pairs_than_can_be_read_with_intervals_are_all_in_a_matrix():
    table = made.significance().with_columns(
        verdict=pl.when(baseline_model="bert-large-cased", dataset="BC5CDR")
        .then(pl.lit("not tested (8 documents)"))
        .otherwise("verdict")
    )
    figure = all_pairs(table, LOOKS)
    assert marks(figure) == Counter(point=40)
    assert words(figure).count("−3.0") == 40
    assert {*made.DATASETS} <= {word.replace("- ", "-") for word in words(figure)} | {
        "Reddit-Impacts"
    }
    assert (
        "BC5CDR: llama-8b (constrained) − bert-large-cased −3.0 (−5.0 to −1.0), not tested (8"
        in (figure.alt)
    )


def test_points_stand_where_their_differences_are():
    values = (-4.0, 1.0, 3.5)
    rows = [
        made.difference("primary", f"d{value}", "llama-8b", "bert-large-cased", value)
        for value in values
    ]
    left, middle, right = (x for x, _ in places(differences(pl.DataFrame(rows), LOOKS)))
    assert left < middle < right
    assert middle - left == pytest.approx(2 * (right - middle), abs=0.05)


def test_exploration_is_of_the_decoding_that_an_llm_is_compared_by():
    rows = [
        made.difference(
            "exploratory", "BC5CDR", "llama-8b", "bert-large-cased", value, decoding=decoding
        )
        for decoding, value in (("free", 9.0), ("constrained", 1.0), ("free-paper", 8.0))
    ]
    figure = differences(pl.DataFrame(rows), LOOKS)
    assert marks(figure)["point"] == 1
    assert "llama-8b (constrained) − bert-large-cased +1.0" in figure.alt
    assert "2 other comparisons: in significance.csv." in figure.caption


@pytest.mark.parametrize(
    ("verdict", "hollow", "colour"),
    [
        ("higher", False, "#cc3d0a"),
        ("lower (below the margin; two seeds)", False, "#1f6fc4"),
        ("equivalent", False, "#808080"),
        ("inconclusive (one seed)", True, "#808080"),
        ("not tested (two seeds)", False, "#808080"),
        (None, False, "#808080"),
    ],
)
def test_verdicts_are_seen_in_the_marks(verdict, hollow, colour):
    row = made.difference("primary", "BC5CDR", "llama-8b", "bert-large-cased", 0.0, verdict=verdict)
    figure = differences(pl.DataFrame([row]), LOOKS)
    (style,) = (
        use.get("style")
        for use in etree.fromstring(figure.svg).xpath("//*[@data-mark='point']//*[@href]")
    )
    assert ("fill-opacity: 0" in style, colour in style) == (hollow, True)


def test_a_difference_without_an_interval_is_a_point():
    row = made.difference(
        "primary", "BC5CDR", "llama-8b", "bert-large-cased", 1.0, low=None, verdict="not tested"
    )
    figure = differences(pl.DataFrame([row]), LOOKS)
    assert marks(figure) == Counter(point=1, zero=1)
    assert "+1.0" in words(figure)


def test_seeds_are_lines_with_their_mean_and_the_kept_epoch_marked():
    figure = learning_curves(made.histories(), LOOKS)
    assert marks(figure) == Counter(seed=5 * 6 * 3, mean=5 * 6, point=5 * 6 * 3)
    # 80 - 30 / 8, plus 2 by the seed 44; the first model.
    assert "JNLPBA, bert-large-uncased: 3 seeds, best 78.2 after epoch 8 of 10." in figure.alt
    without = learning_curves(made.histories().drop("kept"), LOOKS)
    assert marks(without)["point"] == 0
    assert "kept" not in without.caption


def test_one_seed_has_no_mean_and_one_epoch_is_a_point():
    rows = made.histories().filter(seed=42, model="llama-8b", dataset="JNLPBA").drop("kept")
    assert marks(learning_curves(rows, LOOKS)) == Counter(seed=1)
    assert marks(learning_curves(rows.head(1), LOOKS)) == Counter(seed=1, point=1)


def test_the_kept_epoch_is_marked_at_its_own_f1():
    values = ((1, 1, 60.0, False), (1, 2, 70.0, True), (2, 1, 90.0, True), (2, 2, 80.0, False))
    names = ("seed", "epoch", "dev_strict_f1", "kept")
    rows = [{"dataset": "D", "model": "m"} | dict(zip(names, each, strict=True)) for each in values]
    first, second = sorted(
        places(learning_curves(pl.DataFrame(rows), assign_styles({"m": "encoder"})))
    )
    assert first[1] > second[1], "90 after epoch 1 of the one seed, 70 after epoch 2 of the other"


def test_the_mean_goes_as_far_as_all_went():
    values = ((1, 1, 10.0), (1, 2, 20.0), (1, 3, 30.0), (2, 1, 20.0), (2, 2, 40.0))
    rows = [
        {"dataset": "D", "model": "m", "seed": seed, "epoch": epoch, "dev_strict_f1": f1}
        for seed, epoch, f1 in values
    ]
    figure = learning_curves(pl.DataFrame(rows), assign_styles({"m": "encoder"}))
    (mean,), (one, other) = lines(figure, "mean"), lines(figure, "seed")
    assert [x for x, _ in mean] == [x for x, _ in other] == [x for x, _ in one[:2]]
    for place, (_, y) in enumerate(mean):
        assert y == pytest.approx((one[place][1] + other[place][1]) / 2, abs=0.02)


def test_reliability_has_a_diagonal_and_the_error_beside_it():
    bins = pl.DataFrame(
        {
            "dataset": "BC5CDR",
            "model": "llama-8b",
            "decoding": "constrained",
            "seed": [1, 1, 2, 2],
            "bin": [0, 1, 0, 1],
            "confidence": [0.84, 0.95, 0.86, 0.95],
            "accuracy": [0.84, 0.91, 0.66, 0.89],
            "count": [4, 10, 4, 10],
        }
    )
    figure = reliability(bins, LOOKS)
    # Of one seed 10/14 of 0.04, of the other 4/14 of 0.2 and 10/14 of 0.06: 0.0286 and 0.1.
    assert "ECE 0.064" in words(figure)
    assert marks(figure) == Counter(diagonal=1, line=1, point=2)
    styles = [
        use.get("style")
        for use in etree.fromstring(figure.svg).xpath("//*[@data-mark='point']//*[@href]")
    ]
    assert ["fill-opacity: 0" in style for style in styles] == [
        False,
        True,
    ]  # eight entities are few
    assert marks(reliability(made.bins(), LOOKS))["diagonal"] == 5
    few, many = reversed(places(figure))  # 0.85 → 0.75 and 0.95 → 0.9, of a square
    assert (many[1] - few[1]) / (many[0] - few[0]) == pytest.approx(1.5, abs=0.01)


THREE_SEEDS = {"scheme": "strict", "seeds": 3, "f1_std": 0.4}  # a run lies within 2 points


def test_ours_against_the_paper_s_where_both_are_of_the_same_data():
    figure = against_paper(made.paper_scoring(), LOOKS)
    # Four datasets (not ChemProt), six models, strict and relaxed; free decoding, which is the
    # paper's.
    assert marks(figure) == Counter(point=48, interval=48, identity=2)
    assert "24 cells, 0 with the paper's number outside the range of a single run." in figure.alt


def test_the_paper_s_f1_is_to_the_right_and_ours_upwards():
    rows = [
        made.score(name, "llama-8b", "free", "all", f1, paper) | THREE_SEEDS
        for name, f1, paper in (("A", 80.0, 70.0), ("B", 81.0, 90.0))
    ]
    one, other = places(against_paper(pl.DataFrame(rows), LOOKS))
    assert (other[1] - one[1]) / (other[0] - one[0]) == pytest.approx(1 / 20, abs=0.001)


def test_what_lies_off_is_numbered_and_named_the_furthest_first():
    rows = [
        made.score("BC5CDR", "llama-8b", "free", "all", 80.0, paper=90.0) | THREE_SEEDS,
        made.score("JNLPBA", "llama-8b", "free", "all", 78.0, paper=75.0) | THREE_SEEDS,
        made.score("JNLPBA", "bert-large-cased", "direct", "all", 71.0, paper=70.0) | THREE_SEEDS,
        made.score("BioRED", "llama-8b", "free", "all", 71.0, paper=90.0) | {"scheme": "strict"},
    ]
    figure = against_paper(pl.DataFrame(rows), LOOKS)
    assert marks(figure)["number"] == 2
    assert [word for word in words(figure) if "→" in word] == [
        "1  BC5CDR, llama-8b: 90.0 → 80.0",
        "2  JNLPBA, llama-8b: 75.0 → 78.0",
    ]


def test_the_forest_is_of_what_significance_says():
    table = judged(
        comparison(difference=-3.0),
        comparison(stratum="3+", make=untested, reason="20 gold entities"),
        comparison(stratum="3+ - 1", p=0.5),
        comparison(pair=("other", "llm"), difference=2.5, make=explored),
        comparison(pair=("other", "llm"), difference=2.5, label="Chemical", make=explored),
    )
    figure = differences(table, assign_styles({"enc": "encoder", "other": "encoder", "llm": "llm"}))
    assert (
        figure.alt
        == "Best LLM against best encoder: strict F1 overall: d1: llm (constrained) − enc +3.0 (0.8"
        " to 5.2), higher. Best LLM against best encoder: strict F1, length 3+: d1: llm"
        " (constrained) − enc +2.0, not tested (20 gold entities). Length claim: strict F1, lengths"
        " 3+ minus 1: d1: llm (constrained) − enc +2.0 (−4.1 to 8.1), inconclusive. Exploratory:"
        " LLM against encoder, strict F1 overall: d1: llm (constrained) − other −2.5 (−5.0 to"
        " −0.0), lower."
    )
