"""The mean difference over corpora: equal to what each corpus gives, but for shared documents."""

import numpy as np
import polars as pl
import pytest
from scipy import stats

from bioner.comparison.compare import compare_counts
from bioner.comparison.corpora_mean import CountedCorpus, compare_corpora, number_documents
from bioner.comparison.counts import OVERALL, SystemCounts
from bioner.data.instances import Instance
from bioner.reporting.corpora_mean import corpora_mean_table
from bioner.settings.config import MARGINS

DIRECT = "direct"


def counted(draw, gold, skill, seeds, deviation=0.0, decoding=DIRECT, model="m") -> SystemCounts:
    """A system that finds a share of the entities of each document, and some that are none.

    The share varies by seed, and by document in the same way under every seed: `skill` is that of
    each document, or the mean.
    """
    by_document = skill + 0.1 * draw.standard_normal(len(gold)) if np.isscalar(skill) else skill
    runs = []
    for _ in range(seeds):
        share = np.clip(by_document + deviation / 100 * draw.standard_normal(), 0, 1)
        found = draw.binomial(gold, share)
        strict = np.stack([found, gold, found, found + draw.poisson(0.2 * gold)], -1)
        runs.append(np.stack([strict, strict], 1))
    return SystemCounts(model, decoding, np.array(runs, float))


def corpus(name, draw, skills, documents=40, start=0, seeds=3, deviation=1.0) -> CountedCorpus:
    """A corpus with systems a, b, … of these skills."""
    gold = draw.poisson(8, documents) + 1
    systems = {
        (model, DIRECT): counted(draw, gold, skill, seeds, deviation, model=model)
        for model, skill in zip("abcdef", skills, strict=False)
    }
    return CountedCorpus(name, np.arange(start, start + documents), "document", systems, {})


def row(table: pl.DataFrame, **where) -> dict:
    (found,) = table.filter(measure="f1", **where).iter_rows(named=True)
    return found


def added_up(variances) -> tuple[float, float]:
    """The sum of variances and its degrees of freedom (Satterthwaite 1946)."""
    total = sum(variance for variance, _ in variances)
    return total, total**2 / sum(variance**2 / df for variance, df in variances)


@pytest.fixture(scope="module")
def two() -> list[CountedCorpus]:
    draw = np.random.default_rng(1)
    return [
        corpus("east", draw, (0.8, 0.7)),
        corpus("west", draw, (0.6, 0.65), documents=60, start=40, seeds=4),
    ]


def test_the_mean_of_separate_corpora_is_made_of_what_each_gives(two):
    mean = row(compare_corpora(two))
    parts = [
        row(compare_counts(list(each.systems.values()), OVERALL), stratum="all") for each in two
    ]

    def mean_of(name):
        return sum(part[name] for part in parts) / 2

    for name in ("difference", "score", "baseline_score"):
        assert mean[name] == pytest.approx(mean_of(name))
    for name in ("variance_documents", "variance_seeds"):
        assert mean[name] == pytest.approx(mean_of(name) / 2)
    # Satterthwaite's formula, first over all variances between seeds, which are then made
    # median-unbiased, then with those of documents.
    seeds = []
    for each in two:
        for system in each.systems.values():
            credit, possible, _, actual = system.runs.sum(1)[:, 0].T
            f1 = 200 * credit / (possible + actual)
            seeds.append((f1.var(ddof=1) / len(f1), len(f1) - 1))
    documents = [(part["variance_documents"], part["df_documents"]) for part in parts]
    (by_seeds, df_seeds), (by_documents, df_documents) = map(added_up, (seeds, documents))
    assert mean["df_seeds"] == pytest.approx(df_seeds)
    median = by_seeds * df_seeds / stats.chi2.median(df_seeds)
    df = (by_documents + median) ** 2 / (by_documents**2 / df_documents + median**2 / df_seeds)
    error = np.sqrt(by_documents + by_seeds) / 2
    assert mean["standard_error"] == pytest.approx(error)
    assert mean["df"] == pytest.approx(df)
    t = mean["difference"] / mean["standard_error"]
    assert mean["p"] == pytest.approx(2 * stats.t.sf(abs(t), df))
    half = stats.t.ppf(0.975, df) * mean["standard_error"]
    assert mean["ci_high"] == pytest.approx(mean["difference"] + half)
    assert (mean["documents"], mean["shared_documents"]) == (100, 0)
    assert (mean["corpora"], mean["names"], mean["seeds"]) == (2, "east, west", 3)


