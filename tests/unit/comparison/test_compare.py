"""Comparisons from predictions to rows: worked cases, and what must hold for any."""

import random

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from scipy.special import stdtrit

from bioner.comparison.compare import PAIR, System, compare, read_comparisons
from bioner.comparison.estimates import two_sided_p
from bioner.data.instances import Instance, Prediction
from bioner.data.tags import repair
from bioner.errors import InputError
from bioner.io.tables import write_table
from bioner.scoring.score import score
from tests.unit.scoring.random_cases import TAGS


def corpus(sentences: int, per_document: int) -> list[Instance]:
    return [
        Instance(
            f"s{number}", f"d{number // per_document}", ["gout", "and", "gout"], ["B-D", "O", "B-D"]
        )
        for number in range(sentences)
    ]


def predicted(gold: list[Instance], right: int) -> list[Prediction]:
    """Both entities right in the first `right` sentences, none predicted in the rest."""
    return [
        Prediction(instance.id, instance.tags if number < right else ["O"] * 3)
        for number, instance in enumerate(gold)
    ]


def compared(gold, *systems, measure="f1", stratum="all", **options) -> dict:
    """The row of the first two systems in a measure and stratum; a system is a list of runs."""
    return rows(gold, *systems, **options)[measure, stratum]


def rows(gold, *systems, **options) -> dict[tuple[str, str], dict]:
    named = [System(f"m{number}", "direct", runs) for number, runs in enumerate(systems)]
    table = compare(gold, named, **options).filter(label="all").to_dicts()
    first = [row for row in table if (row["model"], row["baseline_model"]) == ("m0", "m1")]
    return {(row["measure"], row["stratum"]): row for row in first}


FAMILY = ("family", "tests", "p_max_t", "critical", "critical_90")


def without_family(row: dict) -> dict:
    return {name: value for name, value in row.items() if name not in FAMILY}


def random_corpus(documents: int, seed: int) -> tuple[list[Instance], list[list[Prediction]]]:
    """Documents of three random sentences, and three systems that change a tag in five, four and
    three.
    """
    draw = random.Random(seed)
    gold, systems = [], [[], [], []]
    for number in range(3 * documents):
        tags = [draw.choice(TAGS) for _ in range(10)]
        gold.append(
            Instance(f"s{number}", f"d{number // 3:02d}", list("abcdefghij"), repair(tags).tags)
        )
        for share, system in zip((5, 4, 3), systems, strict=True):
            changed = [draw.choice(TAGS) if draw.random() < 1 / share else tag for tag in tags]
            system.append(Prediction(f"s{number}", repair(changed).tags))
    return gold, systems


def damaged(instances, share: float, seed: int) -> list[Prediction]:
    """Predictions with this share of the tags changed."""
    draw = random.Random(seed)
    return [
        Prediction(
            each.id,
            repair([draw.choice(TAGS) if draw.random() < share else t for t in each.tags]).tags,
        )
        for each in instances
    ]


def test_f1_and_recall_of_both_sides_and_their_difference():
    gold = corpus(10, 1)
    row = compared(gold, [predicted(gold, 10)], [predicted(gold, 5)], resamples=100)
    # 10 of 20 found, none wrong: P 100, R 50, F1 66.7.
    assert (row["score"], row["baseline_score"], row["difference"]) == (
        *(100, pytest.approx(200 / 3), pytest.approx(100 / 3)),
    )
    assert (row["gold_entities"], row["cluster"], row["clusters"]) == (20, "sentence", 10)
    recall = compared(
        gold, [predicted(gold, 10)], [predicted(gold, 5)], measure="recall", resamples=100
    )
    assert (recall["score"], recall["baseline_score"]) == (100, 50)


def test_documents_are_the_clusters_where_they_are_known():
    gold = corpus(10, 5)
    row = compared(gold, [predicted(gold, 10)], [predicted(gold, 5)], resamples=100)
    assert (row["cluster"], row["clusters"]) == ("document", 2)


