"""Reports from a small tree of kept files: the paper's values and the difference stand beside ours."""

import polars as pl
import pytest

from bioner.corpora.changes import Changes
from bioner.corpora.statistics import corpus_statistics
from bioner.errors import InputError
from bioner.instances import Prediction
from bioner.reporting.kept import TIMING
from bioner.reporting.report import report, summary
from bioner.scoring.compare import COMPARISON
from bioner.scoring.score import score
from bioner.tables import write_table
from tests.conftest import instance

GOLD = [
    instance("s1", "gout/B-Disease after/O aspirin/B-Chemical"),
    instance("s2", "renal/B-Disease failure/I-Disease"),
]
WRONG = [Prediction("s1", ["B-Disease", "O", "O"]), Prediction("s2", ["B-Disease", "I-Disease"])]
BERTS = ("bert-large-uncased", "bert-large-cased", "biomedbert-large")


@pytest.fixture
def kept(tmp_path):
    """BC5CDR with three encoders under two seeds each: one finds 2 of 3 entities, its other seed all."""
    for model in BERTS:
        right = [Prediction(item.id, item.tags) for item in GOLD]
        seeds = [score(GOLD, found, "BC5CDR", model, seed, "direct") for seed, found in ((1, WRONG), (2, right))]
        write_table(tmp_path / "results" / "BC5CDR" / model / "scores.csv", pl.concat(seeds))
    splits = {"train": GOLD, "dev": GOLD[:1], "test": GOLD}
    # As if the files' tags had joined two entities that evaluators see apart.
    counted = {name: [3] for name in splits}
    statistics = corpus_statistics("BC5CDR", splits, counted, Changes())
    write_table(tmp_path / "data" / "BC5CDR" / "stats.csv", statistics)
    return tmp_path


def built(kept, **options):
    return report(kept / "results", kept / "data", kept / "reports", **options)


def row(table: pl.DataFrame, **where) -> dict:
    (found,) = table.filter(**where).iter_rows(named=True)
    return found


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
        write_table(folder / "scores.csv", score(GOLD, WRONG, dataset, "deberta-v3-large", 1, "direct"))
    tables = built(kept, datasets=["ChemProt", "ChemProt-paper"], models=["deberta-v3-large"])
    for name, keys in {"table3_strict": {"length": "all"}, "table5_relaxed": {}}.items():
        right, wrong = (row(tables[name], dataset=corpus, **keys) for corpus in ("ChemProt", "ChemProt-paper"))
        assert right["paper_f1"] == wrong["paper_f1"] is not None
        assert right["f1_difference"] is None
        assert wrong["f1_difference"] == pytest.approx(wrong["f1"] - wrong["paper_f1"])


def test_the_corpora_table_says_what_a_reader_of_scores_wants_to_know(kept):
    found = row(built(kept)["corpora"], dataset="BC5CDR")
    assert (found["documents"], found["instances_in_train"], found["mentions_seen_in_train"]) == (2, 2, 1.0)
    assert found["mean_tokens"] == sum(len(item.tokens) for item in GOLD) / 2


def test_notes_on_corpora_stand_on_the_page(kept):
    notices = {"BC5CDR": "Known by heart.", "ChemProt-paper": "Not in this report."}
    built(kept, notices=notices, left_out={"BC5CDR": "gone", "Reddit-Impacts": "left out: ask <its authors>"})
    page = (kept / "reports" / "report.html").read_text()
    assert "<strong>Reddit-Impacts</strong>: left out: ask &lt;its authors&gt;" in page
    assert "<strong>BC5CDR</strong>: Known by heart." in page
    assert "<strong>BC5CDR</strong>: gone" in page, "a corpus may be left out and have a notice"
    assert "Not in this report" not in page


