"""Hours of jobs whose model has finished runs: in their cell, on another corpus, or elsewhere."""

import json

import polars as pl
import pytest

from bioner.inference.timing import TIMING
from bioner.ops.planning.hours import hours_of
from bioner.ops.planning.jobs import PlannedJob
from bioner.ops.planning.measured import read_measurements
from bioner.ops.planning.plan import plan
from bioner.ops.planning.sizes import Size
from bioner.settings.config import merged
from tests.unit.ops.planning.matrices import LARGE, SMALL, THOUSAND, matrix

H100 = "NVIDIA H100 80GB HBM3"
SIZES = {
    "demo": THOUSAND,
    "other": Size({"train": 2000, "dev": 1000, "test": 1000}, 52.0, "counted"),
}
TRAIN = PlannedJob("train", "demo", "m", 43)
PREDICT = PlannedJob("predict", "demo", "m", 43, "constrained")
ON_CPU = merged(
    SMALL,
    {
        "resources": {"gpus": 0, "predict_gpus": 0, "threads": 2},
        "cost_estimates": {"device": "CPU"},
    },
)


@pytest.fixture
def results(tmp_path):
    return tmp_path / "results"


def write(folder, entry, **said):
    """Write the run.json of a run with this entry."""
    folder.mkdir(parents=True, exist_ok=True)
    record = {"seed": 42, "cpu": "Xeon", "gpus": [H100] * 2, "ended": "2026-12-01T10:00:00+00:00"}
    settings = matrix({"m": entry}).models["m"].canonical()
    (folder / "run.json").write_text(json.dumps(record | {"settings": settings} | said))


def trained(results, entry, seconds, epochs=10, dataset="demo", run="seed42", **said):
    """Write what a training of so many epochs leaves."""
    folder = results / dataset / "m" / run
    write(folder, entry, wall_seconds=seconds, **said)
    (folder / "history.csv").write_text(f"epoch,step\n1.0,100\n{epochs},1000\n")


def timed(
    results,
    *rows,
    dataset="demo",
    precision="fp32",
    hardware=H100,
    others=None,
    seed=42,
    protocol="fair",
):
    """Write the timings of a seed: decoding, batch size and seconds per sentence."""
    table = pl.DataFrame(
        [
            {
                **{"dataset": dataset, "model": "m", "family": "llm", "seed": seed, "batch": batch},
                **{"protocol": protocol, "precision": precision, "decoding": decoding},
                **{"hardware": hardware, "others_on_gpu": others, "seconds_per_sample": seconds},
            }
            for decoding, batch, seconds in rows
        ],
        schema=TIMING,
    )
    (results / dataset / "m").mkdir(parents=True, exist_ok=True)
    table.write_csv(results / dataset / "m" / "timing.csv")


def hours(results, entry, job, **settings):
    both = matrix({"m": entry}, **settings)
    return hours_of(both, job, SIZES, read_measurements(both, results, SIZES))


def test_another_seed_measures_a_training(results):
    # Ten epochs are stated with 1,000 s after the start, and took 500: ten more take 100 + 500, all
    # twenty 100 + 1,000, without a range.
    trained(results, SMALL, 500)
    found = hours(results, merged(SMALL, {"cost_estimates": {"spread": 2}}), TRAIN)
    assert (found.low, found.high) == (found.expected, found.expected)
    assert found.expected * 3600 == pytest.approx(600)
    assert found.most * 3600 == pytest.approx(1100)
    assert {path.name for path in found.measured_by} == {"run.json"}


def test_of_several_runs_the_median_counts(results):
    for run, seconds in enumerate((100, 500, 9000)):
        trained(results, SMALL, seconds, run=f"seed{run}")
    assert hours(results, SMALL, TRAIN).expected * 3600 == pytest.approx(600)


def test_trials_with_other_batch_sizes_are_scaled_by_the_stated_cost_of_a_step(results):
    # Batches of 5 state 150 s an epoch, and took 300; of 20 they state 75, and will take 150.
    entry = SMALL | {"search_space": {"batch_size": [5, 20]}}
    searched = merged(entry, {"train": {"batch_size": 5}})
    trained(results, searched, 300 * 4, epochs=4, run="trials/batch5")
    found = hours(results, entry, PlannedJob("trial", "demo", "m", trial="batch20"))
    assert found.expected * 3600 == pytest.approx(100 + 10 * 150)


