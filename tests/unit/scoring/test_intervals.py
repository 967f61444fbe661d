"""Intervals by resampling documents: what they are made of, and that they cover what they say."""

import random
from collections import defaultdict

import numpy as np
import polars as pl
import pytest

from bioner.data.instances import Instance, Prediction
from bioner.data.tags import repair
from bioner.scoring.resampling import clusters_of, interval
from bioner.scoring.score import OVERALL, read_scores, score
from bioner.scoring.table import MEASURES, score_table
from bioner.scoring.tally import matched
from bioner.settings.config import Scoring
from tests.unit.scoring.random_cases import TAGS


def corpus(
    documents: int, sentences: int = 3, seed: int = 0
) -> tuple[list[Instance], list[Prediction]]:
    """Documents of random tags; predictions are the gold with every fifth tag changed."""
    draw = random.Random(seed)
    gold, predictions = [], []
    for number in range(documents * sentences):
        tags = [draw.choice(TAGS) for _ in range(8)]
        changed = [draw.choice(TAGS) if draw.random() < 0.2 else tag for tag in tags]
        identity = f"s{number}"
        gold.append(
            Instance(identity, f"d{number // sentences:02d}", list("abcdefgh"), repair(tags).tags)
        )
        predictions.append(Prediction(identity, repair(changed).tags))
    return gold, predictions


def bounds(table: pl.DataFrame, **where) -> tuple[float | None, float | None]:
    ((low, high),) = table.filter(**where).select("f1_ci_low", "f1_ci_high").iter_rows()
    return low, high


def test_intervals_are_those_of_scoring_the_drawn_documents_anew():
    """The long way: draw documents, put their sentences together, score that corpus; every ratio of
    rows with an F1 that no limit forbids.
    """
    resamples, (gold, predictions) = 30, corpus(12)
    table = score(gold, predictions, options=Scoring(bootstrap=resamples, bootstrap_seed=5))
    drawn = np.random.default_rng([5, 1]).integers(12, size=(resamples, 12))
    values = defaultdict(list)
    for documents in drawn:
        chosen = [3 * document + sentence for document in documents for sentence in range(3)]
        again = [
            Instance(str(n), str(n), gold[i].tokens, gold[i].tags) for n, i in enumerate(chosen)
        ]
        rows = score(again, [Prediction(str(n), predictions[i].tags) for n, i in enumerate(chosen)])
        for row in rows.iter_rows(named=True):
            for measure in MEASURES:
                values[row["scorer"], row["scheme"], row["stratum"], row["label"], measure].append(
                    row[measure]
                )
    compared, bounded = 0, pl.col("f1").is_not_null() & pl.col("no_interval").is_null()
    for row in table.filter(bounded).iter_rows(named=True):
        for measure in MEASURES:
            drawn_values = values[
                row["scorer"], row["scheme"], row["stratum"], row["label"], measure
            ]
            expected = np.percentile(
                [value for value in drawn_values if value is not None], [2.5, 97.5]
            )
            found = row[f"{measure}_ci_low"], row[f"{measure}_ci_high"]
            assert found == (pytest.approx(expected[0]), pytest.approx(expected[1])), (measure, row)
            compared += 1
    assert compared == 32 * 3


def test_the_same_seed_gives_the_same_bounds_and_another_gives_others():
    once, again, other = (
        score(*corpus(20), options=Scoring(bootstrap=200, bootstrap_seed=seed))
        for seed in (1, 1, 2)
    )
    assert once.equals(again)
    assert not once.equals(other)


def test_without_resamples_there_are_no_bounds():
    table = score(*corpus(5))
    assert all(table[f"{measure}_ci_low"].null_count() == len(table) for measure in MEASURES)


def test_nine_documents_have_scores_and_no_bounds(caplog):
    table = score(*corpus(9, sentences=10), options=Scoring(bootstrap=100))
    overall = table.filter(**OVERALL).row(0, named=True)
    assert overall["f1"] > 0
    assert (overall["f1_ci_low"], overall["no_interval"]) == (None, "9 documents")
    assert set(table["f1_ci_low"]) == {None}
    assert "score: no interval: 9 documents (needed: 30 gold entities, in 10" in caplog.text


def test_documents_count_that_hold_a_gold_entity_of_the_row():
    # 36 entities of type R in twelve documents, forty of type S in eight of them, and one T.
    gold = [
        Instance(
            *(f"s{n}", f"d{n % 12}", ["a", "b", "c"]),
            ["B-R" if n < 36 else "O", "B-S" if n % 12 < 8 else "O", "O" if n else "B-T"],
        )
        for n in range(60)
    ]
    predictions = [Prediction(item.id, item.tags) for item in gold]
    table = score(gold, predictions, options=Scoring(bootstrap=100)).filter(scheme="strict")
    limits = dict(table.filter(scorer="semeval", stratum="all")["label", "no_interval"].iter_rows())
    few = dict.fromkeys(("T", "macro"), "1 gold entity")  # the mean has the limit of the rarest
    assert limits == {"all": None, "R": None, "S": "8 documents", **few}
    assert bounds(table, label="macro") == (None, None)


