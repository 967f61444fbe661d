"""Reports from a small tree: the paper's values and the differences are beside ours."""

import json
import re

import polars as pl
import pytest
from typer.testing import CliRunner

from bioner.cli import app
from bioner.comparison.compare import COMPARISON
from bioner.corpora.changes import Changes
from bioner.corpora.statistics import corpus_statistics
from bioner.data.instances import Prediction
from bioner.errors import InputError
from bioner.io.tables import write_table
from bioner.realignment.realign import ALIGNMENT
from bioner.reporting.report import report
from bioner.reporting.summary import summary
from bioner.reporting.tables import alignment_table
from bioner.results.load import ReportContext, load_results
from bioner.scoring.score import ScoredRun, score
from bioner.settings.catalogue import parse_entry
from bioner.settings.config import Scoring
from bioner.settings.dataset_entry import Agreement
from bioner.settings.model_entry import ModelEntry
from tests.conftest import instance
from tests.golden.trees import BERTS, GOLD, MANY, WRONG, built, for_many, row


def test_counts_stand_beside_the_paper_s(kept):
    tables = built(kept)
    assert tables["table1_instances"].rows() == [
        ("BC5CDR", "train", 2, 4560, 2 - 4560),
        ("BC5CDR", "dev", 1, 4581, 1 - 4581),
        ("BC5CDR", "test", 2, 4797, 2 - 4797),
    ]
    assert row(tables["table2_test_entities"], length="2") == {
        "dataset": "BC5CDR",
        "length": "2",
        "ours": 0,
        "paper": 1438,
        "difference": 0 - 1438,
        "scored": 1,
    }
    assert row(tables["table2_test_entities"], length="3+")["ours"] == 1


def test_the_paper_s_chemprot_scores_are_held_against_the_reproduction_of_its_data_alone(kept):
    for dataset in ("ChemProt", "ChemProt-paper"):
        folder = kept / "results" / dataset / "deberta-v3-large"
        write_table(
            folder / "scores.csv",
            score(GOLD, WRONG, ScoredRun(dataset, "deberta-v3-large", 1, "direct")),
        )
    tables = built(kept, datasets=["ChemProt", "ChemProt-paper"], models=["deberta-v3-large"])
    for name, keys in {"table3_strict": {"length": "all"}, "table5_relaxed": {}}.items():
        right, wrong = (
            row(tables[name], dataset=corpus, **keys) for corpus in ("ChemProt", "ChemProt-paper")
        )
        assert right["paper_f1"] == wrong["paper_f1"] is not None
        assert right["f1_difference"] is None
        assert wrong["f1_difference"] == pytest.approx(wrong["f1"] - wrong["paper_f1"])


def test_the_corpora_table_says_what_a_reader_of_scores_wants_to_know(kept):
    """Its test split is its train: gout/Disease, aspirin/Chemical; renal failure/Disease."""
    published = Agreement(values={"Disease": 87.5}, measure="Jaccard", source="Somebody 2016")
    context = ReportContext(agreement={"BC5CDR": published, "JNLPBA": published})
    found = row(built(kept, context=context)["corpora"], dataset="BC5CDR")
    assert found == {
        "dataset": "BC5CDR",
        "documents": None,  # unknown: no two sentences share one
        "entities": 3,
        "entities_per_100_tokens": 60,
        "with_entity": 1,
        "tokens_in_entities": 4 / 5,
        "mean_entity_length": 4 / 3,
        "length_1": 2 / 3,
        "length_2": 1 / 3,
        "length_3_plus": 0,
        "mean_tokens": 5 / 2,
        "p95_tokens": 3,
        "longest": 3,
        "instances_in_train": 2,
        "near_duplicates_in_train": 0,  # no sentence of eight words
        "near_duplicate_unit": "sentence",
        "mentions_seen_in_train": 1,
        "mentions_of_several_types": 0,
        "texts_also_untagged": 0,
        "annotations_lost": 0,
        "entities_by_type": "Chemical 0.33, Disease 0.67",
        "seen_in_train_by_type": "Chemical 1.0, Disease 1.0",
        "annotator_agreement": "Disease 87.5 (Jaccard; Somebody 2016)",
        "published": None,
        "may_have_read": None,
    }


