"""The plan of a small matrix, worked out by hand: totals, wall time, space and files to come."""

import polars as pl
import pytest

from bioner.errors import InputError
from bioner.ops.planning.jobs import PlannedJob, jobs_of, outputs_of, to_come
from bioner.ops.planning.plan import jobs_by_rule, plan
from bioner.ops.planning.space import CHECKPOINTS, HUB_FILES, WEIGHTS_FILES
from tests.unit.ops.planning.matrices import LARGE, SMALL, THOUSAND, matrix

TIMING = {"sentences": 50, "repeats": 3, "batch_sizes": [1, 16]}
SIZES = {"demo": THOUSAND}
SEARCHED = SMALL | {"search_space": {"learning_rate": [1e-5, 2e-5]}}


def nothing(path: str) -> bool:
    return False


def both(**settings: object):
    """The small encoder, the large LLM and the dictionary; hours per job are in test_hours.py."""
    return matrix({"small": SMALL, "large": LARGE}, timing=TIMING, **settings)


def test_gpu_hours_are_summed_over_gpus_and_jobs():
    # small: training 1,100 to 2,100 s, predictions on test and dev of 70 s, timing 60 + 0.3 x 20 =
    # 66 s: 1,306 to 2,306 s. large: training 4,600 s, predictions 1,600 (free), 200 constrained on
    # test and dev each, timing 1,160: 7,760.
    found = plan(both(), SIZES, nothing)
    assert found.gpu_hours.expected * 3600 == pytest.approx(1306 + 7760)
    assert found.gpu_hours.most * 3600 == pytest.approx(2306 + 7760)
    total = found.table.sum()
    assert total["gpu_hours_expected"][0] == pytest.approx(found.gpu_hours.expected)
    assert total["cpu_hours_at_most"][0] == pytest.approx(found.cpu_hours.most)
    trained = found.table.row(
        by_predicate=(pl.col("model") == "large") & (pl.col("rule") == "train"), named=True
    )
    assert trained["gpus"] == 2
    assert trained["hours_expected"] * 3600 == pytest.approx(2300)


def test_every_seed_and_trial_is_counted():
    # Two trials of 1,100 s. All three seeds are trained with the winner's values and predict
    # test and dev, one is timed.
    found = plan(matrix({"small": SEARCHED}, timing=TIMING, seeds=[1, 2, 3]), SIZES, nothing)
    assert found.gpu_hours.expected * 3600 == pytest.approx(2 * 1100 + 3 * 1100 + 6 * 70 + 66)
    rules = jobs_by_rule(found.table)
    assert (rules["trial"], rules["train"], rules["predict"]) == (2, 3, 6 + 1)


def test_no_wall_time_beats_the_gpus_the_jobs_or_the_longest_chain():
    # Two GPUs at once, as the LLM's training asks for: 9,066 s of GPUs are 4,533 s of both. With
    # sixteen, the LLM's stages in turn are the bound: training and free prediction (3,900 s), then
    # realign, score and merge_scores, some seconds each.
    found = plan(both(), SIZES, nothing)
    assert (found.gpus, found.at_once) == (2, 2)
    assert found.wall.expected * 3600 == pytest.approx(9066 / 2)
    many = plan(both(), SIZES, nothing, gpus=16)
    assert many.at_once == 16
    assert 3900 < many.wall.expected * 3600 < 3900 + 30
    one = plan(both(), SIZES, nothing, gpus=16, at_once=1)
    assert one.wall.expected == pytest.approx(one.table["hours_expected"].sum())


def test_fewer_gpus_than_a_job_asks_for_are_an_error():
    with pytest.raises(
        InputError, match=r"--gpus: found 1; expected at least 2, which a job of large asks for"
    ):
        plan(both(), SIZES, nothing, gpus=1)