def test_twenty_nine_gold_entities_have_no_bounds_by_any_scorer():
    # Both halves of each are predicted: the paper's evaluator divides by 58.
    tokens, tags = list("abcdef"), ["B-R", *["I-R"] * 5]
    gold = [Instance(f"s{n}", f"d{n // 2}", tokens, tags) for n in range(29)]
    twice = ["B-R", "I-R", "I-R", "B-R", "I-R", "I-R"]
    table = score(gold, [Prediction(item.id, twice) for item in gold], options=Scoring(bootstrap=9))
    (possible,) = table.filter(scorer="paper", scheme="relaxed", stratum="all")["possible"]
    assert possible == 58
    scored = table.filter(pl.col("f1").is_not_null())
    assert set(scored["no_interval"]) == {"29 gold entities"}
    assert set(scored["f1_ci_high"]) == {None}


def test_rows_without_gold_and_predictions_name_no_limit():
    undefined = score(*corpus(2), options=Scoring(bootstrap=9)).filter(pl.col("f1").is_null())
    assert set(undefined["no_interval"]) == {None}


def test_an_older_score_file_is_read_without_intervals_of_few_entities(tmp_path):
    table = score(*corpus(12), options=Scoring(bootstrap=9))
    table.drop("no_interval").write_csv(tmp_path / "scores.csv")
    read = read_scores(tmp_path / "scores.csv")
    assert read.columns == table.columns
    few = read.filter(stratum="2")
    assert set(few["no_interval"]) == {"under 30 gold entities"}
    assert set(few["f1_ci_low"]) == {None}
    where = {"scorer": "semeval", "stratum": "all", "scheme": "strict", "label": "all"}
    assert bounds(read, **where) == bounds(table, **where) != (None, None)


def test_equal_documents_leave_no_doubt():
    gold = [Instance(f"s{n}", f"s{n}", ["a", "b"], ["B-D", "B-D"]) for n in range(30)]
    table = score(
        gold, [Prediction(item.id, ["B-D", "O"]) for item in gold], options=Scoring(bootstrap=100)
    )
    assert bounds(table, scorer="semeval", scheme="strict", stratum="all", label="all") == (
        pytest.approx(200 / 3),
        pytest.approx(200 / 3),
    )


def test_sentences_of_a_document_are_drawn_together():
    """Ten documents of twenty equal sentences know no more than ten sentences do."""
    gold = [Instance(f"s{n}", f"d{n // 20}", ["a"], ["B-D"]) for n in range(200)]
    found = [Prediction(item.id, ["B-D" if n // 20 % 2 else "O"]) for n, item in enumerate(gold)]
    apart = [Instance(item.id, item.id, item.tokens, item.tags) for item in gold]
    where = {"scorer": "semeval", "scheme": "strict", "stratum": "all", "label": "all"}
    (low, high), (narrow_low, narrow_high) = (
        bounds(score(g, found, options=Scoring(bootstrap=2000)), **where) for g in (gold, apart)
    )
    assert high - low > 3 * (narrow_high - narrow_low)


def test_the_order_of_sentences_and_documents_changes_no_number_and_no_bound():
    gold, predictions = corpus(15)
    order = random.Random(0).sample(range(len(gold)), len(gold))
    mixed = score(
        [gold[i] for i in order], [predictions[i] for i in order], options=Scoring(bootstrap=50)
    )
    assert mixed.equals(score(gold, predictions, options=Scoring(bootstrap=50)))


def test_resamples_without_gold_and_prediction_are_left_out():
    assert interval(np.array([np.nan, 50.0, 50.0])).tolist() == [50, 50]
    assert np.isnan(interval(np.array([np.nan]))).all()


def test_clusters_are_documents_or_sentences():
    gold, _ = corpus(4)
    assert (clusters_of(gold).kind, clusters_of(gold).count) == ("document", 4)
    apart = [Instance(item.id, item.id, item.tokens, item.tags) for item in gold]
    assert (clusters_of(apart).kind, clusters_of(apart).count) == ("sentence", 12)


@pytest.mark.parametrize(
    ("documents", "trials", "population"),
    [
        (50, 400, 1_000_000),
        *(
            pytest.param(documents, 2000, 4_000_000, marks=pytest.mark.slow)
            for documents in (50, 500)
        ),
    ],
)
def test_95_percent_intervals_cover_93_to_97_percent(documents, trials, population):
    """Test sets of documents whose size and difficulty vary; the true F1 is that of all documents
    there are.
    """
    draw = np.random.default_rng(documents)

    def test_set(size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        skill = draw.beta(8, 2, size)
        possible = draw.poisson(8, size) + 1
        correct = draw.binomial(possible, skill)
        return (
            correct.astype(float),
            possible.astype(float),
            (correct + draw.poisson(1.5, size)).astype(float),
        )

    correct, possible, actual = (part.sum() for part in test_set(population))
    truth = 200 * correct / (possible + actual)
    clusters = clusters_of(
        [Instance(str(number), str(number), ["a"], ["O"]) for number in range(documents)]
    )
    covered = 0
    for trial in range(trials):
        row = matched("semeval", "strict", *test_set(documents))
        table = score_table([row], clusters, 1000, trial, {})
        covered += table["f1_ci_low"].item() <= truth <= table["f1_ci_high"].item()
    assert 0.93 <= covered / trials <= 0.97, covered / trials