def test_a_workflow_passes_what_is_published_about_corpora_and_models_in_variables(
    kept, monkeypatch
):
    published = {"values": {"all": 0.9}, "measure": "kappa", "source": "Somebody 2016"}
    described = {"format": "conll", "agreement": published, "published": 2018}
    described["splits"] = {split: f"/{split}.tsv" for split in ("train", "dev", "test")}
    monkeypatch.setenv("BIONER_DATASETS", json.dumps({"BC5CDR": described}))
    monkeypatch.setenv("BIONER_CLOSED", "")
    encoder = {"family": "encoder", "source": {"hub": "a/b"}, "training_cutoff": "2018-10"}
    monkeypatch.setenv("BIONER_MODELS", json.dumps({BERTS[0]: encoder}))
    folders = [text for name in ("results", "data") for text in (f"--{name}", str(kept / name))]
    options = ["--notices", "{}", "--out", str(kept / "reports")]
    assert CliRunner().invoke(app, ["report", *folders, *options]).exception is None
    table = pl.read_csv(kept / "reports" / "corpora.csv")
    assert table["annotator_agreement"].to_list() == ["all 0.9 (kappa; Somebody 2016)"]
    assert table.select("published", "may_have_read").rows() == [(2018, f"{BERTS[0]} (2018-10)")]


def test_what_older_statistics_lack_is_empty_in_the_corpora_table(kept):
    path = kept / "data" / "BC5CDR" / "stats.csv"
    known = ["instances", "documents", "tokens", "entities", "tags", "table2_entities"]
    table = pl.read_csv(path).filter(pl.col("statistic").is_in(known))
    write_table(path, table)
    found = row(built(kept)["corpora"], dataset="BC5CDR")
    assert (found["entities"], found["length_1"]) == (3, 2 / 3)
    empty = [name for name, value in found.items() if value is None]
    assert {"with_entity", "mentions_of_several_types", "texts_also_untagged"} <= {*empty}
    assert (found["near_duplicates_in_train"], found["near_duplicate_unit"]) == (None, None)
    assert found["seen_in_train_by_type"] is None


def test_a_test_split_without_an_entity_has_shares_of_none(kept):
    path = kept / "data" / "BC5CDR" / "stats.csv"
    splits = {"train": GOLD, "dev": GOLD, "test": [instance("t", "all/O quiet/O")]}
    counted = {name: [] for name in splits}
    write_table(path, corpus_statistics("BC5CDR", splits, counted, Changes()))
    found = row(built(kept)["corpora"], dataset="BC5CDR")
    assert (found["entities"], found["entities_per_100_tokens"]) == (0, 0)
    assert [found[name] for name in ("mean_entity_length", "length_1", "entities_by_type")] == [
        None
    ] * 3


def test_notes_on_corpora_stand_on_the_page(kept):
    notices = {"BC5CDR": "Known by heart.", "ChemProt-paper": "Not in this report."}
    left_out = {"BC5CDR": "gone", "Reddit-Impacts": "left out: ask <its authors>"}
    built(kept, notices=notices, context=ReportContext(left_out=left_out))
    page = (kept / "reports" / "report.html").read_text()
    assert "<strong>Reddit-Impacts</strong>: left out: ask &lt;its authors&gt;" in page
    assert "<strong>BC5CDR</strong>: Known by heart." in page
    assert "<strong>BC5CDR</strong>: gone" in page, "a corpus may be left out and have a notice"
    assert "Not in this report" not in page