def test_what_shared_documents_add_to_two_corpora_is_added_up_before_it_is_squared(two):
    """The same corpus twice: no more documents than once, but twice the trainings."""
    east, _ = two
    again = CountedCorpus("again", east.documents, east.kind, east.systems, {})
    apart = CountedCorpus("again", east.documents + 40, east.kind, east.systems, {})
    once = row(compare_counts(list(east.systems.values()), OVERALL), stratum="all")
    shared, separate = (row(compare_corpora([east, each])) for each in (again, apart))
    assert (shared["documents"], shared["shared_documents"]) == (40, 40)
    assert shared["variance_documents"] == pytest.approx(once["variance_documents"])
    assert separate["variance_documents"] == pytest.approx(once["variance_documents"] / 2)
    for each in (shared, separate):
        assert each["variance_seeds"] == pytest.approx(once["variance_seeds"] / 2)


def test_what_sentences_of_one_document_add_is_added_up_before_it_is_squared(two):
    """Another corpus says that each two of east's forty texts are of one document."""
    east, west = two
    numbers = np.arange(40) // 2
    found = row(
        compare_corpora([CountedCorpus("east", numbers, "sentence", east.systems, {}), west])
    )
    added = 0.0
    for sign, system in zip((1, -1), east.systems.values(), strict=True):
        credit, possible, _, actual = system.runs.sum(0)[:, 0].T
        entities = possible + actual
        without = 200 * (credit.sum() - credit) / (entities.sum() - entities)
        added += sign * np.sqrt(39 / 40) * (without - without.mean())
    alone = row(compare_counts(list(west.systems.values()), OVERALL), stratum="all")
    variance = (added.reshape(20, 2).sum(1) ** 2).sum() + alone["variance_documents"]
    assert found["variance_documents"] == pytest.approx(variance / 4)
    assert (found["documents"], found["shared_documents"]) == (80, 20)


def test_equal_systems_are_seldom_told_apart_on_corpora_that_share_all_documents():
    draw = np.random.default_rng(2)
    p_values = []
    for _ in range(150):
        # Both corpora annotate these documents, and systems do as well on one as on the other.
        gold = draw.poisson(30, 40) + 1
        corpora = []
        skills = {name: 0.7 + 0.15 * draw.standard_normal(40) for name in "ab"}
        for name in ("east", "west"):
            systems = {
                (model, DIRECT): counted(draw, gold, skill, 3, model=model)
                for model, skill in skills.items()
            }
            corpora.append(CountedCorpus(name, np.arange(40), "document", systems, {}))
        p_values += compare_corpora(corpora, resamples=500).filter(measure="f1")["p"].to_list()
    tested = [p for p in p_values if p is not None]
    assert len(tested) > 100
    share = np.mean([p <= 0.05 for p in tested])
    assert share < 0.05 + 3 * np.sqrt(0.05 * 0.95 / len(tested))


def test_the_best_of_each_corpus_are_compared_first_whoever_they_are():
    draw = np.random.default_rng(3)
    corpora = []
    for place, (best, other) in enumerate((("a", "b"), ("b", "c"))):
        made = corpus(f"c{place}", draw, (0.8, 0.7, 0.6), start=40 * place)
        chosen = {"llm": (best, DIRECT), "encoder": (other, DIRECT)}
        corpora.append(CountedCorpus(made.name, made.documents, made.kind, made.systems, chosen))
    table = compare_corpora(corpora)
    first = row(table, family="primary")
    assert table["model"][0] == first["model"] == "best-llm"
    assert first["baseline_model"] == "best-encoder"
    singles = [
        row(
            compare_counts(list(each.systems.values()), OVERALL),
            model=each.chosen["llm"][0],
            baseline_model=each.chosen["encoder"][0],
            stratum="all",
        )
        for each in corpora
    ]
    assert first["difference"] == pytest.approx(np.mean([each["difference"] for each in singles]))
    assert (first["tests"], first["p_max_t"]) == (None, None)
    # A single test of each measure.
    judged = corpora_mean_table(table, MARGINS).filter(family="primary")
    assert judged.select("measure", "tests").rows() == [("f1", 1), ("relaxed_f1", 1)]
    # The three pairs of a, b and c are a family of their own.
    assert set(table.filter(measure="f1", family="f1")["tests"]) == {3}


def test_max_t_of_a_single_pair_is_its_own_test(two):
    for found in compare_corpora(two).iter_rows(named=True):
        assert (found["family"], found["tests"]) == (found["measure"], 1)
        assert found["p_max_t"] == pytest.approx(found["p"], abs=0.015)


