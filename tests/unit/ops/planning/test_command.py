"""`bioner plan` as users see it: a table, totals and notes, or one line and an exit code."""

from pathlib import Path

import polars as pl
import pytest
import yaml
from typer.testing import CliRunner

from bioner.cli import app
from bioner.errors import InputError
from bioner.io.tables import read_table
from bioner.ops.planning.format import text_of
from bioner.ops.planning.plan import BOUNDS, PLAN, plan
from bioner.settings.config import Prices, merged
from bioner.settings.repository import REPOSITORY
from tests.unit.ops.planning.matrices import LARGE, SMALL, THOUSAND, matrix

LINES = """\
| model      | jobs | done | hours of | search | train | predict | time  | expected | range      | at most | basis     |
|------------|------|------|----------|--------|-------|---------|-------|----------|------------|---------|-----------|
| dictionary | 4    | 0    | CPU jobs |        |       | 0.00084 |       | 0.00084  |            | 0.00084 |           |
| small      | 11   | 0    | GPUs     |        | 0.31  | 0.039   | 0.018 | 0.36     |            | 0.64    | estimated |
| large      | 14   | 0    | GPUs     |        | 1.3   | 0.56    | 0.32  | 2.2      | 1.2 to 4.1 | 4.1     | estimated |
| (no model) | 5    | 0    | CPU jobs |        |       |         |       |          |            |         |           |
| total      | 34   | 0    | GPUs     |        | 1.6   | 0.59    | 0.34  | 2.5      | 1.5 to 4.5 | 4.8     | estimated |
""".splitlines()  # noqa: E501


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BIONER_MIRROR", raising=False)
    return tmp_path