def test_the_page_and_the_log_warn_of_a_test_set_whose_mentions_all_occur_in_train(
    kept, caplog, monkeypatch
):
    merging = ("BC5CDR", "merged weights predict dev otherwise.")
    monkeypatch.setattr("bioner.reporting.report.note_merging", lambda runs: [merging])
    built(kept)  # its test split is its train
    warning = (
        "BC5CDR: every mention of its test set occurs in train with the same type: a dictionary of"
        " train can find them, and scores do not show how systems do on entities that they have"
        " not seen."
    )
    assert f"report: {warning}" in caplog.messages
    page = (kept / "reports" / "report.html").read_text()
    assert f"<strong>{warning.replace(':', '</strong>:', 1)}" in page
    assert f"report: {': '.join(merging)}" in caplog.messages
    assert "<strong>BC5CDR</strong>: merged weights predict dev otherwise." in page


def test_the_page_names_the_models_that_may_have_read_a_corpus(kept):
    entries = {
        name: {"family": "encoder", "source": {"hub": f"a/{name}"}, "training_cutoff": cutoff}
        for name, cutoff in zip(BERTS, ("2014-12", "2015-01", None), strict=True)
    }
    models = {name: parse_entry(ModelEntry, name, entry) for name, entry in entries.items()}
    published = {"BC5CDR": 2015, "JNLPBA": 2004}
    built(kept, context=ReportContext(models=models, published=published))
    assert (
        "<strong>BC5CDR</strong>: published in 2015; models that may have read it, by the end of"
        " their pretraining text: bert-large-cased (2015-01), biomedbert-large (unknown)."
    ) in (kept / "reports" / "report.html").read_text()


def test_scores_are_means_over_seeds_beside_the_paper_s(kept):
    found = row(built(kept)["table3_strict"], model="bert-large-cased", length="all")
    # F1 of the seeds: 2 of 3 found, none wrong: 80; and 100.
    assert (found["seeds"], found["f1"], found["paper_f1"]) == (2, 90, 87.05)
    assert found["f1_difference"] == pytest.approx(90 - 87.05)
    # Precision of both seeds is 100, recall 2 of 3 and 3 of 3.
    assert found["precision_difference"] == pytest.approx(100 - 85.56)
    assert found["recall_difference"] == pytest.approx(500 / 6 - 88.59)
    assert found["f1_std"] == pytest.approx(200**0.5)


def test_rows_by_length_show_the_paper_s_number_and_no_difference(kept):
    found = row(built(kept)["table3_strict"], model="bert-large-cased", length="3+")
    assert (found["paper_f1"], found["f1_difference"]) == (79.30, None)


def test_an_llm_is_held_against_the_paper_as_it_wrote_freely(kept):
    tables = [
        score(GOLD, WRONG, ScoredRun("BC5CDR", "llama-8b", 1, decoding))
        for decoding in ("free", "free-paper", "constrained")
    ]
    write_table(kept / "results" / "BC5CDR" / "llama-8b" / "scores.csv", pl.concat(tables))
    reports = built(kept)
    for name, keys in {"table3_strict": {"length": "all"}, "table5_relaxed": {}}.items():
        rows = reports[name].filter(model="llama-8b", **keys)
        for measure in ("precision", "recall", "f1"):
            held = rows.filter(pl.col(f"{measure}_difference").is_not_null())["decoding"].to_list()
            assert held == ["free-paper"]
        assert rows["paper_f1"].null_count() == 0


def test_relaxed_scores_stand_beside_table_v(kept):
    found = row(built(kept)["table5_relaxed"], model="biomedbert-large")
    assert (found["f1"], found["paper_f1"]) == (90, 89.56)


def test_intervals_stand_beside_f1_and_deviations_over_seeds_apart(kept):
    """The seeds' bounds are averaged; the deviation is between seeds."""
    seeds = [
        score(
            MANY,
            for_many(WRONG),
            ScoredRun("BC5CDR", BERTS[0], seed, "direct"),
            options=Scoring(bootstrap=50),
        )
        for seed in (1, 2)
    ]
    write_table(kept / "results" / "BC5CDR" / BERTS[0] / "scores.csv", pl.concat(seeds))
    strict = seeds[0].filter(scorer="semeval", scheme="strict", stratum="all", label="all")
    found = row(built(kept)["table3_strict"], model=BERTS[0], length="all")
    assert (found["f1_ci_low"], found["f1_ci_high"]) == (
        strict["f1_ci_low"].item(),
        strict["f1_ci_high"].item(),
    )
    assert found["f1_ci_low"] < found["f1"] <= found["f1_ci_high"]
    assert found["f1_std"] == 0