def test_the_largest_of_a_single_t_is_student_s_where_seeds_matter_most():
    draw = np.random.default_rng(8)
    corpora = [corpus(f"c{n}", draw, (0.7, 0.7), 40, 40 * n, 5, 20.0) for n in range(2)]
    found = row(compare_corpora(corpora))
    assert found["variance_seeds"] > 5 * found["variance_documents"]
    assert found["critical_90"] == pytest.approx(stats.t.ppf(0.95, found["df_seeds"]), rel=0.05)


def test_a_positive_difference_favours_what_decodes():
    draw = np.random.default_rng(4)
    corpora = []
    for place in range(2):
        made = corpus(f"c{place}", draw, (0.8,), start=40 * place)
        gold = made.systems["a", DIRECT].runs[0, :, 0, 1].astype(int)
        llm = counted(draw, gold, 0.9, 3, decoding="free", model="llm")
        systems = {**made.systems, ("llm", "free"): llm}
        corpora.append(CountedCorpus(made.name, made.documents, made.kind, systems, {}))
    found = row(compare_corpora(corpora))
    assert (found["model"], found["baseline_model"]) == ("llm", "a")
    assert found["difference"] > 0


def test_a_corpus_too_small_for_a_test_is_no_part_of_the_mean(two):
    small = corpus("small", np.random.default_rng(5), (0.8, 0.7), documents=9, start=100)
    found = row(compare_corpora([*two, small], resamples=200))
    assert (found["names"], found["left_out"]) == ("east, west", "small (9 documents)")
    assert len(compare_corpora([two[0], small], resamples=200)) == 0
    gold = np.array([9] * 9 + [0] * 3)
    systems = {("a", DIRECT): counted(np.random.default_rng(5), gold, 0.8, 3)}
    assert CountedCorpus("few", np.arange(12), "document", systems, {}).limit == "9 documents"


@pytest.mark.parametrize(
    ("seeds", "covers", "untested", "family"),
    [
        ((1, 1), "documents", None, "f1"),
        ((1, 3), "documents", "one seed", None),
        ((2, 2), "documents and seeds", None, None),
    ],
)
def test_few_seeds_have_the_words_and_families_of_a_single_corpus(seeds, covers, untested, family):
    draw = np.random.default_rng(6)
    corpora = []
    for place in range(2):
        gold = draw.poisson(8, 40) + 1
        systems = {
            (model, DIRECT): counted(draw, gold, 0.7, count, 1.0, model=model)
            for model, count in zip("ab", seeds, strict=True)
        }
        corpora.append(
            CountedCorpus(f"c{place}", np.arange(40) + 40 * place, "document", systems, {})
        )
    found = row(compare_corpora(corpora))
    assert (found["covers"], found["untested"], found["family"]) == (covers, untested, family)
    assert (found["p"] is None) == (untested is not None)
    assert found["ci_low"] < found["difference"] < found["ci_high"]


def test_systems_that_share_weights_are_paired_by_seed_on_every_corpus():
    """Two decodings of weights that scatter widely over seeds."""
    draw = np.random.default_rng(7)
    corpora = []
    for place in range(2):
        gold = draw.poisson(8, 40) + 1
        free = counted(draw, gold, 0.7, 3, 10.0, decoding="free", model="llm")
        runs = free.runs.copy()
        runs[:, 0, :, 3] += 5  # always the same five predictions more
        constrained = SystemCounts("llm", "constrained", runs)
        systems = {("llm", each.decoding): each for each in (free, constrained)}
        corpora.append(
            CountedCorpus(f"c{place}", np.arange(40) + 40 * place, "document", systems, {})
        )
    found = row(compare_corpora(corpora))
    assert found["covers"] == "documents and paired seeds"
    assert found["variance_seeds"] < 0.1


def test_documents_that_corpora_share_have_the_same_number_even_by_way_of_a_third():
    def texts(*documents):
        return [
            Instance(f"{name}-{place}", name, words.split(), ["O"] * len(words.split()))
            for place, (name, words) in enumerate(documents)
        ]

    def words(first):
        return " ".join(f"word{number}" for number in range(first, first + 30))

    golds = {
        "east": texts(("a", words(0)), ("1234567", "gout")),
        "north": texts(("b", words(12)), ("c", words(500))),
        "west": texts(("1234567", "pain"), ("d", words(24)), ("e", words(700))),
    }
    numbers = number_documents(golds)
    # North's b has half of a and half of d, which have little in common.
    assert numbers["east"][1] == numbers["north"][0] == numbers["west"][1]
    assert numbers["east"][0] == numbers["west"][0], "the same PubMed id"
    assert len({number for each in numbers.values() for number in each}) == 4