def test_clusters_that_hold_a_gold_entity_of_the_stratum_are_counted_apart():
    gold = [*corpus(4, 1), Instance("long", "long", ["a", "b", "c"], ["B-D", "I-D", "I-D"])]
    found = rows(gold, [predicted(gold, 5)], [predicted(gold, 0)], resamples=50)
    strata = ("all", "1", "2", "3+", "3+ - 1")
    assert [found["f1", stratum]["gold_entities"] for stratum in strata] == [9, 8, 0, 1, 1]
    assert [found["f1", stratum]["clusters_with_gold"] for stratum in strata] == [5, 4, 0, 1, 1]
    assert {row["clusters"] for row in found.values()} == {5}


def test_a_contrast_is_as_large_as_the_smaller_of_its_strata():
    words = [Instance(f"l{n}", f"l{n}", ["a", "b", "c"], ["B-D", "I-D", "I-D"]) for n in range(5)]
    gold = [*corpus(1, 1), *words]
    row = rows(gold, [predicted(gold, 6)], [predicted(gold, 0)], resamples=50)["f1", "3+ - 1"]
    assert (row["gold_entities"], row["clusters_with_gold"]) == (2, 1)


def test_entities_are_counted_whatever_a_convention_counts():
    # Entities of two tokens, then the same text twice in a sentence.
    long = [Instance(f"s{n}", f"d{n}", ["a", "b", "c"], ["B-D", "I-D", "O"]) for n in range(15)]
    found = rows(long, [predicted(long, 15)], [predicted(long, 5)], resamples=50)
    measures = ("f1", "token_f1", "string_set_f1", "relaxed_f1")
    assert {found[name, "all"]["gold_entities"] for name in measures} == {15}
    assert {found[name, "all"]["untested"] for name in measures} == {"15 gold entities"}
    twice = corpus(20, 2)
    found = rows(twice, [predicted(twice, 20)], [predicted(twice, 5)], resamples=50)
    assert {found[name, "all"]["gold_entities"] for name in measures} == {40}
    assert {found[name, "all"]["untested"] for name in measures} == {None}


@pytest.mark.parametrize("runs", [1, 2])
def test_a_system_does_not_differ_from_itself(runs):
    gold, systems = random_corpus(40, seed=1)
    for row in rows(gold, systems[:runs], systems[:runs], resamples=200).values():
        if row["untested"] is None:
            assert (row["difference"], row["p"]) == (0, 1)
            assert row["ci_low"] == pytest.approx(-row["ci_high"])


def test_a_difference_in_every_sentence_is_seen_and_one_in_a_single_sentence_is_not():
    gold = corpus(40, 1)
    everywhere = compared(gold, [predicted(gold, 40)], [predicted(gold, 10)], resamples=1000)
    once = compared(gold, [predicted(gold, 40)], [predicted(gold, 39)], resamples=1000)
    assert everywhere["p"] < 0.01
    assert everywhere["ci_low"] > 0
    # One sentence swapped or not: half of all swaps are as extreme in either direction, so p is 1.
    assert once["p"] == 1


def test_p_is_never_below_one_in_resamples_and_one():
    gold = corpus(40, 1)
    assert compared(gold, [predicted(gold, 40)], [predicted(gold, 0)], resamples=99)["p"] == 1 / 100


def test_the_sides_are_symmetric():
    gold, (one, other, _) = random_corpus(30, seed=2)
    there, back = (rows(gold, [a], [b], resamples=300) for a, b in ((one, other), (other, one)))
    tested = [key for key, forth in there.items() if forth["untested"] is None]
    assert len(tested) > 5
    for forth, other_way in ((there[key], back[key]) for key in tested):
        assert forth["p"] == other_way["p"]
        assert forth["ci_low"] == pytest.approx(-other_way["ci_high"])
        assert forth["ci_high"] == pytest.approx(-other_way["ci_low"])


def test_a_pair_s_rows_do_not_depend_on_who_else_is_compared():
    gold, (one, other, third) = random_corpus(20, seed=3)
    alone, among = (rows(gold, [one], [other], *more, resamples=200) for more in ([], [[third]]))
    assert alone.keys() == among.keys()
    for key, row in alone.items():  # adjustment is for those of the family, whoever they are
        assert without_family(row) == without_family(among[key])