def test_bounds_recalls_and_new_sentences_are_means_over_seeds(kept):
    right = [Prediction(item.id, item.tags) for item in MANY]
    tables = [
        score(
            MANY,
            found,
            ScoredRun("BC5CDR", BERTS[0], seed, "direct"),
            Scoring(bootstrap=50),
            GOLD[1:],
            {f"s1.{n}": [0] for n in range(15)},
        )
        for seed, found in ((1, for_many(WRONG)), (2, right))
    ]
    write_table(kept / "results" / "BC5CDR" / BERTS[0] / "scores.csv", pl.concat(tables))
    reports = built(kept)
    rows = pl.concat(tables)
    strict = rows.filter(scorer="semeval", scheme="strict", stratum="all", label="all")
    found = row(reports["table3_strict"], model=BERTS[0], length="all")
    for name in ("f1_ci_low", "f1_ci_high"):
        assert found[name] == pytest.approx(strict[name].mean())
    assert found["f1_without_repair"] == pytest.approx(
        rows.filter(scorer="strict-iob2")["f1"].mean()
    )
    found = row(reports["subsets"], model=BERTS[0])
    assert found["unseen_recall"] == 75
    new = rows.filter(scorer="subset", stratum="new", scheme="strict")
    assert found["new_f1"] == pytest.approx(new["f1"].mean())
    assert found["new_f1_ci_low"] == pytest.approx(new["f1_ci_low"].mean())
    assert new["f1_ci_low"].null_count() == 0


def test_a_score_of_few_entities_has_the_reason_beside_it_and_no_interval(kept):
    tables = built(kept)
    found = row(tables["table3_strict"], model=BERTS[0], length="all")
    assert (found["f1_ci_low"], found["no_interval"]) == (None, "3 gold entities")
    found = row(tables["table3_strict"], model=BERTS[0], length="2")
    assert found["no_interval"] == "1 gold entity"
    assert row(tables["table5_relaxed"], model=BERTS[0])["no_interval"] == "3 gold entities"


def test_what_the_paper_s_evaluator_divides_by_is_a_mean_too(kept):
    gold = [instance("s1", "a/B-D b/I-D c/I-D d/I-D")]
    halves = [Prediction("s1", ["B-D", "I-D", "B-D", "I-D"])]
    tables = [
        score(gold, found, ScoredRun("BC5CDR", BERTS[0], seed, "direct"))
        for seed, found in ((1, halves), (2, halves))
    ]
    tables[1] = score(
        gold, [Prediction("s1", gold[0].tags)], ScoredRun("BC5CDR", BERTS[0], 2, "direct")
    )
    write_table(kept / "results" / "BC5CDR" / BERTS[0] / "scores.csv", pl.concat(tables))
    found = row(built(kept)["paper_scoring"], model=BERTS[0], scheme="strict", length="all")
    # Two halves use one gold entity twice; the other seed finds it.
    assert found["divided_by"] == 1.5


def test_the_headline_of_an_llm_is_forced_decoding_where_it_was_run(kept):
    for model, decodings in {"llama-8b": ("free", "constrained"), "mistral-7b": ("free",)}.items():
        tables = [
            score(GOLD, WRONG, ScoredRun("BC5CDR", model, 1, decoding)) for decoding in decodings
        ]
        write_table(kept / "results" / "BC5CDR" / model / "scores.csv", pl.concat(tables))
    table = (
        built(kept)["table3_strict"].filter(length="all").select("model", "decoding", "headline")
    )
    assert sorted(table.rows()) == [
        *((model, "direct", True) for model in sorted(BERTS)),
        ("llama-8b", "constrained", True),
        ("llama-8b", "free", False),
        ("mistral-7b", "free", True),
    ]


