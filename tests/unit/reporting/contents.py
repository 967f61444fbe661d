"""A small page with everything on it, and hostile text everywhere."""

import datetime
from dataclasses import replace

import polars as pl

from bioner.data.instances import Instance, Prediction
from bioner.reporting.disagreements import ReportedSystem, disagreements, mentions
from bioner.reporting.error_analysis import ErrorReport
from bioner.reporting.page import Content, PageFigure
from bioner.results.cells import CELLS
from tests.conftest import instance

HOSTILE = [
    "<script>document.title='run'</script>",
    "</script><script>document.title='run'</script>",
    "\"><img/src=x/onerror=document.title='run'>",
    "&lt;b&gt;",
    "{{document.title='run'}}",
    "\u202eright-to-left\u200f",
    "\U0001f9ec\U0001f469\u200d\U0001f52c",
    "x" * 10_000,
]
ENCODER, LLM, SILENT = (
    ReportedSystem("bert", "direct", 42),
    ReportedSystem("llama-8b", "constrained", 42),
    ReportedSystem("all-o", "direct", 42),
)
TOY = [
    *(
        Instance(f"h{place}", HOSTILE[0], [word, "after", "gout"], ["B-Chemical", "O", "B-Disease"])
        for place, word in enumerate(HOSTILE)
    ),
    instance("t1", "acute/B-Disease renal/I-Disease failure/I-Disease after/O aspirin/B-Chemical"),
    instance("t2", "chronic/B-Disease gout/I-Disease and/O aspirin/B-Chemical"),
    instance("t3", "No/O entity/O here/O"),
    instance("t4", "gout/B-Disease"),
]
MINE = [
    instance(f"m{number}", f"word{number} gout/B-Disease fever/B-Disease") for number in range(120)
]
CLOSED = [instance("secret-1", "unspeakable/B-Disease words/O")]


def predicted(instances: list[Instance], tags: dict[str, str]) -> list[Prediction]:
    """The gold, with other tags for some instances."""
    return [
        Prediction(item.id, tags[item.id].split() if item.id in tags else item.tags)
        for item in instances
    ]


PREDICTIONS = {
    "toy": (
        TOY,
        {
            ENCODER: predicted(
                TOY,
                {f"h{place}": "O O B-Disease" for place in range(len(HOSTILE))}
                | {
                    "t1": "O B-Disease I-Disease O B-Chemical",
                    "t2": "B-Chemical I-Chemical B-Disease O",
                    "t3": "O B-Disease I-Disease",
                    "t4": "B-Chemical",
                },
            ),
            LLM: predicted(
                TOY,
                {
                    "t1": "O B-Disease I-Disease O B-Chemical",
                    "t2": "O B-Chemical I-Chemical B-Chemical",
                    "t3": "B-Gene O O",
                },
            ),
            SILENT: predicted(TOY, {item.id: " ".join("O" for _ in item.tokens) for item in TOY}),
        },
    ),
    "mine": (MINE, {ENCODER: predicted(MINE, {item.id: "O B-Disease O" for item in MINE})}),
    "closed": (
        CLOSED,
        {
            ENCODER: predicted(CLOSED, {"secret-1": "O O"}),
            LLM: predicted(CLOSED, {"secret-1": "O B-Disease"}),
        },
    ),
}
TRAIN = mentions([instance("x", "gout/B-Disease aspirin/B-Chemical")])

TABLE = pl.DataFrame(
    {
        "model": ["m10", "m9", HOSTILE[0], None, *(f"row{number}" for number in range(12))],
        "count": [1_234_567, 999, None, -5, *range(12)],
        "f1": [12.345, 100.0, None, 9.5, *(float(number) / 7 for number in range(12))],
        "p": [0.01234, 0.5, None, None, *(None for _ in range(12))],
        "empty_column": [None] * 16,
        "headline": [True, False, None, None, *(True for _ in range(12))],
    }
)


DRAWN = PageFigure(
    name="curve",
    title="A curve",
    caption=HOSTILE[0],
    svg='<svg viewBox="0 0 10 10"><path d="M0 0L10 10"/></svg>',
    alt="A line <up>",
)


def examined() -> ErrorReport:
    """Disagreements of an open corpus with train, one without, and a closed one."""
    train = {"toy": TRAIN}
    found = [
        disagreements(name, instances, predictions, closed=name == "closed", train=train.get(name))
        for name, (instances, predictions) in PREDICTIONS.items()
    ]
    return ErrorReport(found, [("toy", HOSTILE[1], "predictions.jsonl: no such file")])


def content(**changes) -> Content:
    """Everything that a page can hold."""
    missing = [
        ("toy", "llama-8b", "failed", "exit code 1", "logs/train/toy/llama-8b.log"),
        ("mine", HOSTILE[2], "not run", None, None),
    ]
    whole = Content(
        tables={"table3_strict": TABLE, "cost": pl.DataFrame(schema={"dataset": pl.String})},
        missing=pl.DataFrame(missing, schema=CELLS, orient="row"),
        notes=[(HOSTILE[0], HOSTILE[1])],
        failed={HOSTILE[0]: "logs/a.log"},
        provenance={
            "commit": "abc",
            "cpu": HOSTILE[1],
            "versions": {"polars": "2"},
            "gpus": [],
            "uncommitted_changes": True,
        },
        made=datetime.datetime(2026, 1, 2, 3, 4, tzinfo=datetime.UTC),
        answers=[("toy", ["llama-8b is better.", HOSTILE[2]])],
        figures=[DRAWN],
        disagreements=examined(),
    )
    return replace(whole, **changes)