def test_scores_are_means_over_seeds_beside_the_paper_s(kept):
    found = row(built(kept)["table3_strict"], model="bert-large-cased", length="all")
    # F1 of the seeds: 2 of 3 found, none wrong: 80; and 100.
    assert (found["seeds"], found["f1"], found["paper_f1"]) == (2, 90, 87.05)
    assert found["f1_difference"] == pytest.approx(90 - 87.05)
    # Precision of both seeds is 100, recall 2 of 3 and 3 of 3.
    assert found["precision_difference"] == pytest.approx(100 - 85.56)
    assert found["recall_difference"] == pytest.approx(500 / 6 - 88.59)
    assert found["f1_sd_seeds"] == pytest.approx(200**0.5)


def test_rows_by_length_show_the_paper_s_number_and_no_difference(kept):
    found = row(built(kept)["table3_strict"], model="bert-large-cased", length="3+")
    assert (found["paper_f1"], found["f1_difference"]) == (79.30, None)


def test_relaxed_scores_stand_beside_table_v(kept):
    found = row(built(kept)["table5_relaxed"], model="biomedbert-large")
    assert (found["f1"], found["paper_f1"]) == (90, 89.56)


def test_the_bert_family_average_is_there_when_all_three_were_timed(kept):
    for seconds, model in enumerate(BERTS, 1):
        whose = {"dataset": "BC5CDR", "model": model, "seed": 1, "batch": 1, "precision": "bf16", "decoding": "direct"}
        what = {"draft": None, "hardware": "H100", "sentences": 10, "repeats": 3, "seconds_per_sample": float(seconds)}
        table = pl.DataFrame([whose | what], schema=TIMING)
        write_table(kept / "results" / "BC5CDR" / model / "timing.csv", table)
    found = row(built(kept)["table4_inference_time"], model="bert-family-average")
    assert (found["seconds_per_sample"], found["paper_seconds_per_sample"]) == (2, 0.026)


def test_comparisons_of_the_report_s_models_are_judged(kept):
    """Of another run's file in the same place, pairs with models that are not asked for stay out."""
    whose = {"dataset": "BC5CDR", "model": BERTS[0], "measure": "f1", "stratum": "all", "difference": 3.0, "low": 1.0}
    sizes = {"gold_entities": 40, "clusters": 40, "clusters_with_gold": 40}
    pairs = [{"versus_model": other, "p": p} for other, p in ((BERTS[1], 0.01), (BERTS[2], 0.04), ("another", 0.001))]
    write_table(
        kept / "results" / "BC5CDR" / "comparisons.csv",
        pl.DataFrame([whose | sizes | pair for pair in pairs], schema=COMPARISON),
    )
    significance = built(kept)["significance"]
    assert significance["p_holm"].to_list() == [0.02, 0.04]
    assert significance["verdict"].to_list() == ["higher", "higher"]


def test_cells_without_scores_are_named_on_the_page(kept):
    built(kept, datasets=["BC5CDR"], models=["bert-large-cased", "llama-8b"])
    assert "BC5CDR × llama-8b" in (kept / "reports" / "report.html").read_text()


def test_names_are_escaped_on_the_page(kept):
    hostile = "<img src=x onerror=alert(1)>"
    table = score(GOLD, WRONG, "BC5CDR", hostile, 1, "direct")
    write_table(kept / "results" / "BC5CDR" / hostile / "scores.csv", table)
    built(kept)
    page = (kept / "reports" / "report.html").read_text()
    assert hostile not in page
    assert "&lt;img src=x" in page


def test_scores_in_another_cell_s_folder_are_refused(kept):
    table = score(GOLD, WRONG, "BC5CDR", "bert-large-cased", 1, "direct")
    write_table(kept / "results" / "BC5CDR" / "llama-8b" / "scores.csv", table)
    with pytest.raises(InputError, match="scores of BC5CDR by bert-large-cased; expected BC5CDR by llama-8b"):
        built(kept)


def test_a_broken_score_file_is_named(kept):
    (kept / "results" / "BC5CDR" / "bert-large-cased" / "scores.csv").write_text("dataset,model\nx,y\n")
    with pytest.raises(InputError, match=r"bert-large-cased/scores.csv: found an unreadable table"):
        built(kept)


def test_the_summary_holds_every_system_once(kept):
    built(kept)
    text = summary(kept / "reports")
    assert text.count("bert-large-cased") == 1
    assert "90.00" in text