def test_both_families_are_scored_with_and_without_repair(kept):
    orphans = {"s2": [0]}  # renal failure began with an I-
    table = score(GOLD, WRONG, ScoredRun("BC5CDR", BERTS[0], 1, "direct"), orphans=orphans)
    write_table(kept / "results" / "BC5CDR" / BERTS[0] / "scores.csv", table)
    found = row(built(kept)["table3_strict"], model=BERTS[0], length="all")
    # Repaired 2 of 2 predicted and of 3 gold; without repair 1 of 1 and of 3.
    assert (found["f1"], found["f1_without_repair"]) == (80, 50)


def test_the_paper_s_way_is_marked_and_held_against_its_tables_row_by_row(kept):
    table = built(kept)["paper_scoring"]
    assert set(table["use"]) == {"comparison only"}
    found = row(table, model="bert-large-cased", scheme="strict", length="3+")
    assert (found["f1"], found["paper_f1"], found["f1_difference"]) == (None, 79.30, None)
    found = row(table, model="bert-large-cased", scheme="strict", length="2")
    assert (found["f1"], found["divided_by"]) == (100, 1)
    assert found["f1_difference"] == pytest.approx(100 - found["paper_f1"])
    relaxed = table.filter(model="bert-large-cased", scheme="relaxed")
    assert relaxed["length"].to_list() == ["all"]
    assert relaxed["paper_f1"].item() == 88.13


def test_conventions_stand_side_by_side(kept):
    found = row(built(kept)["conventions"], model="bert-large-cased")
    # Mean of seeds: one finds 2 of 3 by any convention, the other all.
    for name in (
        "strict",
        "relaxed",
        "string_set",
        "any_overlap",
        "one_character",
        "right_boundary",
        "overlap",
    ):
        assert found[name] == pytest.approx(90), name
    # Tokens: 3 of 4 found, none wrong: recall 75, F1 600 / 7.
    assert (found["token"], found["token_accuracy"]) == (pytest.approx((600 / 7 + 100) / 2), 87.5)
    # By type: chemicals 0 and 100, diseases 100 and 100.
    assert found["strict_macro"] == 75


def test_subsets_say_how_much_was_known(kept):
    table = score(GOLD, WRONG, ScoredRun("BC5CDR", BERTS[0], 1, "direct"), train=GOLD[1:])
    write_table(kept / "results" / "BC5CDR" / BERTS[0] / "scores.csv", table)
    found = row(built(kept)["subsets"], model=BERTS[0])
    assert (found["seen_mentions"], found["seen_recall"]) == (1, 100)
    assert (found["unseen_mentions"], found["unseen_recall"]) == (2, 50)
    # Of the new sentence one of two is found: F1 66.7.
    assert (found["entities_in_new_sentences"], found["new_f1"]) == (2, pytest.approx(200 / 3))
    assert (found["entities_in_near_new_sentences"], found["near_new_f1"]) == (2, found["new_f1"])


def test_scores_without_the_near_new_sentences_leave_them_empty(kept):
    """As an earlier version wrote them."""
    table = score(GOLD, WRONG, ScoredRun("BC5CDR", BERTS[0], 1, "direct"), train=GOLD[1:])
    old = table.filter(pl.col("stratum") != "near-new")
    write_table(kept / "results" / "BC5CDR" / BERTS[0] / "scores.csv", old)
    found = row(built(kept)["subsets"], model=BERTS[0])
    assert (found["entities_in_near_new_sentences"], found["near_new_f1"]) == (None, None)
    assert found["entities_in_new_sentences"] == 2