def test_nor_do_those_of_systems_with_several_runs_and_a_newcomer_first():
    gold, (one, other, third) = random_corpus(20, seed=3)
    a, b = System("a", "direct", [one, other]), System("b", "direct", [third, one, other])
    newcomer = System("n", "direct", [other])
    alone = compare(gold, [a, b], resamples=200)
    among = compare(gold, [newcomer, a, b], resamples=200).filter(model="a")
    assert_frame_equal(alone.drop(FAMILY), among.drop(FAMILY), check_exact=True)


def test_exploration_is_the_same_in_whatever_order_systems_are_named():
    gold, _ = random_corpus(30, seed=4)
    systems = [
        System(model, decoding, [damaged(gold, 0.2, 10 * place + seed) for seed in range(3)])
        for place, (model, decoding) in enumerate(
            [("a", "direct"), ("b", "free"), ("b", "constrained"), ("c", "direct")]
        )
    ]

    def adjusted(systems) -> dict:
        table = compare(gold, systems, resamples=500).filter(measure="f1", stratum="all")
        return {
            (frozenset([row[0:2], row[2:4]]), row[4]): [row[5], row[6], pytest.approx(row[7])]
            for row in table.select(*PAIR, "label", "family", "p_max_t", "critical").rows()
        }

    there, back = adjusted(systems), adjusted(systems[::-1])
    for key, (family, p, critical) in there.items():
        assert [family, p] == back[key][:2]
        assert critical.expected == back[key][2]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("runs", [1, 3])
def test_systems_with_the_same_predictions_do_not_differ(runs):
    gold = corpus(60, 3)
    row = compared(gold, *[[predicted(gold, 40)] * runs] * 2, resamples=2000)
    assert (row["difference"], row["p"], row["p_max_t"], row["untested"]) == (0, 1, 1, None)
    assert row["df"] == (None if runs == 1 else 19)


def test_resamples_drawn_in_several_parts_are_those_drawn_at_once(monkeypatch):
    gold, (one, other, third) = random_corpus(20, seed=8)
    once = rows(gold, [one, other], [third], resamples=100)
    monkeypatch.setattr("bioner.scoring.resampling.CELLS_AT_ONCE", 20 * 30)
    assert rows(gold, [one, other], [third], resamples=100) == once


def test_sentences_of_a_document_need_not_stand_together():
    gold, (one, other, _) = random_corpus(15, seed=9)
    order = random.Random(1).sample(range(len(gold)), len(gold))
    mixed = [[run[i] for i in order] for run in (gold, one, other)]
    assert rows(mixed[0], [mixed[1]], [mixed[2]], resamples=100) == rows(
        gold, [one], [other], resamples=100
    )


def test_other_cuts_make_other_strata_and_another_contrast():
    gold = [
        Instance(f"s{n}", f"s{n}", list("abcdef"), ["B-D", "I-D", "O", "B-D", "I-D", "I-D"])
        for n in range(10)
    ]
    found = rows(
        gold, [predicted_tags(gold, 0, 6)], [predicted_tags(gold, 0, 2)], resamples=50, cuts=[2]
    )
    assert [stratum for measure, stratum in found if measure == "recall"] == [
        "all",
        "1-2",
        "3+",
        "3+ - 1-2",
    ]
    # The second system misses every long entity.
    assert found["recall", "3+ - 1-2"]["difference"] == 100
    assert found["recall", "1-2"]["difference"] == 0


def predicted_tags(gold: list[Instance], start: int, end: int) -> list[Prediction]:
    """The gold's tags from one token up to another, O elsewhere."""
    return [
        Prediction(g.id, [tag if start <= place < end else "O" for place, tag in enumerate(g.tags)])
        for g in gold
    ]


def test_every_pair_is_compared_once():
    gold, systems = random_corpus(5, seed=4)
    named = [System(name, "direct", [system]) for name, system in zip("abc", systems, strict=True)]
    pairs = compare(gold, named, resamples=20).select("model", "baseline_model").rows()
    assert list(dict.fromkeys(pairs)) == [("a", "b"), ("a", "c"), ("b", "c")]


