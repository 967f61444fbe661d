"""Models of one corpus on another one's test set: mapped types, and the drop, by hand."""

import polars as pl
import pytest

from bioner.comparison.agreement import compare_gold
from bioner.comparison.compare import System, compare
from bioner.comparison.cross import (
    DROP,
    Corpus,
    CrossSystem,
    drop_table,
    find_shared_types,
    read_drops,
    reduced,
    score_across,
    without,
)
from bioner.data.instances import Instance
from bioner.errors import InputError
from tests.conftest import instance
from tests.unit.scoring.predicted import predicted

TYPES = {"Disease": ["DPF"], "Chemical": ["Chem"]}
KNOWN = ["Chemical", "Disease"]  # what the training corpus annotates
GOLD = [
    Instance("s1", "d1", ["gout", "and", "renal", "failure"], ["B-DPF", "O", "B-DPF", "I-DPF"]),
    Instance("s2", "d1", ["aspirin"], ["B-Chem"]),
    Instance("s3", "d2", ["IL-2", "in", "asthma"], ["B-Gene", "O", "B-DPF"]),
]
# Gout and aspirin are right, "renal" is cut short, IL-2 is no chemical, and DPF is no type of the
# training corpus: 2 of 4 entities, 2 of 4 predictions.
ELSEWHERE = predicted("B-Disease O B-Disease O", "B-Chemical", "B-Chemical O B-DPF")
# All diseases, no chemical; the gene is not asked for: 3 of 4 entities, 3 of 3 predictions.
HOME = predicted("B-DPF O B-DPF I-DPF", "O", "B-Gene O B-DPF")
NOTHING = predicted("O O O O", "O", "O O O")


def drops(gold=GOLD, elsewhere=(ELSEWHERE,), home=(HOME,), types=TYPES):
    """The rows of one system by label."""
    system = CrossSystem("m", "direct", elsewhere, home)
    agreement = compare_gold(gold, gold, types)
    table = drop_table(gold, [system], types, KNOWN, agreement, resamples=200)
    return {row["label"]: row for row in table.iter_rows(named=True)}


def test_both_sides_are_scored_on_the_mapped_types_alone():
    row = drops()["all"]
    assert (row["gold_entities"], row["seeds"], row["home_seeds"]) == (4, 1, 1)
    assert (row["precision"], row["recall"], row["f1"]) == (50, 50, 50)
    # Relaxed: gout, aspirin and half of renal failure, 2.5 of 4 on either side.
    assert row["relaxed_f1"] == pytest.approx(62.5)
    assert (row["home_precision"], row["home_recall"]) == (100, 75)
    assert row["home_f1"] == row["home_relaxed_f1"] == pytest.approx(600 / 7)
    assert row["drop"] == pytest.approx(600 / 7 - 50)
    assert (row["cluster"], row["clusters"]) == ("document", 2)


def test_every_type_has_a_row_of_its_own():
    found = drops()
    assert list(found) == ["all", "Disease", "Chemical"]
    disease, chemical = found["Disease"], found["Chemical"]
    # 1 of 3 diseases, of 2 predicted: F1 is 2 of 5.
    assert (disease["gold_entities"], disease["f1"]) == (3, pytest.approx(40))
    assert (disease["home_f1"], disease["drop"]) == (100, pytest.approx(60))
    # Aspirin, of 2 predicted; none at home, where it is no drop but a gain.
    assert (chemical["gold_entities"], chemical["f1"]) == (1, pytest.approx(200 / 3))
    assert (chemical["home_f1"], chemical["drop"]) == (0, pytest.approx(-200 / 3))


def test_the_rows_of_a_system_stand_together_in_the_order_of_systems():
    systems = [CrossSystem(model, "direct", (ELSEWHERE,), ()) for model in ("z", "a")]
    table = drop_table(GOLD, systems, TYPES, KNOWN, compare_gold(GOLD, GOLD, TYPES), 10)
    labels = ["all", "Disease", "Chemical"]
    rows = [(model, label) for model in ("z", "a") for label in labels]
    assert table.select("model", "label").rows() == rows


