"""The meaning of every report and column; `reports/README.md` is made from this."""

from collections.abc import Mapping

import polars as pl

from bioner.reporting.corpora_mean import MEANS

TITLES = {
    "table1_instances": "Table I. Instances per split",
    "table2_test_entities": (
        "Table II. Test entities by length as the paper counts; scored: as evaluators see them"
    ),
    "corpora": (
        "Test sets: size, entity density, length and ambiguity, and overlap with train; defined in"
        " docs/corpora.md"
    ),
    "table3_strict": "Table III. Strict precision, recall and F1, overall and by entity length",
    "table4_inference_time": "Table IV. Inference seconds per sample",
    "table5_relaxed": "Table V. Relaxed precision, recall and F1",
    "price": (
        "Price of an LLM: its time and arithmetic per sentence divided by those of a single encoder"
        " timed under the same conditions"
    ),
    "alignment": (
        "How outputs fitted the gold tokens; reachable recall is what no better tag could have"
        " raised"
    ),
    "conventions": (
        "F1 of the same predictions by other conventions: see docs/scores.md; intervals stand in"
        " the CSV"
    ),
    "subsets": (
        "Recall of mentions seen in train, unseen and repeated; F1 on new sentences, and on those"
        " that are not near-duplicates of train either"
    ),
    "calibration": (
        "Calibration of predicted entities: is an entity that a model is 90 % sure of right nine"
        " times in ten? Before and after temperature scaling; see docs/scores.md"
    ),
    "paper_scoring": (
        "Tables III and V by the paper's own evaluator and length windows: for comparison only"
    ),
    "significance": (
        "Differences between systems: adjusted p-values, intervals of the same level, and what"
        " could have been shown. The page has the claims and strict F1 overall; other measures,"
        " lengths and entity types are in the CSV"
    ),
    "stability": (
        "The best LLM against the best encoder by other rules of scoring: do sign and verdict stay?"
    ),
    "corpora_mean": (
        "Mean differences over the corpora of this run, which are fixed: nothing is said about"
        " other corpora"
    ),
    "cross": (
        "Drop (domain and guideline): models trained on one corpus, tested on another. The drop is"
        " the strict F1 of the same models trained on the test corpus (home F1) minus theirs, on"
        " the same documents. The corpora differ in their texts and in what they annotate: gold"
        " against gold F1 is how far their own annotations agree on texts that both have"
    ),
    "errors": "Errors by kind; gold entities by their own length, predictions by theirs",
    "search": (
        "Hyper-parameter searches at equal budgets: the strict F1 on dev that the best of fewer"
        " trials would have had on average"
    ),
    "cost": "Cost of searches, trainings, and 1,000 test sentences",
    "cells": "Cells of the matrix: what became of them",
    "provenance": (
        "Where every result comes from: data, weights, code, configuration, machine, time"
    ),
    "scores": "Every score of every cell, one long table (docs/scores.md)",
}
# Columns with the same meaning in every table; OWN has the exceptions.
COLUMNS = {
    "dataset": "corpus",
    "model": "system, by its name in the catalogue of models",
    "decoding": (
        "`direct` (encoders, controls), `free`, `free-paper` or `constrained` (LLMs);"
        " docs/decoding.md"
    ),
    "seed": "seed of the training",
    "seeds": "how many seeds the means are over",
    "trials": (
        "hyper-parameter settings tried on dev, the best of which was trained under every seed; 1"
        " without a search, empty if nothing is trained"
    ),
    "chosen_by": (
        "what chose the best encoder and the best LLM on dev. `search`: the best trials,"
        " whose weights are not reported. `reported runs`: the scored runs, so that their scores"
        " are a little too high by the luck of this choice"
    ),
    "headline": "whether this is the decoding that the model is compared by",
    "length": "entity length in tokens; `all`, or a bucket",
    "split": "train, dev or test",
    "ours": "our count",
    "paper": "the published count",
    "difference": "ours less the paper's",
    "gold_entities": "gold entities of the test set, in that bucket",
    "precision": "percent; mean over seeds",
    "recall": "percent; mean over seeds",
    "f1": "percent; mean over seeds",
    "f1_ci_low": (
        "lower end of the 95 % bootstrap interval of F1 over test documents; mean over seeds"
    ),
    "f1_ci_high": "its upper end",
    "no_interval": (
        "why there is no interval: fewer than 30 gold entities, or 10 documents that hold one"
    ),
    "f1_std": "standard deviation of F1 over seeds; empty for one seed",
    "f1_without_repair": "strict F1 where an entity must begin with B-, as strict IOB2 has it",
    **{f"paper_{name}": "the published value, percent" for name in ("precision", "recall", "f1")},
    **{
        f"{name}_difference": (
            "ours less the paper's, where they are comparable; of LLMs, as they wrote freely"
        )
        for name in ("precision", "recall", "f1")
    },
    "note": "why a cell has no values here, and the log that says more",
    "hardware": "GPUs, or the CPU where there was none",
    "peak_memory_gb": "GB of memory, at most",
    "peak_gpu_memory_gb": "GB of the fullest GPU, at most; empty without GPU",
    "stratum": "which entities or sentences (docs/scores.md)",
    "scheme": "what counts as right: strict, relaxed, exact, type (docs/scores.md)",
}
CONVENTIONS = {
    "strict": "strict F1, percent",
    "relaxed": "SemEval partial",
    "exact": "boundaries only",
    "type": "any overlap of the same type",
    "string_set": "sets of strings per sentence",
    "any_overlap": "any overlap of the same type, on either side",
    "one_character": "one character of tolerance",
    "strict_iob2": "an entity must begin with B-",
    "right_boundary": "the last token and the type",
    "overlap": "any overlap, full credit",
    "token": "F1 of tokens' tags",
    "token_accuracy": "percent of gold entity tokens with their tag",
    "strict_macro": "mean of strict F1 over entity types",
}
COMPARED = {
    "baseline_model": "the other system",
    "baseline_decoding": "its decoding",
    "measure": "f1 or recall (strict), or F1 by another rule of scoring",
    "score": "of the system, percent; counts of all seeds together",
    "baseline_score": "of the other",
    "difference": "score minus the other's",
    "p": "of the difference, unadjusted; empty if it was not tested",
    "tests": "tests adjusted together",
    "p_adjusted": "p adjusted over these tests",
    "level": "error level of the interval: that of the test in its family; 0.05 without a test",
    "low": "lower end of the interval of this level",
    "high": "its upper end",
    "verdict": "higher, lower, equivalent, inconclusive or not tested, and what limits it",
}
OWN = {
    "table2_test_entities": {
        "scored": "entities that evaluators see, once faulty tags are repaired"
    },
    "corpora": {
        "documents": (
            "documents of the test set; if unknown, empty, and sentences are resampled instead"
        ),
        "entities": "entities of the test set",
        "entities_per_100_tokens": "entities per 100 tokens",
        "with_entity": "share of instances with at least one entity",
        "tokens_in_entities": "share of tokens inside entities",
        "mean_entity_length": "tokens per entity, mean",
        "length_1": "share of entities of one token",
        "length_2": "share of entities of two tokens",
        "length_3_plus": "share of entities of three or more tokens",
        "mean_tokens": "tokens per instance, mean",
        "p95_tokens": "tokens per instance, 95th percentile",
        "longest": "tokens of the longest instance",
        "instances_in_train": "test instances with the same tokens as a training instance",
        "near_duplicates_in_train": (
            "test documents or sentences that nearly repeat one of train: Jaccard index of word"
            " 5-grams at least 0.8"
        ),
        "near_duplicate_unit": "which was compared: document, or sentence of at least eight words",
        "mentions_seen_in_train": "share of test mentions whose text and type are in train",
        "mentions_of_several_types": (
            "share of test mentions whose text also has another type somewhere in the corpus"
        ),
        "texts_also_untagged": (
            "share of distinct mention texts that also occur in the test set without a tag"
        ),
        "entities_by_type": "share of test entities by type",
        "seen_in_train_by_type": "mentions_seen_in_train by type",
        "annotator_agreement": "published agreement of annotators; not an upper bound on scores",
        "published": "year its annotations were published",
        "may_have_read": (
            "models whose pretraining text ends in that year or later, or at an unknown time: they"
            " may have read the corpus"
        ),
        "annotations_lost": (
            "annotations of the raw files that are neither kept nor nested in a longer one"
            " (changes.csv)"
        ),
    },
    "table4_inference_time": {
        "protocol": "`fair`: as the model predicts; `paper`: as the paper timed",
        "batch": "sentences at once",
        "seconds_per_sample": (
            "seconds per sentence, from tokens to tags on gold tokens; median of the repeats"
        ),
        "seconds_low": "shortest of all timed passes of all seeds; empty after a single pass",
        "seconds_high": "longest",
        "paper_seconds_per_sample": "the published value",
        "difference": "ours less the paper's, in the row that runs as the paper's did, on an H100",
        "precision": "number format of weights and passes",
        "family": "encoder, llm or llm-head",
        "draft": "where constrained decoding drafts from",
        "seconds_median": "seconds of a single sentence, median (batch 1)",
        "seconds_p95": "its 95th percentile",
        "gflop_per_sample": (
            "billions of matrix additions and multiplications per sentence, as dispatched, of 20"
        ),
        "energy_wh_per_sample": (
            "watt-hours of the GPU per sentence, without the warm-up; empty if it does not say"
        ),
        "others_on_gpu": (
            "processes of others on the GPU: 0 where it was exclusive; empty without GPU"
        ),
        "best_batch": "whether this is the system's fastest batch size",
        "peak_memory_gb": "GB of memory that the timing job had had at most, up to here",
        "peak_gpu_memory_gb": "GB of the fullest GPU in these passes; empty without GPU",
        "baseline": "encoders of this batch size that ratio_time and ratio_flops are held against",
        "baseline_best": "encoders that ratio_time_best is held against",
        "ratio_time": "seconds per sentence over theirs, same batch size, precision and hardware",
        "ratio_flops": "arithmetic per sentence over theirs, same batch size",
        "ratio_time_best": "best batch over the mean of encoders, each at its own best batch",
        "paper_ratio": "published seconds over the published average of the BERT family",
    },
    "price": {
        "protocol": (
            "`fair`: both in one precision; `paper`: as the paper timed, each family in its own"
        ),
        "baseline_model": "the encoder",
        "baseline_decoding": "its decoding",
        "compared": "whether this is the pair chosen on dev, which the answer is about",
        "ratio_best": "seconds per sentence over the encoder's, each at its fastest batch size",
        "ratio_best_low": (
            "the LLM's fastest pass over the encoder's slowest; empty if one was timed once"
        ),
        "ratio_best_high": "the LLM's slowest pass over the encoder's fastest",
        "ratio_batch_1": "the same with one sentence at a time; empty under the paper's protocol",
        "ratio_batch_1_low": "its range over passes, lower end",
        "ratio_batch_1_high": "upper end",
        "ratio_flops": "arithmetic per sentence over the encoder's, at the fastest batch sizes",
        "batch": "the LLM's fastest batch size",
        "baseline_batch": "the encoder's",
        "seconds_per_sample": "the LLM's seconds per sentence at it",
        "baseline_seconds_per_sample": "the encoder's",
        "precision": "number format of the LLM",
        "baseline_precision": "of the encoder",
        "note": "why the compared pair has no ratio",
    },
    "alignment": {
        "sentences": "sentences realigned",
        "gold_tokens": "tokens of the gold",
        "output_tokens": "tokens that the system wrote",
        "exact": "tokens that are those of the gold",
        "substituted": "tokens spelled otherwise that kept their tags",
        "dropped": "gold tokens that the output lacks",
        "added": "tokens of the output that the gold lacks",
        "illegal_tags": "tags that are none of the corpus",
        "orphan_tags": "I- tags that continued nothing, made B-",
        "truncated": "sentences that ended because the budget of tokens did",
        "reachable_entities": "gold entities all of whose tokens are in the output",
        "reachable_recall": "percent of gold entities that are reachable",
    },
    "conventions": CONVENTIONS
    | {f"{name}_ci_low": "lower end of its 95 % interval, mean over seeds" for name in CONVENTIONS}
    | {f"{name}_ci_high": "upper end" for name in CONVENTIONS},
    "subsets": {
        **{
            f"{name}_mentions": f"gold mentions that are {name}"
            for name in ("seen", "unseen", "repeated")
        },
        **{
            f"{name}_recall": "percent of them found, strictly"
            for name in ("seen", "unseen", "repeated")
        },
        "entities_in_new_sentences": "gold entities of sentences that are not in train",
        "new_f1": "strict F1 on these sentences",
        "new_f1_ci_low": "lower end of its 95 % interval",
        "new_f1_ci_high": "upper end",
        "new_no_interval": "why there is none",
        "entities_in_near_new_sentences": (
            "gold entities of new sentences that are not near-duplicates of train either"
        ),
        "near_new_f1": "strict F1 on these sentences",
        "near_new_f1_ci_low": "lower end of its 95 % interval",
        "near_new_f1_ci_high": "upper end",
        "near_new_no_interval": "why there is none",
    },
    "calibration": {
        "predicted_entities": "predicted entities of the test set; mean over seeds",
        "correct": "of them, strictly correct",
        "bins": "bins of the calibration error, each with equally many predicted entities",
        "mean_confidence": (
            "mean confidence of predicted entities, 0 to 1: the least probability of one of its"
            " words' tags"
        ),
        "ece": (
            "expected calibration error, 0 to 1: mean distance of confidence and share of right"
            " entities over the bins; mean over seeds"
        ),
        "ece_ci_low": "lower end of its 95 % interval over test documents; mean over seeds",
        "ece_ci_high": "its upper end",
        "brier": (
            "Brier score, 0 to 1: mean squared distance of confidence and outcome (1 if right);"
            " mean over seeds"
        ),
        "brier_ci_low": "lower end of its 95 % interval over test documents; mean over seeds",
        "brier_ci_high": "its upper end",
        "aurc": "area under the risk-coverage curve, 0 to 1; less is better",
        **{
            f"risk_{coverage}": (
                f"share of wrong ones among the {coverage} % most confident predicted entities"
            )
            for coverage in (50, 80, 90)
        },
        "temperature": (
            "what logits are divided by, fitted on dev for each seed; above 1 a model was too sure"
            " of itself; mean over seeds"
        ),
        "ece_scaled": "expected calibration error after temperature scaling",
        "brier_scaled": "Brier score after temperature scaling",
        "note": "why there is no interval or temperature",
    },
    "paper_scoring": {
        "use": "what these rows are for",
        "divided_by": (
            "what the paper's evaluator divides recall by, which depends on the predictions"
        ),
    },
    "significance": COMPARED
    | {
        "family": "primary, length claim, exploratory or controls (docs/statistics.md)",
        "seeds": "seeds of the system",
        "baseline_seeds": "seeds of the other",
        "adjustment": "how p is adjusted: Holm or max-T",
        "stratum": "entity length in tokens; `3+ - 1` is how much better on long than on short",
        "label": "`all`, or an entity type",
        "margin": "difference that is too small to matter, in points; empty if none is set",
        "equivalence_level": "error level of each of the two one-sided tests of equivalence",
        "equivalence_low": "lower end of the interval that must lie inside the margin",
        "equivalence_high": "its upper end",
        "smallest_difference": (
            "true difference that this test finds with 80 % power, at its level"
        ),
        "smallest_margin": "margin within which equal systems are found equivalent, 80 % power",
        **{
            f"{name}_{end}": f"{which} end for seeds that may scatter {how} (80 % interval)"
            for name in ("smallest_difference", "smallest_margin")
            for end, which, how in (("low", "its lower", "less"), ("high", "its upper", "more"))
        },
        "n_higher": "datasets in which the claim holds, at least (partial conjunction)",
        "n_lower": "the same for its opposite",
        "covers": "what interval and test cover; `documents`: these weights only",
        "standard_error": "of the difference, in points",
        "df": "degrees of freedom of Student's t; empty for tests by resampling",
        "variance_documents": "of the difference, from documents",
        "df_documents": "its degrees of freedom",
        "variance_seeds": "of the difference, from seeds",
        "df_seeds": "its degrees of freedom",
        "variance_interaction": "part of variance_seeds that variance_documents holds already",
        "cluster": "what was drawn: documents, or sentences",
        "clusters": "how many there are",
        "clusters_with_gold": "how many hold a gold entity of the stratum",
        "gold_entities": "gold entities of the stratum",
    },
    "stability": COMPARED
    | {
        "measure": "F1 by another rule of scoring (docs/scores.md), judged as strict F1 is",
        "same_sign": "whether the difference has the sign of that in strict F1",
        "same_verdict": "whether the verdict is the same, less qualifiers; empty if both untested",
    },
    "cross": {
        "train": "corpus that the models were trained on",
        "test": "corpus whose test set they predicted",
        "label": "`all` mapped types together, or one of them by its common name",
        "gold_entities": "gold entities of the mapped types in the documents that were scored",
        **{
            f"{prefix}{name}": f"{what}{whose}, percent; counts of all seeds together"
            for prefix, whose in (("", ""), ("home_", " of the same model trained on `test`"))
            for name, what in (
                ("precision", "strict precision"),
                ("recall", "strict recall"),
                ("f1", "strict F1"),
                ("relaxed_f1", "relaxed F1"),
            )
        },
        **{f"{prefix}f1_ci_low": "lower end of its 95 % interval" for prefix in ("", "home_")},
        **{f"{prefix}f1_ci_high": "upper end" for prefix in ("", "home_")},
        "seeds": "seeds trained on `train`",
        "home_seeds": "seeds trained on `test`; empty if it is not among `datasets`",
        "drop": "home_f1 minus f1: what another domain and another guideline cost, together",
        "drop_ci_low": "lower end of its 95 % interval (paired bootstrap by cluster)",
        "drop_ci_high": "upper end",
        "untested": "why the drop has no p-value (docs/statistics.md)",
        "p": "of approximate randomisation (with several seeds at least the bootstrap's)",
        "cluster": "what was resampled: documents, or sentences if documents are unknown",
        "clusters": "how many there are",
        "left_out": (
            "test documents (or sentences) not scored because train or dev of the training corpus"
            " has them; results/{train}/cross/{test}/run.json names them"
        ),
        "gold_against_gold_f1": (
            "the ceiling: exact F1 of one corpus's gold against the other's on texts that both have"
        ),
        "gold_against_gold_texts": (
            "number of these texts over all splits: documents, or sentences if a corpus has none"
        ),
    },
    "errors": {
        "correct": "gold entities found with borders and type",
        "missed": "gold entities that no prediction overlaps",
        "boundary": "found with their type and other borders",
        "type": "found with their borders and another type",
        "both": "found with other borders and another type",
        "predictions": "predicted entities of that length",
        "spurious": "of them, those that overlap no gold entity",
        "gold_entities": "gold entities of that length",
    },
    "search": {
        "dev_f1": "strict F1 of the best trial on dev, percent",
        "seconds": "wall time of all trials",
        "gpu_hours": "of all trials",
        "equal_trials": "smallest number of trials that a searched model of the corpus has",
        "dev_f1_at_equal_trials": (
            "expected strict F1 on dev of the best of so many trials: mean over all draws without"
            " replacement (Dodge et al. 2019)"
        ),
        "budget": "smallest cost of a search of the corpus, all trials together",
        "budget_unit": (
            "GPU-hours; seconds if no trial had a GPU; empty, and no budget, if only some had"
        ),
        "trials_in_budget": "trials that it pays for, at the model's mean cost per trial",
        "dev_f1_in_budget": (
            "expected strict F1 on dev of the best of so many, linear between whole numbers; empty"
            " if the budget pays for less than one trial"
        ),
    },
    "cost": {
        "stage": "search (all trials), train, or 1000 sentences",
        "seconds": "wall time",
        "gpus": "GPUs used at once",
        "gpu_hours": "wall time times GPUs",
        "energy_kwh": "of the GPUs; empty where they do not say",
        "money": "at the configuration's price (`cost`); empty where there is none",
        "currency": "of the price",
        "trained_parameters": "weights that training changes",
        "trials": "trials of the search",
        "note": "what else is to be known",
    },
    "cells": {
        "state": "done, refused, broken, failed, absent, not run",
        "reason": "why it is not done",
        "log": "the file that says more",
    },
    "provenance": {
        "stage": "train or predict",
        "started": "when the first session began",
        "ended": "when it was done",
        "commit": "of this repository",
        "uncommitted_changes": "whether tracked files differed from it",
        "hub": "the model's id on the hub",
        "revision": "its commit, or the branch or tag that was asked for",
        **{f"{split}_sha256": f"checksum of {split}.jsonl" for split in ("train", "dev", "test")},
        "configuration": "equal for runs with equal settings (their digest)",
        "python": "version",
        "versions": "of packages",
    },
    "scores": {
        "scorer": "by which rules (docs/scores.md)",
        "label": "`all`, an entity type, or `macro`",
        "correct": "count",
        "incorrect": "count",
        "partial": "count",
        "missed": "count",
        "spurious": "count",
        "possible": "gold entities, or what the rule divides recall by",
        "actual": "predicted entities, or what it divides precision by",
        "precision": "percent, unrounded",
        "recall": "percent, unrounded",
        "f1": "percent, unrounded",
        **{
            f"{name}_ci_low": "lower end of its 95 % bootstrap interval"
            for name in ("precision", "recall", "f1")
        },
        **{f"{name}_ci_high": "upper end" for name in ("precision", "recall", "f1")},
    },
}
OWN["corpora_mean"] = {
    name: text for name, text in OWN["significance"].items() if name in MEANS
} | {
    "family": "primary: the best LLM and encoder of each corpus; exploratory: every pair",
    "measure": "f1 or relaxed_f1",
    "corpora": "how many",
    "names": "which",
    "left_out": "corpora too small for a test, and why",
    "documents": "documents of these corpora; one that several share counts once",
    "shared_documents": "documents that several share",
    "score": "mean of the system over the corpora, percent",
    "baseline_score": "of the other",
    "seeds": "fewest seeds on any corpus",
    "baseline_seeds": "of the other",
}
LEAD = """\
# Reports

Made by `bioner report` from the files of a run; nothing here is written by hand. Numbers are
unrounded, empty fields have no value. `report.html` shows the same tables on one page.
"""


def meaning(table: str, column: str) -> str | None:
    """Return what a column of a report holds."""
    return OWN.get(table, {}).get(column) or COLUMNS.get(column)


def readme(tables: Mapping[str, pl.DataFrame]) -> str:
    """Return one chapter per report, with one line per column."""
    parts = [LEAD]
    for name, table in tables.items():
        lines = [f"| `{column}` | {meaning(name, column) or ''} |" for column in table.columns]
        head = [f"## `{name}.csv`\n\n{TITLES[name]}.\n", "| column | |", "|---|---|"]
        parts.append("\n".join([*head, *lines, ""]))
    return "\n".join(parts)