def test_seconds_of_a_training_on_two_gpus_are_summed(results):
    # Stated: 4 x (1,000 + 100) = 4,400 GPU-seconds; it took 1,100 s on two GPUs, half of that.
    trained(results, LARGE, 1100, epochs=4)
    found = hours(results, LARGE, TRAIN)
    assert found.expected * 3600 == pytest.approx((200 + 2200) / 2)


def test_runs_of_the_same_corpus_precede_others_and_others_precede_estimates(results):
    # On the other corpus an epoch is 100 + 160 + 40 s; stated for ten epochs: 3,000 s.
    estimated = hours(results, SMALL, TRAIN).expected
    trained(results, SMALL, 6000, dataset="other", run="seed1")
    of_other = hours(results, SMALL, TRAIN)
    assert of_other.expected * 3600 == pytest.approx(100 + 2 * 1000)
    trained(results, SMALL, 3000)
    assert hours(results, SMALL, TRAIN).expected * 3600 == pytest.approx(100 + 3 * 1000)
    assert estimated < of_other.expected


def test_a_model_without_stated_costs_is_planned_by_its_runs(results):
    unknown = merged(SMALL, {"cost_estimates": None})
    trained(results, unknown, 700)
    assert hours(results, unknown, TRAIN).expected * 3600 == pytest.approx(700)
    assert hours(results, unknown, PlannedJob("predict", "demo", "m", 43, "direct")) is None


@pytest.mark.parametrize(
    ("said", "is_measured"),
    [
        ({"gpus": ["NVIDIA A100-SXM4-40GB"], "ended": "2026-12-02T10:00:00+00:00"}, False),
        ({"gpus": [H100], "ended": "2026-12-02T10:00:00+00:00"}, True),
    ],
    ids=["another GPU", "the GPU"],
)
def test_runs_on_the_device_of_the_estimates_precede_others(results, said, is_measured):
    trained(results, SMALL, 500, dataset="other")
    trained(results, SMALL, 5000, **said)
    found = hours(results, SMALL, TRAIN)
    assert found.expected * 3600 == pytest.approx(5100 if is_measured else 100 + 1000 * 500 / 3000)


def test_without_a_run_on_the_device_of_the_estimates_the_last_run_names_it(results):
    trained(results, SMALL, 500, gpus=["NVIDIA V100"])
    later = {"gpus": ["NVIDIA H200"], "ended": "2026-12-02T10:00:00+00:00"}
    trained(results, SMALL, 800, run="seed1", **later)
    assert hours(results, SMALL, TRAIN).expected * 3600 == pytest.approx(900)


@pytest.mark.parametrize(("threads", "expected"), [(2, 600), (4, 1100)])
def test_runs_on_a_cpu_measure_jobs_with_the_same_number_of_threads(results, threads, expected):
    trained(results, merged(ON_CPU, {"resources": {"threads": threads}}), 500, gpus=[])
    assert hours(results, ON_CPU, TRAIN).expected * 3600 == pytest.approx(expected)


def test_timings_of_the_same_decoding_and_the_nearest_batch_measure_a_prediction(results):
    # 200 s per 1,000 are stated; at batch 16 it took 0.1 s per sentence: 500 take 50 s.
    entry = merged(LARGE, {"predict": {"batch_size": 32}})
    trained(results, entry, 1100, epochs=4)
    timed(results, ("constrained", 1, 9.0), ("constrained", 16, 0.1), ("free", 32, 2.0))
    found = hours(results, entry, PREDICT)
    assert found.expected * 3600 == pytest.approx(100 + 50)
    assert {path.name for path in found.measured_by} == {"timing.csv"}


@pytest.mark.parametrize(
    "other",
    [
        {"others": 1},
        {"precision": "nf4"},
        {"dataset": "elsewhere"},
        {"protocol": "paper"},
        {"seed": 7},
    ],
    ids=str,
)
def test_timings_on_a_shared_gpu_or_of_other_weights_are_ignored(results, other):
    trained(results, LARGE, 1100, epochs=4)
    timed(results, ("constrained", 32, 0.1), **other)
    assert not hours(results, LARGE, PREDICT).measured_by