def test_seeds_are_counted_together():
    row = drops(elsewhere=(ELSEWHERE, NOTHING))["all"]
    # 2 right of 2 x 4 entities and 4 predictions.
    assert (row["seeds"], row["f1"]) == (2, pytest.approx(100 / 3))
    assert row["drop"] == row["home_f1"] - row["f1"]


def test_seeds_at_home_are_counted_together_too():
    row = drops(home=(HOME, NOTHING))["all"]
    # 3 right of 2 x 4 entities and 3 predictions.
    assert (row["seeds"], row["home_seeds"], row["home_f1"]) == (1, 2, pytest.approx(600 / 11))


def test_the_interval_of_a_drop_is_that_of_the_comparison_under_the_same_seed():
    gold = [instance(f"s{n}", "gout/B-Disease") for n in range(1, 31)]
    right, wrong = ["B-Disease"] * 30, ["B-Disease", "O", "O"] * 10
    elsewhere, home = (predicted(*tags) for tags in (wrong, right))
    agreement = compare_gold(gold, gold, {"Disease": []})
    table = drop_table(
        *(gold, [CrossSystem("m", "direct", [elsewhere], [home])], {"Disease": []}, KNOWN),
        *(agreement, 100, 7),
    )
    sides = [System("m", "direct", [runs]) for runs in (home, elsewhere)]
    bounds = [compare(gold, sides, (), 100, seed).row(0, named=True) for seed in (7, 0)]
    expected, other = ([row["ci_low"], row["ci_high"]] for row in bounds)
    assert [*table.select("drop_ci_low", "drop_ci_high").row(0)] == expected != other


def test_documents_are_resampled_and_sentences_if_there_are_none():
    # In every document and sentence all is found at home, nothing elsewhere: whatever is drawn.
    gold = [Instance(f"s{n}", f"d{n // 2}", ["gout"], ["B-DPF"]) for n in range(1, 31)]
    home = predicted(*["B-DPF"] * 30)
    row = drops(gold, [predicted(*["O"] * 30)], [home])["all"]
    assert (row["cluster"], row["clusters"]) == ("document", 16)
    assert row["drop"] == 100
    loose = [instance(each.id, "gout/B-DPF") for each in gold]
    row = drops(loose, [predicted(*["O"] * 30)], [home])["all"]
    assert (row["cluster"], row["clusters"]) == ("sentence", 30)


@pytest.mark.parametrize(
    ("sentences", "documents", "limit"),
    [(30, 10, None), (29, 29, "29 gold entities"), (30, 9, "9 documents")],
)
def test_a_drop_of_too_few_entities_or_documents_has_neither_interval_nor_p(
    sentences, documents, limit
):
    gold = [
        Instance(f"s{n}", f"d{n % documents}", ["gout", "and"], ["B-DPF", "O"])
        for n in range(1, sentences + 1)
    ]
    gold.append(Instance(f"s{sentences + 1}", "d0", ["and", "and"], ["O", "O"]))
    home = predicted(*["B-DPF O"] * sentences, "O O")
    row = drops(gold, [predicted(*["O O"] * sentences, "O O")], [home])["all"]
    assert (row["drop"], row["no_interval"]) == (100, limit)
    bounds = {name: row[name] for name in row if "_ci_" in name}
    assert set(bounds.values()) == ({None} if limit else {0, 100})
    assert (row["p"] is None, row["untested"]) == (bool(limit), limit)


def test_an_older_table_of_drops_is_read_without_intervals_of_few_entities(tmp_path):
    table = pl.DataFrame(list(drops().values()), schema=DROP).with_columns(
        *(pl.lit("x").alias(name) for name in ("train", "test")),
        pl.Series("gold_entities", [30, 29, 29]),
        drop_ci_low=pl.lit(1.0),
    )
    table.drop("no_interval", "untested").write_csv(tmp_path / "drop.csv")
    read = read_drops(tmp_path / "drop.csv")
    assert read.columns == list(DROP)
    few = "under 30 gold entities"
    assert read.select("drop_ci_low", "no_interval").rows() == [(1, None), (None, few), (None, few)]


def test_without_a_model_at_home_there_is_no_drop():
    row = drops(home=())["all"]
    assert (row["f1"], row["no_interval"]) == (50, "4 gold entities")
    assert {row[name] for name in DROP if name.startswith(("home_", "drop"))} == {None}
    assert row["p"] is None


