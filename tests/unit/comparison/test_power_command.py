"""`bioner power` says before training what the comparison afterwards says it could have shown."""

import numpy as np
import polars as pl
import pytest
from scipy import stats
from typer.testing import CliRunner

from bioner.cli import app
from bioner.comparison.compare import compare_counts
from bioner.comparison.components import difference_of, scores_of
from bioner.comparison.counts import OVERALL, SystemCounts
from bioner.comparison.measures import Scores, measures_of
from bioner.comparison.power import (
    SeedVariance,
    disagreement_of_runs,
    disagreement_of_share,
    pilot_of,
    power_table,
    precision_of,
)
from bioner.data.instances import Instance, Prediction, write_instances, write_predictions
from bioner.errors import InputError
from bioner.io.tables import write_table

F1 = Scores(OVERALL, measures_of(OVERALL)[:1])


def power(*arguments) -> str:
    result = CliRunner().invoke(app, ["power", *map(str, arguments)])
    if result.exception:
        raise result.exception
    return result.output


def row_of(table: pl.DataFrame) -> dict:
    (row,) = table.iter_rows(named=True)
    return row


def study(draw, documents, seeds, deviation, lead=0.0, twin=False) -> list[SystemCounts]:
    """Two systems; the first finds `lead` points more. Twins share weights: seeds move both."""
    gold = draw.poisson(20, documents) + 1
    seed_effects = draw.normal(0, deviation / 100, (2, seeds))
    systems = []
    for place, name in enumerate(("a", "b")):
        share = 0.75 + (1 - place) * lead / 100 + draw.normal(0, 0.1, documents)
        moved = seed_effects[0 if twin else place]
        found = np.clip(share + moved[:, None], 0, 1) * gold
        same = np.broadcast_to(gold, found.shape)
        strict = np.stack([found, same, found, same], -1)
        runs = np.stack([strict, strict], 2)
        systems.append(SystemCounts("m" if twin else name, name, runs))
    return systems


def difference(systems):
    found = tuple(scores_of(system, F1) for system in systems)
    active = np.ones((systems[0].runs.shape[1], 1), bool)
    return difference_of(tuple(systems), found, active)


@pytest.mark.parametrize("twin", [False, True], ids=["separate", "shared weights"])
def test_the_smallest_difference_is_detected_in_80_percent_of_simulated_studies(twin):
    draw = np.random.default_rng(1)
    sides, deviation = (1, 0.0) if twin else (2, 1.0)
    pilot = disagreement_of_runs(*(system.runs for system in study(draw, 1000, 3, 0.0)))
    plan = power_table(60, 3, [pilot], [SeedVariance(deviation, sides)], 0.05)
    lead = row_of(plan)["smallest_difference"]
    # Twins' seeds scatter widely, but in the same way.
    found = [difference(study(draw, 60, 3, 5.0 if twin else 1.0, lead, twin)) for _ in range(400)]
    detected = np.mean([each.p[0] <= 0.05 and each.value[0] > 0 for each in found])
    assert detected == pytest.approx(0.8, abs=3 * np.sqrt(0.16 / 400))


def test_equal_systems_are_equivalent_within_the_smallest_margin_in_80_percent_of_studies():
    draw = np.random.default_rng(2)
    pilot = disagreement_of_runs(*(system.runs for system in study(draw, 1000, 3, 0.0)))
    margin = row_of(power_table(60, 3, [pilot], [SeedVariance(1.0, 2)], 0.05))["smallest_margin"]
    inside = []
    for _ in range(400):
        each = difference(study(draw, 60, 3, 1.0))
        half = stats.t.ppf(0.95, each.df[0]) * np.sqrt(each.variance[0])
        inside.append(abs(each.value[0]) + half < margin)
    assert np.mean(inside) == pytest.approx(0.8, abs=3 * np.sqrt(0.16 / 400))


def test_a_share_of_entities_and_a_stated_deviation_make_the_variance():
    disagreement = disagreement_of_share(8.0, 8000, 400, design_effect=2.0)
    assert disagreement.variance == pytest.approx(100**2 * 0.08 * 2 / 8000)
    row = row_of(power_table(400, 3, [disagreement], [SeedVariance(0.5, 2)], 0.05 / 14))
    seeds = 2 * 0.5**2 / 3
    median = seeds * 4 / stats.chi2.median(4)
    df = (disagreement.variance + median) ** 2 / (disagreement.variance**2 / 399 + median**2 / 4)
    error = np.sqrt(disagreement.variance + seeds)
    assert row["standard_error"] == pytest.approx(error)
    critical = stats.t.ppf(1 - 0.05 / 28, df)
    assert stats.nct.sf(critical, df, row["smallest_difference"] / error) == pytest.approx(0.8)