def test_space_at_the_peak_is_downloads_models_what_runs_and_the_rest():
    # Downloads 1 + 15 GB, models 2 + 1 GB. With two GPUs either training may run: the encoder's 3
    # checkpoints of 5 GB leave one GPU, too few for the LLM. With three both: 15 + 9 GB.
    space = plan(both(), SIZES, nothing).space
    assert (space.downloads, space.models) == (16.0, 3.0)
    assert space.running == CHECKPOINTS * 5.0
    assert space.peak == pytest.approx(16 + 3 + 15 + space.outputs)
    assert 0 < space.outputs < 0.01, "a few hundred kB for sentences and scores"
    assert (
        plan(both(), SIZES, nothing, gpus=3).space.running == CHECKPOINTS * 5.0 + CHECKPOINTS * 3.0
    )
    assert plan(both(), SIZES, nothing, gpus=3, at_once=1).space.running == CHECKPOINTS * 5.0


def test_a_search_keeps_one_model_and_has_room_for_those_that_run():
    # One model is kept. A trial has its own weights as well: 3 x 5 + 2 GB; on two GPUs two trials.
    searched = matrix({"small": SEARCHED})
    space = plan(searched, SIZES, nothing).space
    assert (space.models, space.running) == (2.0, 17.0)
    assert plan(searched, SIZES, nothing, gpus=2).space.running == 34.0


def test_models_that_share_their_weights_are_fetched_once():
    found = plan(matrix({"small": SMALL, "twin": SMALL}), SIZES, nothing)
    assert found.space.downloads == 1.0
    assert found.files["hub cache"] == HUB_FILES
    assert jobs_by_rule(found.table)["download_model"] == 2


def test_files_are_counted_by_kind():
    # Predictions: raw output, record, tags, alignment of the dictionary and the encoder on test,
    # and of the encoder on dev. Scores: two of cells, two gathered, timing, comparisons,
    # calibration and its bins. Logs: one a job. Data: three raw files, record, and five.
    found = plan(matrix({"small": SMALL}), SIZES, nothing)
    expected = {
        "data": 3 + 1 + 5,
        "weights": WEIGHTS_FILES,
        "training": 1 + 2,
        "predictions": 3 * 4,
        "scores": 8,
    }
    assert {kind: found.files[kind] for kind in expected} == expected
    assert found.files["logs"] == sum(jobs_by_rule(found.table).values())


def test_models_without_costs_are_named_and_the_rest_is_counted():
    entries = {
        "small": SMALL,
        "unknown": SMALL | {"source": {"hub": "a/b"}, "cost_estimates": None},
    }
    found = plan(matrix(entries, timing=TIMING), SIZES, nothing)
    assert found.not_stated == found.space.unknown == ("unknown",)
    assert found.gpu_hours.expected * 3600 == pytest.approx(1100 + 2 * 70 + 66)
    silent = found.table.filter(model="unknown", rule="train").row(0, named=True)
    assert (silent["jobs"], silent["not_stated"], silent["gpu_hours_expected"], silent["gpus"]) == (
        1,
        1,
        None,
        1,
    )


def test_what_is_there_is_done_and_no_longer_asked_for():
    done = {
        path for rule in ("fetch", "normalize") for path in outputs_of(PlannedJob(rule, "demo"))
    }
    done |= {
        *outputs_of(PlannedJob("train", "demo", "small", 42)),
        *outputs_of(PlannedJob("download_model", model="small")),
    }
    found = plan(both(), SIZES, done.__contains__)
    assert found.gpu_hours.expected * 3600 == pytest.approx(1306 - 1100 + 7760)
    assert found.table["done"].sum() == 4
    assert found.space.downloads == 15.0
    everything = {path for job in jobs_of(both(), ["demo"]) for path in outputs_of(job)}
    finished = plan(both(), SIZES, everything.__contains__)
    assert jobs_by_rule(finished.table) == {}
    assert (finished.gpu_hours.most, finished.space.peak, finished.files) == (0, 0, {})


def rules_to_come(gone: set[str]) -> set[str]:
    """The rules of the jobs to come if these files of a finished run are gone."""
    jobs = jobs_of(both(), ["demo"])
    there = {path for job in jobs for path in outputs_of(job)} - gone
    return {job.rule for job in to_come(jobs, there.__contains__)}