def run(*arguments: object, **settings: object):
    """Run the command, with an overlay of these settings, if any."""
    options = list(map(str, arguments))
    if settings:
        Path("mine.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
        options += ["--config", "mine.yaml"]
    return CliRunner().invoke(app, ["plan", *options])


def test_the_table_has_a_row_a_model_and_a_total():
    # The hours are test_plan's: small 1,100 + 140 + 66 s; large 4,600 + 2,000 + 1,160 s, all but
    # 700 s of starts half or twice as long.
    timing = {"sentences": 50, "repeats": 3, "batch_sizes": [1, 16]}
    found = plan(
        matrix(
            {"small": SMALL, "large": merged(LARGE, {"cost_estimates": {"spread": 2}})},
            timing=timing,
        ),
        {"demo": THOUSAND},
        lambda path: False,
    )
    text = text_of(found, Prices(gpu_hour=3, currency="EUR"))
    assert text.splitlines()[: len(LINES)] == LINES
    assert "GPUs: 2.5 GPU-hours expected (1.5 to 4.5), 4.8 at most." in text
    # 9,066 s at 3 an hour.
    assert "Money: 7.6 EUR expected (4.6 to 13.4), 14.3 at most." in text
    assert "Money" not in text_of(found, Prices(currency="EUR"))
    assert "Money" not in text_of(found, Prices())


@pytest.mark.parametrize("threads", [1, 4])
def test_a_machine_without_gpu_is_paid_by_its_hours_whatever_threads_its_jobs_have(threads):
    alone = {
        "resources": {"gpus": 0, "predict_gpus": 0, "threads": threads},
        "cost_estimates": {"device": "CPU"},
    }
    found = plan(matrix({"small": merged(SMALL, alone)}), {"demo": THOUSAND}, lambda path: False)
    seconds = found.machine_hours.expected * 3600
    assert seconds > 1100  # its training alone, as in test_plan
    text = text_of(found, Prices(cpu_hour=3600, currency="EUR"))
    assert f"Money: {seconds:,.0f} EUR expected" in text


def test_the_paper_s_matrix_is_planned_without_a_file_of_it(here):
    done = run("--out", "plan.csv")
    assert done.exit_code == 0
    assert (
        "1,098 to come (5 fetch, 5 normalize, 6 download_model, 260 trial, 30 search, 90 train,"
        in done.stdout
    )
    assert (
        "Planned, and left out by a run while their files are not at hand: Reddit-Impacts."
        in done.stdout
    )
    assert "Not normalized yet, sentences as the paper's Table I: Reddit-Impacts." in done.stdout
    table = read_table(here / "plan.csv", PLAN)
    assert table["jobs"].sum() == 1098
    assert not table["not_stated"].sum(), "every model of the paper's matrix states its costs"
    assert set(table["basis"].drop_nulls()) == {"estimated"}
    low, expected, high, most = (f"{table[f'gpu_hours_{name}'].sum():.0f}" for name in BOUNDS)
    documented = (REPOSITORY / "docs" / "performance.md").read_text(encoding="utf-8")
    assert f"| **{expected}** | {low} to {high} | {most} |" in documented
    again = run("--out", "again.csv")
    assert again.stdout == done.stdout
    assert (here / "again.csv").read_bytes() == (here / "plan.csv").read_bytes()


def test_more_gpu_hours_than_the_limit_end_with_1_and_fewer_with_0(here):
    over = run("--limit", 50)
    assert over.exit_code == 1
    assert over.stderr.count("\n") == 1
    assert over.stderr.startswith("bioner: --limit: ") and over.stderr.endswith(
        "that is more than 50.\n"
    )
    assert "| total" in over.stdout, "the plan is shown all the same"
    assert run("--limit", 5000).exit_code == 0
    assert run("--limit", 0, models=["oracle"]).exit_code == 0, "no GPU, no hours"


def test_a_limit_is_held_against_the_hours_expected_and_money_is_told_at_the_configured_price(here):
    small = {"models": ["bert-large-cased"], "datasets": ["BC5CDR"]}
    assert "Money" not in run("--out", "plan.csv", **small).stdout
    table = read_table(here / "plan.csv", PLAN)
    low, expected, high, most = (table[f"gpu_hours_{name}"].sum() for name in BOUNDS)
    assert most > 1.2 * expected
    assert run("--limit", 1.1 * expected, **small).exit_code == 0
    assert run("--limit", 0.9 * expected, **small).exit_code == 1
    priced = run(**small, prices={"gpu_hour": 1000, "currency": "EUR"}).stdout
    low, expected, high, most = (f"{1000 * hours:,.0f}" for hours in (low, expected, high, most))
    assert f"Money: {expected} EUR expected ({low} to {high}), {most} at most." in priced


def test_a_limit_says_what_it_is_blind_to(here):
    done = run("--limit", 10, models=["bert-small"], datasets=["demo"])
    assert done.exit_code == 0
    assert done.stderr == "bioner: --limit: nothing is known of the hours of bert-small.\n"


def test_models_that_state_no_costs_make_totals_lower_bounds(here):
    done = run("--config", REPOSITORY / "config" / "quick.yaml")
    assert done.exit_code == 0
    assert (
        "No costs are stated for bert-small, smollm2-135m, or for another device than their jobs"
        " take" in done.stdout
    )
    assert "CPUs of jobs without GPU: at least " in done.stdout
    assert "| bert-small   | 11   | 0    | CPU jobs |        | not stated |" in done.stdout


def test_a_corpus_of_unknown_size_is_named(here):
    splits = {split: f"/data/{split}.txt" for split in ("train", "dev", "test")}
    done = run(
        datasets=["mine"],
        models=["minilm"],
        dataset_overrides={"mine": {"format": "conll", "splits": splits}},
    )
    assert done.exit_code == 0
    assert (
        "Of unknown size until they are normalized (`snakemake data`), and in no hours: mine."
        in done.stdout
    )


def test_statistics_may_lie_elsewhere(here):
    folder = here / "elsewhere" / "demo"
    folder.mkdir(parents=True)
    rows = [
        (split, what, 260) for split in ("train", "dev", "test") for what in ("instances", "tokens")
    ]
    pl.DataFrame(
        [("demo", split, what, "all", value) for split, what, value in rows],
        schema=["dataset", "split", "statistic", "stratum", "value"],
        orient="row",
    ).write_csv(folder / "stats.csv")
    done = run("--data", "elsewhere", datasets=["demo"], models=["minilm"])
    assert done.exit_code == 0
    assert "Not normalized yet" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["--data", "nowhere"], "nowhere: found no such folder"),
        (["--gpus", "1"], "--gpus: found 1; expected at least 2"),
        (["--out", "plan.csv.gz"], "a compressed table"),
        (["--config", "nowhere.yaml"], "nowhere.yaml"),
    ],
)
def test_bad_input_is_an_error(here, arguments, found):
    done = run(*arguments)
    assert isinstance(done.exception, InputError)
    assert found in str(done.exception)
    assert not list(here.iterdir())


@pytest.mark.parametrize("limit", ["nan", "-1", "many"])
def test_a_limit_that_limits_nothing_is_an_error(here, limit):
    assert run("--limit", limit).exit_code == 2