def test_the_record_of_an_llm_says_how_long_it_decoded(results):
    # 500 sentences of dev took 50 s, half of what is stated.
    said = {"decoding": "constrained", "sentences": 500, "decoding_seconds": 50, "wall_seconds": 9}
    write(results / "demo/m/seed42/constrained/dev", LARGE, **said)
    assert hours(results, LARGE, PREDICT).expected * 3600 == pytest.approx(150)


def test_a_record_of_a_decoding_that_has_no_costs_is_passed_over(results):
    write(results / "demo/m/seed42/union", LARGE, decoding="union", sentences=500, wall_seconds=9)
    assert not hours(results, LARGE, PREDICT).measured_by


@pytest.mark.parametrize(("sentences", "is_measured"), [(5000, True), (500, False)])
def test_the_record_of_a_classifier_is_used_if_decoding_outweighs_its_start(
    results, sentences, is_measured
):
    # Stated: a start of 60 s, and 100 or 10 s. 260 s are 200 s after the start, twice the 100.
    said = {"decoding": "direct", "sentences": sentences, "wall_seconds": 260}
    write(results / "demo/m/seed42/direct", SMALL, **said)
    found = hours(results, SMALL, PlannedJob("predict", "demo", "m", 43, "direct"))
    assert found.expected * 3600 == pytest.approx(60 + (20 if is_measured else 10))
    assert bool(found.measured_by) == is_measured


@pytest.mark.parametrize(
    "damage",
    [
        ("run.json", "{"),
        ("run.json", "{}"),
        ("run.json", '{"wall_seconds": "long"}'),
        ("history.csv", "step\n1\n"),
        ("history.csv", "epoch\nten\n"),
        ("history.csv", "epoch\ninf\n"),
        ("history.csv", ""),
        ("timing.csv", "a,b\n1,2\n"),
    ],
    ids=str,
)
def test_broken_and_old_files_are_ignored(results, damage):
    name, text = damage
    trained(results, SMALL, 500)
    folder = results / "demo" / "m"
    (folder / "seed42" / name if name != "timing.csv" else folder / name).write_text(text)
    assert bool(hours(results, SMALL, TRAIN).measured_by) == (name == "timing.csv")


@pytest.mark.parametrize(
    "change", [{"train": {"precision": "bf16"}}, {"source": {"hub": "a/larger"}}], ids=str
)
def test_runs_with_other_settings_of_speed_are_ignored(results, change):
    trained(results, merged(SMALL, change), 500)
    assert not hours(results, SMALL, TRAIN).measured_by


def test_the_plan_says_what_is_measured_and_in_how_many_runs(results):
    trained(results, SMALL, 500)
    trained(results, SMALL, 500, run="seed1")
    both = matrix({"m": SMALL}, datasets=["demo"])
    found = plan(both, SIZES, lambda path: False, measured=read_measurements(both, results, SIZES))
    bases = dict(
        found.table.filter(model="m").drop_nulls("basis").select("rule", "basis").iter_rows()
    )
    assert bases == {"train": "measured", "predict": "estimated", "time": "estimated"}
    assert found.measured_by == {"m": 2}


def test_a_job_is_estimated_if_a_part_of_it_is(results):
    trained(results, LARGE, 1100, epochs=4)
    job = PlannedJob("time", "demo", "m")
    timed(results, ("constrained", 32, 0.1), ("free", 32, 0.2))
    assert hours(results, LARGE, job).measured_by
    timed(results, ("constrained", 32, 0.1))
    assert not hours(results, LARGE, job).measured_by


def test_a_row_of_jobs_is_estimated_if_one_of_them_is(results):
    trained(results, LARGE, 1100, epochs=4)
    timed(results, ("constrained", 32, 0.1))
    both = matrix({"m": LARGE})
    known = read_measurements(both, results, SIZES)
    rows = plan(both, SIZES, lambda path: False, measured=known).table.filter(model="m")
    assert rows.filter(rule="predict")["basis"].item() == "estimated"
    assert rows.filter(rule="train")["basis"].item() == "measured"