def test_intervals_and_p_values_are_those_of_scoring_anew():
    """The long way round: draw or swap whole documents, score the two corpora that come out,
    subtract.
    """
    documents, resamples, (gold, (one, other, _)) = 12, 20, random_corpus(12, seed=5)
    found = rows(gold, [one], [other], resamples=resamples, seed=7)

    def scores(documents, system) -> dict[tuple[str, str], float]:
        """F1 and recall of `system(document)`'s predictions on a list of documents."""
        chosen = [(3 * d + s, system(place)) for place, d in enumerate(documents) for s in range(3)]
        again = [
            Instance(str(n), str(n), gold[i].tokens, gold[i].tags)
            for n, (i, _) in enumerate(chosen)
        ]
        table = score(again, [Prediction(str(n), p[i].tags) for n, (i, p) in enumerate(chosen)])
        table = table.filter(scorer="semeval", scheme="strict", label="all")
        table = table.with_columns(pl.col("f1", "recall").fill_null(np.nan))
        values = {
            (name, row["stratum"]): row[name]
            for row in table.iter_rows(named=True)
            for name in ("f1", "recall")
        }
        for name in ("f1", "recall"):
            values[name, "3+ - 1"] = values[name, "3+"] - values[name, "1"]
        return values

    drawn = np.random.default_rng([7, 1]).integers(documents, size=(resamples, documents))
    differences = [(scores(ds, lambda _: one), scores(ds, lambda _: other)) for ds in drawn]
    swapped = np.random.default_rng([7, 2]).integers(2, size=(resamples, documents), dtype=np.int8)
    sides = [
        (
            scores(range(documents), lambda d, s=s: (one, other)[s[d]]),
            scores(range(documents), lambda d, s=s: (other, one)[s[d]]),
        )
        for s in swapped
    ]
    tested = [key for key in sides[0][0] if found[key]["untested"] is None]
    assert {("f1", "all"), ("recall", "all")} <= {*tested}
    for key, row in ((key, found[key]) for key in tested):
        expected = np.nanpercentile(
            [mine[key] - theirs[key] for mine, theirs in differences], [2.5, 97.5]
        )
        assert (row["ci_low"], row["ci_high"]) == pytest.approx(tuple(expected)), key
        extreme = sum(
            abs(mine[key] - theirs[key]) >= abs(row["difference"]) - 1e-9 for mine, theirs in sides
        )
        swapped = (extreme + 1) / (resamples + 1)
        # No smaller than what the interval says: it may be the wider of the two.
        by_interval = two_sided_p(row["difference"], row["ci_low"], row["ci_high"], np.nan)
        assert row["p"] == pytest.approx(max(swapped, float(by_interval))), key


LONG_AND_SHORT = [
    Instance(f"s{n}", f"s{n}", list("abcde"), ["B-D", "I-D", "I-D", "O", "B-D"]) for n in range(40)
]


class TestTheLengthClaim:
    """Forty sentences with a long entity (3 tokens) and a short one."""

    def system(self, long: int, short: int) -> list[Prediction]:
        """Finds the long entity in the first `long` sentences, the short one in the first `short`;
        nothing else.
        """
        return [
            Prediction(
                g.id, [*(g.tags[:3] if n < long else ["O"] * 3), "O", "B-D" if n < short else "O"]
            )
            for n, g in enumerate(LONG_AND_SHORT)
        ]

    def test_it_is_the_difference_on_long_entities_minus_that_on_short_ones(self):
        # Recall: long 100 against 50, short 75 against 50: 50 minus 25.
        row = compared(
            *(LONG_AND_SHORT, [self.system(40, 30)], [self.system(20, 20)]),
            **{"measure": "recall", "stratum": "3+ - 1", "resamples": 500},
        )
        # Each side's own contrast: 100 - 75 and 50 - 50.
        assert (row["score"], row["baseline_score"], row["difference"]) == (25, 0, 25)
        assert row["ci_low"] < 25 < row["ci_high"]

    def test_a_system_that_is_better_everywhere_by_the_same_is_not_better_on_long_ones(self):
        row = compared(
            *(LONG_AND_SHORT, [self.system(40, 40)], [self.system(20, 20)]),
            **{"measure": "recall", "stratum": "3+ - 1", "resamples": 500},
        )
        assert (row["difference"], row["p"]) == (0, 1)