def test_a_pilot_says_before_what_its_comparison_says_afterwards():
    systems = study(np.random.default_rng(3), 50, 3, 1.0)
    table = compare_counts(systems, OVERALL).filter(measure="f1", stratum="all")
    disagreement, seeds = pilot_of(table.row(0, named=True))
    plan = row_of(power_table(50, 3, [disagreement], [seeds], 0.05))
    precision = precision_of(table)
    for name in ("smallest_difference", "smallest_margin"):
        # Afterwards the seeds of the two sides have degrees of freedom of their own.
        assert plan[name] == pytest.approx(getattr(precision, name)(np.array([0.05]))[0], rel=0.1)
        assert plan[f"{name}_low"] < plan[name] < plan[f"{name}_high"]
    assert plan["standard_error"] == pytest.approx(table["standard_error"][0])
    more = row_of(power_table(200, 12, [disagreement], [seeds], 0.05))
    assert more["standard_error"] == pytest.approx(plan["standard_error"] / 2)
    assert more["seed_deviation"] == plan["seed_deviation"]


@pytest.fixture
def files(tmp_path):
    """A test set, predictions of two systems, and a comparison of them under three seeds."""
    draw = np.random.default_rng(4)
    gold = [Instance(f"s{n}", f"s{n}", ["gout", "and"] * 5, ["B-D", "O"] * 5) for n in range(40)]
    write_instances(tmp_path / "gold.jsonl", gold)
    for name in "ab":
        run = [
            Prediction(each.id, [tag if draw.random() < 0.8 else "O" for tag in each.tags])
            for each in gold
        ]
        write_predictions(tmp_path / f"{name}.jsonl", run)
    systems = study(draw, 50, 3, 1.0)
    systems.append(SystemCounts("c", "c", study(draw, 50, 2, 1.0)[0].runs))
    write_table(tmp_path / "pilot.csv", compare_counts(systems, OVERALL, resamples=2000))
    return tmp_path


def test_predictions_a_pilot_or_a_range_say_how_much_the_systems_disagree(files):
    plan = ["--documents", 400, "--seeds", 3, "--out", files / "power.csv"]
    said = power(
        *plan, "--seed-deviation", 0.5, "--seed-deviation", 1, "--tests", 10,
        "--gold", files / "gold.jsonl", "--pred", files / "a.jsonl", "--versus", files / "b.jsonl",
    )  # fmt: skip
    assert "an error level of 0.005 in each of 10 tests" in said
    assert "low" not in said, "a stated deviation has no range"
    table = pl.read_csv(files / "power.csv")
    assert table.select("documents", "seeds", "seed_deviation", "level").rows() == [
        (400, 3, deviation, 0.005) for deviation in (0.5, 1)
    ]
    pilot = ["--comparison", files / "pilot.csv"]
    assert "smallest_margin_low" in power(*plan, *pilot, "--model=b", "--baseline-model=a")
    power(*plan, *pilot, "--model=c", "--baseline-model=a", "--seed-deviation=1")
    stated = ["--disagreement", 4, 8, "--entities", 8000, "--seed-deviation", 0.5]
    said = power(*plan, *stated)
    assert pl.read_csv(files / "power.csv")["disagreement"].to_list() == [4, 8]
    paired = power(*plan, *stated, "--paired-seeds")
    assert paired != said


def test_one_seed_per_system_is_about_these_weights():
    arguments = ["--documents", 400, "--disagreement", 4, 4, "--entities", 8000]
    said = power(*arguments, "--seeds", 1)
    assert said.endswith("they are about these weights, not about training.\n")
    row = row_of(
        power_table(400, 1, [disagreement_of_share(4, 8000, 400, 1)], [SeedVariance(0, 0)], 0.05)
    )
    normal = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
    assert row["smallest_difference"] == pytest.approx(row["standard_error"] * normal, rel=1e-3)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "no or several sources"),
        (["--gold", "gold.jsonl", "--comparison", "pilot.csv"], "no or several sources"),
        (["--gold", "gold.jsonl", "--pred", "a.jsonl"], "expected --pred and --versus with --gold"),
        (
            ["--gold", "gold.jsonl", "--pred", "a.jsonl", "--versus", "a.jsonl"],
            "systems that do not differ",
        ),
        (["--disagreement", "8", "4", "--entities", "9"], "expected 0 < from <= to <= 100"),
        (["--disagreement", "4", "8"], "--entities: found none"),
        (["--disagreement", "4", "8", "--entities", "9"], "--seed-deviation: found none"),
        (["--comparison", "pilot.csv"], "3 comparisons of this pair"),
        (
            ["--comparison", "pilot.csv", "--model", "c", "--baseline-model", "a"],
            "as many seeds, two or more, of both systems",
        ),
        (
            ["--comparison", "pilot.csv", "--pred", "a.jsonl"],
            "--pred: found no --gold; expected --gold with --pred",
        ),
        (
            ["--disagreement", "4", "8", "--entities", "9", "--baseline-model", "a"],
            "--baseline-model: found no --comparison",
        ),
        (
            ["--comparison", "pilot.csv", "--design-effect", "1"],
            "--design-effect: found no --disagreement",
        ),
    ],
)
def test_bad_input_is_one_sentence(files, monkeypatch, arguments, said):
    monkeypatch.chdir(files)
    with pytest.raises(InputError, match=said.replace("+", r"\+")):
        power("--documents", 400, "--seeds", 3, *arguments)