def test_the_two_golds_are_held_against_each_other_by_label():
    long = ["word"] * 30
    one = [Instance("a", "a", [*long, "gout", "aspirin"], ["O"] * 30 + ["B-DPF", "B-Chem"])]
    other = [Instance("b", "b", [*long, "gout", "aspirin"], ["O"] * 30 + ["B-Disease", "O"])]
    system = CrossSystem("m", "direct", [predicted(" ".join(["O"] * 32))], [])
    table = drop_table(other, [system], TYPES, KNOWN, compare_gold(one, other, TYPES), 100)
    f1 = dict(table.select("label", "gold_against_gold_f1").iter_rows())
    # Gout in both; aspirin in one of them: 2 x 1 of 2 + 1.
    assert f1 == {"all": pytest.approx(200 / 3), "Disease": 100, "Chemical": 0}
    assert set(table["gold_against_gold_texts"]) == {1}


def test_entities_of_other_types_are_no_entities():
    names = {"protein": "Gene", "DNA": "Gene"}
    tags = ["B-protein", "I-protein", "B-DNA", "B-cell", "I-cell", "O", "I-O"]
    assert reduced(tags, names) == ["B-Gene", "I-Gene", "B-Gene", "O", "O", "O", "O"]


def test_documents_are_left_out_with_what_was_predicted_for_them():
    assert without({"d1": "x"}, GOLD, GOLD) == GOLD[2:]
    assert without({"d1": "x"}, GOLD, HOME) == HOME[2:]
    assert without({}, GOLD, HOME) == HOME


def test_documents_of_train_and_dev_are_left_out_of_both_sides_and_named():
    known = [Instance("t1", "10001", ["gout", "aspirin"], ["B-Disease", "B-Chemical"])]
    dev = [Instance("v1", "10002", ["asthma"], ["B-Disease"])]
    own = Corpus("BC5CDR", {"train": known, "dev": dev, "test": []})
    # The first document, of PubMed's id 10002, is in the other corpus's dev.
    ids = {"d1": "10002", "d2": "20000"}
    gold = [Instance(each.id, ids[each.doc], each.tokens, each.tags) for each in GOLD]
    other = Corpus("BioRED", {"train": [], "dev": [], "test": gold})
    systems = [CrossSystem("m", "direct", [ELSEWHERE], [HOME])]
    table, left_out = score_across(own, other, systems, {"Disease": ["DPF"]}, 200)
    assert left_out == {"10002": "10002"}
    row = table.row(0, named=True)
    assert (row["train"], row["test"], row["left_out"]) == ("BC5CDR", "BioRED", 1)
    # What stays is asthma, which the model finds at home, but elsewhere does not know as DPF.
    assert (row["gold_entities"], row["f1"], row["home_f1"]) == (1, 0, 100)
    own.splits["train"].append(Instance("t2", "20000", ["asthma"], ["B-Disease"]))
    with pytest.raises(
        InputError, match="found every test document of BioRED in train or dev of BC5CDR"
    ):
        score_across(own, other, systems, {"Disease": ["DPF"]}, 200)


def test_a_type_that_the_training_corpus_does_not_have_is_named():
    with pytest.raises(InputError) as caught:
        find_shared_types(TYPES, ("BC5CDR", ["Chem", "Gene"]), ("BioRED", KNOWN))
    assert str(caught.value) == (
        "cross: types.Disease: found no Disease or DPF in BC5CDR; expected one of its types"
        " (Chem, Gene). Add the corpus's name for it, or leave the type out."
    )


def test_types_that_a_test_set_does_not_have_are_left_out_of_it(caplog):
    shared = find_shared_types(TYPES, ("BC5CDR", KNOWN), ("NCBI-disease", ["DPF"]))
    assert shared == {"Disease": TYPES["Disease"]}
    (warning,) = caplog.messages
    (other,) = TYPES.keys() - {"Disease"}
    assert warning == f"cross: NCBI-disease has no {other}: the type is left out there"
    with pytest.raises(InputError, match="in NCBI-disease; expected one of its types"):
        find_shared_types(TYPES, ("BC5CDR", KNOWN), ("NCBI-disease", ["Gene"]))
