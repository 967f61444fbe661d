"""Hours of jobs from stated costs, with the arithmetic written out."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bioner.ops.planning.costs import training_seconds
from bioner.ops.planning.hours import (
    START_SECONDS,
    Hours,
    expected_epochs,
    gpus_of,
    hours_of,
)
from bioner.ops.planning.jobs import PlannedJob, jobs_of
from bioner.ops.planning.sizes import Size, size_of
from bioner.settings.catalogue import load_models, parse_entry
from bioner.settings.config import load_config, merged
from bioner.settings.matrix import load_matrix
from bioner.settings.model_entry import ModelEntry, Train
from tests.unit.ops.planning.matrices import LARGE, SMALL, THOUSAND, matrix

SIZES = {"demo": THOUSAND}


def hours(entry, job, sizes=SIZES, **settings):
    return hours_of(matrix({"m": entry}, **settings), job, sizes)


def test_an_encoder_is_trained_and_scored_on_dev_in_every_epoch():
    # An epoch: 100 steps x 0.5 s + 1,000 sentences x 40 s a thousand = 90 s; dev: 500 x 20 s a
    # thousand = 10 s. All 20 epochs: 100 + 20 x (90 + 10) = 2,100 s; expected ten: 100 + 10 x 100 =
    # 1,100 s.
    found = hours(SMALL, PlannedJob("train", "demo", "m", 42))
    assert (found.expected * 3600, found.most * 3600) == (pytest.approx(1100), pytest.approx(2100))
    assert gpus_of(matrix({"m": SMALL}), PlannedJob("train", "demo", "m", 42)) == 1


def test_an_llm_shares_its_seconds_among_its_gpus():
    # 200 + 4 x (1,000 + 500 x 0.2) = 4,600 s of GPUs, on two of them 2,300 s; without patience all
    # four epochs are run.
    found = hours(LARGE, PlannedJob("train", "demo", "m", 42))
    assert found.expected == found.most == pytest.approx(2300 / 3600)
    assert gpus_of(matrix({"m": LARGE}), PlannedJob("train", "demo", "m", 42)) == 2


def test_sentences_twice_as_long_take_twice_as_long_and_steps_do_not():
    # 100 + 20 x (100 x 0.5 + 40 x 2 + 10 x 2) = 3,100 s.
    long = Size(THOUSAND.sentences, 52.0, "counted")
    found = hours(SMALL, PlannedJob("train", "demo", "m", 42), {"demo": long})
    assert found.most * 3600 == pytest.approx(3100)


def test_a_part_of_the_training_sentences_is_what_is_trained_on():
    # 200 of 1,000: 20 steps x 0.5 + 8 = 18 s, and dev as before: 100 + 20 x 28 = 660 s.
    entry = merged(SMALL, {"train": {"sentences": 200}})
    assert hours(entry, PlannedJob("train", "demo", "m", 42)).most * 3600 == pytest.approx(660)


def test_a_prediction_takes_its_start_and_its_sentences():
    # 60 + 0.5 x 20 = 70 s; an LLM that writes freely: 100 + 0.5 x 3,000 = 1,600 s, on dev as many.
    assert hours(
        SMALL, PlannedJob("predict", "demo", "m", 42, "direct")
    ).most * 3600 == pytest.approx(70)
    for part in ("", "dev/"):
        assert hours(
            LARGE, PlannedJob("predict", "demo", "m", 42, "free", part)
        ).most * 3600 == pytest.approx(1600)
    fewer = {"demo": Size({"train": 1000, "dev": 250, "test": 500}, 26.0, "counted")}
    assert hours(
        LARGE, PlannedJob("predict", "demo", "m", 42, "free", "dev/"), fewer
    ).most * 3600 == pytest.approx(850)


def test_a_prediction_on_another_corpus_takes_the_sentences_of_that_one():
    # 2,000 of them: 60 + 2 x 20 s.
    sizes = SIZES | {"other": Size({"train": 9, "dev": 9, "test": 2000}, 26.0, "counted")}
    job = PlannedJob("predict", "demo", "m", 42, "direct", test="other")
    assert hours(SMALL, job, sizes).most * 3600 == pytest.approx(100)


def test_timing_goes_over_its_sample_by_every_decoding_and_batch():
    # 50 sentences x 3 repeats x 2 batch sizes = 300, and a start for each of two decodings:
    # 200 + 0.3 x (3,000 + 200) = 1,160 s.
    timing = {"sentences": 50, "repeats": 3, "batch_sizes": [1, 16]}
    found = hours(LARGE, PlannedJob("time", "demo", "m"), timing=timing)
    assert found.most * 3600 == pytest.approx(1160)
    both = hours(
        LARGE, PlannedJob("time", "demo", "m"), timing=timing | {"seeds": 2}, seeds=[42, 43, 44]
    )
    assert both.most * 3600 == pytest.approx(2 * 1160)
    # The paper's way, free alone at one batch size, besides: 100 + 0.15 x 3,000. Of the 500
    # sentences on test no more than there are, on one GPU.
    paper = hours(
        LARGE, PlannedJob("time", "demo", "m"), timing=timing | {"protocols": ["fair", "paper"]}
    )
    assert paper.most * 3600 == pytest.approx(1160 + 550)
    many = merged(LARGE, {"resources": {"predict_gpus": 2}})
    whole = hours(
        many,
        PlannedJob("time", "demo", "m"),
        timing=timing | {"sentences": 9999, "batch_sizes": [1]},
    )
    assert whole.most * 3600 == pytest.approx(200 + 1.5 * 3200)
    assert gpus_of(matrix({"m": many}), PlannedJob("time", "demo", "m")) == 1


def test_a_trial_is_trained_with_its_own_values_and_a_winner_is_not_known():
    # Batches of 5: 200 steps, an epoch of 100 + 40 + 10 = 150 s; of 20: 50 steps, 75 s. With the
    # start: ten epochs 1,600 and 850 s, twenty 3,100 and 1,600 s. Another seed of the winner: in
    # the mean 1,225 s, at most 3,100 s.
    entry = SMALL | {"search_space": {"batch_size": [5, 20]}}
    found = [
        hours(entry, PlannedJob("trial", "demo", "m", trial=f"batch{size}")) for size in (5, 20)
    ]
    assert [(one.expected * 3600, one.most * 3600) for one in found] == [
        (pytest.approx(1600), pytest.approx(3100)),
        (pytest.approx(850), pytest.approx(1600)),
    ]
    winner = hours(entry, PlannedJob("train", "demo", "m", 43), seeds=[42, 43])
    assert (winner.expected * 3600, winner.most * 3600) == (
        pytest.approx(1225),
        pytest.approx(3100),
    )
    fixed = hours(entry, PlannedJob("train", "demo", "m", 43), seeds=[42, 43], run_search=False)
    assert fixed.most * 3600 == pytest.approx(2100)


@pytest.mark.parametrize(
    ("entry", "job"),
    [
        ({**SMALL, "cost_estimates": None}, PlannedJob("train", "demo", "m", 42)),
        (
            merged(SMALL, {"cost_estimates": {"training": {"seconds": None}}}),
            PlannedJob("train", "demo", "m", 42),
        ),
        (
            merged(SMALL, {"cost_estimates": {"prediction": {"direct": None}}}),
            PlannedJob("train", "demo", "m", 42),
        ),
        (
            merged(SMALL, {"cost_estimates": {"device": "CPU"}}),
            PlannedJob("train", "demo", "m", 42),
        ),
        (
            merged(SMALL, {"resources": {"predict_gpus": 0}}),
            PlannedJob("predict", "demo", "m", 42, "direct"),
        ),
        (LARGE, PlannedJob("predict", "demo", "m", 42, "free-paper")),
        (
            merged(LARGE, {"cost_estimates": {"prediction": {"free": None}}}),
            PlannedJob("time", "demo", "m"),
        ),
    ],
    ids=[
        "no costs",
        "no training",
        "no dev",
        "a CPU's for a GPU",
        "a GPU's for a CPU",
        "one decoding",
        "timing",
    ],
)
def test_what_is_not_stated_is_not_guessed(entry, job):
    assert hours(entry, job) is None


def test_a_corpus_of_unknown_size_has_no_hours_of_models():
    assert hours(SMALL, PlannedJob("train", "demo", "m", 42), {"demo": None}) is None
    start = START_SECONDS / 3600
    assert hours(SMALL, PlannedJob("fetch", "demo"), {"demo": None}) == Hours(*[start] * 4)


def test_sentences_of_a_batch_share_its_passes():
    # Freely, 143 passes of 0.02 s in batches of 10: 1,000 sentences take 286 s more. One at a time
    # and constrained, 2.66 passes each: 53.2 s.
    prediction = {"pass_seconds": 0.02, "free": 0, "constrained": 0, "start_seconds": 0}
    entry = merged(LARGE, {"cost_estimates": {"prediction": prediction}})
    free, one_by_one = (
        hours(merged(entry, {"predict": {"batch_size": batch}}), job).most * 3600
        for batch, job in (
            (10, PlannedJob("predict", "demo", "m", 42, "free")),
            (1, PlannedJob("predict", "demo", "m", 42, "constrained")),
        )
    )
    assert (free, one_by_one) == (pytest.approx(143), pytest.approx(26.6))


def test_weights_as_trained_are_slower_and_merged_weights_decode_dev_once_more():
    # Dev takes 500 x 0.2 = 100 s by merged weights, three times as long as trained. Training:
    # 200 + 4 x (1,000 + 300) + 100 s of GPUs.
    costs = {"prediction": {"as_trained": 3, "free-paper": 3000}}
    entry = merged(LARGE, {"lora": {"r": 8, "alpha": 8}, "cost_estimates": costs})
    train = PlannedJob("train", "demo", "m", 42)
    assert hours(entry, train).most * 2 * 3600 == pytest.approx(5500)
    predict = PlannedJob("predict", "demo", "m", 42, "constrained")
    assert hours(entry, predict).most * 3600 == pytest.approx(200)
    paper = hours(entry, replace(predict, decoding="free-paper"))
    assert paper.most * 3600 == pytest.approx(100 + 4500)
    as_trained = merged(entry, {"predict": {"weights": "as-trained"}})
    assert hours(as_trained, predict).most * 3600 == pytest.approx(400)
    assert hours(as_trained, train).most * 2 * 3600 == pytest.approx(5400)


def test_estimates_have_a_range_but_start_times_have_none():
    # Half and twice the 1,000 s after the start, and at most twice the 2,000 s of all epochs.
    entry = merged(SMALL, {"cost_estimates": {"spread": 2}})
    found = hours(entry, PlannedJob("train", "demo", "m", 42))
    seconds = [hour * 3600 for hour in (found.low, found.expected, found.high, found.most)]
    assert seconds == pytest.approx([600, 1100, 2100, 4100])


@pytest.mark.parametrize(
    ("epochs", "patience", "expected"),
    [(20, 3, 10), (20, None, 20), (6, 3, 4), (3, 5, 3), (1.5, 1, 1.5)],
)
def test_epochs_where_early_stopping_usually_ends(epochs, patience, expected):
    assert expected_epochs(Train(epochs=epochs, patience=patience)) == expected


@given(
    epochs=st.floats(0.1, 50),
    patience=st.none() | st.integers(1, 60),
    batch=st.integers(1, 64),
    tokens=st.floats(1, 500),
)
def test_no_training_is_expected_to_take_longer_than_at_most(epochs, patience, batch, tokens):
    train = {"epochs": epochs, "patience": patience, "batch_size": batch, "sentences": None}
    entry = parse_entry(ModelEntry, "m", merged(SMALL, {"train": train}))
    costs, size = entry.cost_estimates, Size(THOUSAND.sentences, tokens, "counted")
    expected, most = (
        training_seconds(entry, costs, size, epochs)
        for epochs in (expected_epochs(entry.train), entry.train.epochs)
    )
    assert 0 < expected <= most


def test_every_job_of_the_catalogues_fits_its_time_limit():
    files = ["config/models.yaml", "config/models-2026.yaml"]
    config = load_config({"catalogues": {"models": files}})
    names = [
        name
        for name, entry in load_models(config).items()
        if entry.cost_estimates and entry.resources.gpus
    ]
    every = load_matrix(config.model_copy(update={"models": tuple(names)}), [])
    sizes = {"BioRED": size_of("BioRED", Path()), "JNLPBA": size_of("JNLPBA", Path())}
    longest = {}
    for job in jobs_of(every, list(sizes)):
        if job.model and (found := hours_of(every, job, sizes)):
            longest[job.model] = max(longest.get(job.model, 0), 60 * found.most)
    assert set(longest) == set(names)
    assert [name for name in names if longest[name] > every.models[name].resources.runtime] == []