def test_comparisons_of_the_report_s_models_are_judged(kept):
    """Pairs with models of another run in the same file are left out."""
    whose = {
        "dataset": "BC5CDR",
        "model": BERTS[0],
        "decoding": "direct",
        "baseline_decoding": "direct",
        "measure": "f1",
    }
    found = {"stratum": "all", "label": "all", "family": "f1", "difference": 3.0, "tests": 2}
    found |= {"standard_error": 1.0, "df": 20.0, "critical": 2.5, "critical_90": 2.2}
    found |= {"ci_low": 1.0, "ci_high": 5.0, "p_max_t": 0.02}
    sizes = {"gold_entities": 40, "clusters": 40, "clusters_with_gold": 40}
    pairs = [
        {"baseline_model": other, "p": p}
        for other, p in ((BERTS[1], 0.01), (BERTS[2], 0.04), ("another", 0.001))
    ]
    pairs.append({"model": "another", "baseline_model": BERTS[1], "p": 0.001})
    write_table(
        kept / "results" / "BC5CDR" / "comparisons.csv",
        pl.DataFrame([whose | found | sizes | pair for pair in pairs], schema=COMPARISON),
    )
    significance = built(kept)["significance"]
    assert significance["baseline_model"].to_list() == [*BERTS[1:]]
    assert significance["verdict"].to_list() == ["higher", "higher"]


def test_cells_without_scores_are_named_on_the_page(kept):
    built(kept, datasets=["BC5CDR"], models=["bert-large-cased", "llama-8b"])
    assert "BC5CDR × llama-8b" in (kept / "reports" / "report.html").read_text()


def test_names_are_escaped_on_the_page(kept):
    hostile = "<img src=x onerror=alert(1)>"
    table = score(GOLD, WRONG, ScoredRun("BC5CDR", hostile, 1, "direct"))
    write_table(kept / "results" / "BC5CDR" / hostile / "scores.csv", table)
    built(kept)
    page = (kept / "reports" / "report.html").read_text()
    assert hostile not in page
    assert "&lt;img src=x" in page


def test_the_summary_holds_every_system_once(kept):
    """One of three is strictly right, another half: F1 40 and 60. Constrained gets all right."""
    cut = [Prediction("s1", ["B-Disease", "O", "O"]), Prediction("s2", ["O", "B-Disease"])]
    right = [Prediction(item.id, item.tags) for item in GOLD]
    tables = [
        score(GOLD, found, ScoredRun("BC5CDR", "llama-8b", 1, how))
        for how, found in (("free", cut), ("constrained", right))
    ]
    write_table(kept / "results" / "BC5CDR" / "llama-8b" / "scores.csv", pl.concat(tables))
    built(kept)
    text = summary(kept / "reports")
    assert text.count("bert-large-cased") == 1
    rows = [re.findall(r"[\w.-]+", line) for line in text.splitlines() if "llama-8b" in line]
    assert sorted(row[2:] for row in rows) == [
        ["constrained"] + ["100.00"] * 6,
        ["free", "50.00", "33.33", "40.00", "75.00", "50.00", "60.00"],
    ]


def test_reachable_recall_is_the_share_of_gold_entities_that_some_tag_could_have_found(kept):
    found = {
        "gold_tokens": 5,
        "output_tokens": 4,
        "exact": 3,
        "dropped": 1,
        "reachable_entities": 1,
    }
    rows = [
        dict.fromkeys(ALIGNMENT, 0) | {"id": name, "gold_entities": 2} | found | more
        for name, more in (("s1", {}), ("s2", {"reachable_entities": 2}))
    ]
    path = kept / "results" / "BC5CDR" / BERTS[0] / "seed2" / "direct" / "alignment.csv"
    write_table(path, pl.DataFrame(rows, schema=ALIGNMENT))
    files = load_results(kept / "results", kept / "data", ["BC5CDR"], BERTS, ReportContext())
    found = row(alignment_table(files), model=BERTS[0])
    assert (found["seed"], found["sentences"], found["gold_tokens"], found["dropped"]) == (
        2,
        2,
        10,
        2,
    )
    assert found["reachable_recall"] == 75


@pytest.mark.parametrize("inside", ["results/BC5CDR/bert-large-cased", "data", "results"])
def test_reports_are_not_written_over_what_they_are_made_from(kept, inside):
    with pytest.raises(InputError, match="a folder inside"):
        report(kept / "results", kept / "data", kept / inside)