def test_weights_that_were_given_up_are_not_trained_again_for_scores_that_are_there():
    seed = "results/demo/small/seed42"
    gone = {f"{seed}/model"}
    assert rules_to_come(gone) == set()
    # Predictions that are scored are not made again either.
    gone |= {f"{seed}/direct/{name}" for name in ("raw.jsonl.gz", "predictions.jsonl")}
    assert rules_to_come(gone) == set()
    assert rules_to_come(gone | {"reports/report.html"}) == {"report"}
    gone |= {f"{seed}/direct/scores.csv", "results/demo/small/scores.csv", "reports/report.html"}
    again = rules_to_come(gone)
    assert again >= {"train", "predict", "realign", "score", "merge_scores", "report"}
    assert "fetch" not in again


def test_what_is_not_calibrated_yet_needs_its_predictions():
    cell = "results/demo/small"
    gone = {f"{cell}/calibration.csv"}
    assert rules_to_come(gone) == {"calibrate", "report"}
    dev = {f"{cell}/seed42/direct/dev/{name}" for name in ("raw.jsonl.gz", "predictions.jsonl")}
    assert rules_to_come(gone | dev) == {"predict", "realign", "calibrate", "report"}
    weights = {f"{cell}/seed42/model"}
    assert rules_to_come(gone | dev | weights) >= {"train", "predict"}


CROSS = {"train": "demo", "test": ["other"], "types": {"Disease": ["DPF"]}}


def across(*models: str):
    """The jobs of a run whose models, and a dictionary, also predict another corpus."""
    return jobs_of(matrix(dict.fromkeys(models, SMALL), cross=CROSS), ["demo", "other"])


def test_what_was_compared_across_corpora_may_be_gone():
    jobs = across("small")
    cross = [job for job in jobs if job.test]
    assert {(job.rule, job.model) for job in cross} == {
        ("cross", ""),
        *((rule, model) for rule in ("predict", "realign") for model in ("dictionary", "small")),
    }
    assert sum(job.dataset == "other" for job in jobs) == 2, "fetched and normalized"
    there = {path for job in jobs for path in outputs_of(job)}
    drop = "results/demo/cross/other/drop.csv"
    gone = {path for job in cross for path in outputs_of(job) if path.endswith(".jsonl")}
    assert to_come(jobs, (there - gone).__contains__) == []
    again = to_come(jobs, (there - {drop}).__contains__)
    assert sorted(job.rule for job in again) == ["cross", "report"]
    again = to_come(jobs, (there - gone - {drop}).__contains__)
    assert sorted(job.rule for job in again) == ["cross", "realign", "realign", "report"]


def test_a_model_that_is_added_predicts_the_other_corpus_and_is_compared():
    there = {path for job in across() for path in outputs_of(job)}
    coming = to_come(across("small"), there.__contains__)
    assert {(job.rule, job.model) for job in coming if job.test} == {
        ("cross", ""),
        ("predict", "small"),
        ("realign", "small"),
    }


@pytest.mark.parametrize(("there", "lacking"), [("demo", "other"), ("other", "demo")])
def test_a_pair_of_which_one_corpus_is_not_there_is_not_predicted(there, lacking):
    jobs = jobs_of(matrix({}, cross=CROSS), [there])
    assert [job for job in jobs if job.test or job.dataset == lacking] == []


def test_what_is_added_to_a_finished_run_is_to_come():
    there = {path for job in jobs_of(matrix({}), ["demo"]) for path in outputs_of(job)}
    assert "reports/report.html" in there
    found = plan(matrix({"small": SMALL}, timing=TIMING), SIZES, there.__contains__)
    assert found.gpu_hours.expected * 3600 == pytest.approx(1100 + 2 * 70 + 66)
    rules = jobs_by_rule(found.table)
    assert (rules["train"], rules["score"], rules["report"]) == (1, 1, 1)
    assert "normalize" not in rules