class TestSeveralRuns:
    def test_scores_are_of_all_runs_counts_together(self):
        gold = corpus(10, 1)
        row = compared(
            gold, [predicted(gold, 10), predicted(gold, 5)], [predicted(gold, 5)], resamples=50
        )
        # 30 right of 40 gold, all predicted right: 2 x 30 / (40 + 30).
        assert row["score"] == pytest.approx(600 / 7)
        assert (row["gold_entities"], row["seeds"], row["baseline_seeds"]) == (20, 2, 1)

    def test_runs_that_differ_widen_the_interval(self):
        """Documents are alike, seeds are not: what there is of doubt comes from the seeds."""
        gold = [Instance(f"s{n}", f"s{n}", ["a"] * 4, ["B-D"] * 4) for n in range(40)]
        found = [
            [Prediction(g.id, ["B-D"] * right + ["O"] * (4 - right)) for g in gold]
            for right in (2, 3, 4)
        ]
        row = compared(gold, found, [found[0]] * 3, measure="recall", resamples=400)
        # Recall 50, 75 and 100 against 50: a standard error of 25 / √3, two degrees of freedom.
        assert row["standard_error"] == pytest.approx(25 / 3**0.5)
        assert row["ci_high"] == pytest.approx(25 + 4.3027 * 25 / 3**0.5, rel=1e-4)
        assert (row["p"] > 0.2, row["df"]) == (True, pytest.approx(2))

    def test_the_same_run_thrice_has_the_variance_of_documents_alone(self):
        gold = corpus(60, 3)
        row = compared(gold, *([predicted(gold, right)] * 3 for right in (40, 34)), resamples=2000)
        assert (row["variance_seeds"], row["df"]) == (0, pytest.approx(19))

    def test_one_trained_run_against_several_has_the_interval_of_these_weights(self):
        gold, (one, other, third) = random_corpus(40, seed=1)
        row = compared(gold, [one, other], [third], resamples=200)
        assert (row["untested"], row["p"], row["covers"]) == ("one seed", None, "documents")
        assert row["ci_low"] < row["difference"] < row["ci_high"]

    def test_a_deterministic_system_is_tested_against_several_runs(self):
        gold, systems = random_corpus(40, seed=1)
        several = System("a", "direct", systems[:2])
        control = System("c", None, systems[2:], deterministic=True)
        row = compare(gold, [several, control], resamples=2000).row(0, named=True)
        assert (row["untested"], row["covers"]) == (None, "documents and seeds")

    def test_systems_that_share_weights_need_the_same_seeds(self):
        gold, systems = random_corpus(5, seed=1)
        decodings = [System("m", "free", systems[:2]), System("m", "constrained", systems)]
        with pytest.raises(InputError, match=r"2 and 3 runs of m \(free\) and m \(constrained\)"):
            compare(gold, decodings, resamples=20)


class TestFamilies:
    @pytest.fixture(scope="class")
    def table(self) -> pl.DataFrame:
        gold, _ = random_corpus(60, seed=1)
        good, bad = ([damaged(gold, share, seed) for seed in range(4)] for share in (0.1, 0.2))
        named = [
            System("a", "direct", good[:3]),
            System("b", "direct", bad[:3]),
            System("b", "other", [damaged(bad[0], 0.01, 0), *bad[1:3]]),
            System("two seeds", "direct", bad[2:]),
            System("control", None, good[:1], deterministic=True),
        ]
        return compare(gold, named, resamples=2000)

    def test_they_are_of_systems_with_three_seeds_in_one_measure(self, table):
        explored = table.filter(pl.col("family").is_not_null())
        names = {*explored["model"], *explored["baseline_model"]}
        assert names == {"a", "b"}
        overall = explored.filter(measure="f1", stratum="all", label="all")
        assert overall["family"].to_list() == ["f1"] * len(overall)
        assert overall["tests"].to_list() == [len(overall)] * len(overall)
        assert {"f1", "f1 by length", "f1 by type", "recall", "relaxed_f1"} <= {*explored["family"]}

    def test_adjusted_p_agrees_with_its_critical_value(self, table):
        explored = table.filter(pl.col("family").is_not_null())
        t = explored["difference"].abs() / explored["standard_error"]
        significant = (explored["p_max_t"] <= 0.05).to_list()
        assert any(significant)
        assert significant == (t > explored["critical"]).to_list()

    def test_neither_is_more_lenient_than_the_test_alone(self, table):
        explored = table.filter(pl.col("family").is_not_null())
        assert (explored["p_max_t"] >= explored["p"]).all()
        assert (explored["critical"] >= stdtrit(explored["df"].to_numpy(), 0.975) - 1e-9).all()

    def test_controls_are_in_none_if_all_have_one_run_either(self):
        gold, (one, other, third) = random_corpus(40, seed=1)
        systems = [
            System("a", "direct", [one]),
            System("b", "direct", [other]),
            System("control", None, [third], deterministic=True),
        ]
        table = compare(gold, systems, resamples=2000).filter(measure="f1", stratum="all")
        table = table.filter(label="all").select("baseline_model", "family", "tests")
        assert table.rows() == [("b", "f1", 1), ("control", None, None), ("control", None, None)]


