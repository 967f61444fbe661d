"""Paths of a result tree, relative to `results/`; names left out are Snakemake's wildcards.

{dataset}/{model}/scores.csv, search.csv, timing.csv       a cell: all seeds and decodings
{dataset}/{model}/calibration.csv, reliability.csv         a cell: all seeds, headline decoding
{dataset}/{model}/trials/{trial}/history.csv, run.json     a trial of its hyper-parameter search
{dataset}/{model}/seed{seed}/model, history.csv, run.json  a training
{dataset}/{model}/seed{seed}/{decoding}/predictions.jsonl  a run on test; the same below dev/ for
the dev set, and below cross/{test}/ for the test set of another corpus
{dataset}/cross/{test}/drop.csv, run.json                  models of a corpus on that test set
corpora_mean.csv                                           mean differences over the corpora
"""

WEIGHTS = "model"  # the folder of a trained model
RECORD = "run.json"  # how a training or a prediction was made
HISTORY = "history.csv"
RAW = "raw.jsonl.gz"
PREDICTIONS = "predictions.jsonl"
ALIGNMENT = "alignment.csv"
SCORES = "scores.csv"
TIMING = "timing.csv"
CALIBRATION = "calibration.csv"
RELIABILITY = "reliability.csv"
SEARCH = "search.csv"
WINNER = "winner.json"
COMPARISONS = "comparisons.csv"
SELECTION = "selection.csv"
DROP = "drop.csv"
CORPORA_MEAN = "corpora_mean.csv"


def dataset_path(name: str, dataset: str = "{dataset}") -> str:
    """Return the path of a file about all systems of a corpus."""
    return f"{dataset}/{name}"


def cell_path(name: str, dataset: str = "{dataset}", model: str = "{model}") -> str:
    """Return the path of a file about all seeds and decodings of a model on a corpus."""
    return f"{dataset}/{model}/{name}"


def trial_path(
    name: str, dataset: str = "{dataset}", model: str = "{model}", trial: str = "{trial}"
) -> str:
    """Return the path of a file of one trial of a search."""
    return cell_path(f"trials/{trial}/{name}", dataset, model)


def seed_path(
    name: str, dataset: str = "{dataset}", model: str = "{model}", seed: int | str = "{seed}"
) -> str:
    """Return the path of a file of one training."""
    return cell_path(f"seed{seed}/{name}", dataset, model)


def run_path(
    name: str,
    dataset: str = "{dataset}",
    model: str = "{model}",
    seed: int | str | None = "{seed}",
    decoding: str = "{decoding}",
    part: str = "",
) -> str:
    """Return the path of a file of one prediction.

    `part` is `dev/` for the dev set, `cross_part` for the test set of another corpus.
    """
    return cell_path(f"seed{seed}/{decoding}/{part}{name}", dataset, model)


def cross_part(test: str = "{test}") -> str:
    """Return the folder of predictions on another corpus's test set."""
    return f"cross/{test}/"


def cross_path(name: str, dataset: str = "{dataset}", test: str = "{test}") -> str:
    """Return the path of a file about a corpus's models on another one's test set."""
    return dataset_path(f"{cross_part(test)}{name}", dataset)