def test_the_same_seed_gives_the_same_rows_and_another_gives_others():
    gold, (one, other, _) = random_corpus(20, seed=6)
    once, again, third = (
        rows(gold, [one], [other], resamples=300, seed=seed) for seed in (3, 3, 4)
    )
    assert once == again
    assert once != third


def test_a_single_document_has_no_interval_and_no_test(caplog):
    gold = corpus(5, 5)
    row = compared(gold, [predicted(gold, 5)], [predicted(gold, 2)], resamples=50)
    assert (row["difference"] > 0, row["ci_low"], row["ci_high"], row["p"]) == (
        True,
        None,
        None,
        None,
    )
    assert "a single document" in caplog.text


@pytest.mark.parametrize("runs", [1, 2])
def test_a_stratum_without_gold_and_predictions_is_undefined(runs):
    gold = corpus(10, 1)
    row = compared(
        gold, [predicted(gold, 10)] * runs, [predicted(gold, 5)], stratum="2", resamples=50
    )
    assert [
        row[name] for name in ("score", "baseline_score", "difference", "ci_low", "ci_high", "p")
    ] == [None] * 6


def test_what_was_compared_can_be_read_again_and_a_comparison_twice_cannot(tmp_path):
    gold = corpus(40, 1)
    systems = [System(name, "direct", [predicted(gold, n)]) for name, n in (("a", 35), ("b", 25))]
    table = compare(gold, systems, resamples=20, dataset="D")
    path = tmp_path / "comparisons.csv"
    write_table(path, table)
    assert_frame_equal(read_comparisons(path), table)
    write_table(path, table.drop("covers"))
    with pytest.raises(InputError, match=r"earlier version.*--forcerun compare"):
        read_comparisons(path)
    write_table(path, pl.concat([table, table.head(1)]))
    with pytest.raises(InputError, match="a comparison twice"):
        read_comparisons(path)
    write_table(path, table.with_columns(ci_low=None))
    with pytest.raises(InputError, match="a p-value without its interval"):
        read_comparisons(path)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"p": 1.5}, "a p-value outside 0 to 1"),
        ({"p_max_t": -0.1}, "a p-value outside 0 to 1"),
        ({"score": float("nan")}, "a number that is not finite"),
        ({"difference": 12.0}, "a difference that is not that of its scores"),
        ({"ci_low": 99.0}, "bounds in the wrong order"),
        ({"df": 0.0}, "no positive degrees of freedom"),
        ({"standard_error": -1.0}, "a standard error below 0"),
        ({"critical": None}, "a test of a family without its adjustment"),
    ],
)
def test_a_table_changed_by_hand_is_refused_with_its_line(tmp_path, changed, named):
    gold, _ = random_corpus(30, seed=2)
    systems = [
        System(name, "direct", [damaged(gold, share, seed) for seed in range(3)])
        for name, share in (("a", 0.1), ("b", 0.3))
    ]
    table = compare(gold, systems, resamples=2000, dataset="D").with_row_index("row")
    place = table.filter(pl.col("family").is_not_null())["row"][1]
    edited = [
        pl.when(pl.col("row") == place).then(pl.lit(value)).otherwise(name).alias(name)
        for name, value in changed.items()
    ]
    write_table(tmp_path / "c.csv", table.with_columns(edited).drop("row"))
    with pytest.raises(InputError, match=f"c.csv:{place + 2}: found {named}"):
        read_comparisons(tmp_path / "c.csv")
