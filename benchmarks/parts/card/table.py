"""The table in docs/performance.md: goals, and measurements of each card."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from bioner.settings.repository import REPOSITORY

CARDS = REPOSITORY / "docs" / "gpu"
PAGE = REPOSITORY / "docs" / "performance.md"
BEGIN, END = "<!-- gpu: made by `make gpu-check` -->", "<!-- end of gpu -->"
REHEARSAL = "rehearsal"  # in place of a card's name


class Row(NamedTuple):
    """A line of the table: the step's measurement that matches `where` with the least `field`.

    Attributes:
        text: Format of the cell, with the names of figures.
        goal: The largest value of `field` that meets the goal.
    """

    label: str
    step: str
    where: Mapping[str, object]
    field: str
    text: str
    goal: float | None = None


def _rows() -> Iterator[Row]:
    for corpus, goals in {"JNLPBA": (20, 8.4), "BioRED": (80, 35)}.items():
        for weights in ("merged", "as-trained"):
            for batch, goal in zip((1, 32), goals, strict=True):
                yield Row(
                    f"{corpus}, constrained, {weights}, batch {batch}: ms per sentence (per pass)",
                    "constrained",
                    {"corpus": corpus, "weights": weights, "batch": batch},
                    "ms_per_sentence",
                    "{ms_per_sentence} ({pass_ms})",
                    goal if weights == "merged" else None,
                )
    speed = "seconds_per_1000_sentences"
    yield Row("training: s per 1,000 sentences", "training", {}, speed, f"{{{speed}}}", 45)
    for checkpointing in (True, False):
        for micro in (4, 8, 16, 32):
            yield Row(
                f"… micro-batch {micro}, {'with' if checkpointing else 'without'} checkpointing:"
                " s (ms per pass, ms of the host, GiB, FLOP utilisation)",
                "training",
                {"micro_batch": micro, "checkpointing": checkpointing},
                speed,
                f"{{{speed}}} ({{pass_ms}}, {{host_ms}}, {{peak_gib}}, {{flop_utilisation}})",
            )
    for weights in ("merged", "as-trained"):
        for batch in (1, 32):
            yield Row(
                f"free, {weights}, batch {batch}: ms per id",
                "free",
                {"weights": weights, "batch": batch},
                "ms_per_id",
                "{ms_per_id}",
            )
    for corpus in ("JNLPBA", "BioRED"):
        yield Row(
            f"{corpus}: share of tags (entities) that merging changes, random weights",
            "agreement",
            {"corpus": corpus},
            "tags_that_differ",
            "{tags_that_differ} ({entities_that_differ})",
        )
    for batch in (1, 32):
        yield Row(
            f"Llama-3.1-8B, JNLPBA, constrained, merged, batch {batch}: ms per sentence (per pass)",
            "llama_constrained",
            {"batch": batch},
            "ms_per_sentence",
            "{ms_per_sentence} ({pass_ms})",
        )
    yield Row(
        "Llama-3.1-8B, training with checkpointing: s per 1,000 sentences (GiB)",
        "llama_training",
        {},
        speed,
        f"{{{speed}}} ({{peak_gib}})",
    )
    for model in ("bert-large-uncased", "deberta-v3-large"):
        for size in ("32 x 40", "32 x 512"):
            where = {"model": model, "training": size}
            yield Row(f"{model}, step of {size}: ms", "encoders", where, "step_ms", "{step_ms}")
        for weights in ("merged", "as-trained"):
            where = {"model": model, "weights": weights, "tagging": "JNLPBA"}
            label = f"{model}, JNLPBA, {weights}: ms per sentence"
            yield Row(label, "encoders", where, "ms_per_sentence", "{ms_per_sentence}")


ROWS = tuple(_rows())


def table(cards: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Return the table of the steps of cards, by the cards' names."""
    if not cards:
        return "No card has been measured yet."
    lines = [f"| shape of Mistral-7B unless another is named | goal | {' | '.join(cards)} |"]
    lines.append(f"|---|---|{'---|' * len(cards)}")
    for row in ROWS:
        shown = [_shown(row, steps) for steps in cards.values()]
        lines.append(f"| {row.label} | {row.goal or ''} | {' | '.join(shown)} |")
    return "\n".join(lines)


def _shown(row: Row, steps: Sequence[Mapping[str, Any]]) -> str:
    alike = [
        figures
        for step in steps
        if step["step"] == row.step
        for figures in step["measured"]
        if row.where.items() <= figures.items()
    ]
    measured = [figures for figures in alike if row.field in figures]
    if not measured:
        return "out of memory" if any("out_of_memory" in figures for figures in alike) else ""
    best = min(measured, key=lambda figures: figures[row.field])
    verdict = "" if row.goal is None else ", met" if best[row.field] <= row.goal else ", not met"
    return row.text.format(**best) + verdict


def page(text: str, made: str) -> str:
    """Return a page with the table in its place."""
    between = f"{re.escape(BEGIN)}.*?{re.escape(END)}"
    return re.sub(between, lambda _: f"{BEGIN}\n{made}\n{END}", text, flags=re.DOTALL)


def measured_cards() -> dict[str, list[dict[str, Any]]]:
    """Return the steps of every card with a file in docs/gpu, by the card's name."""
    files = sorted(path for path in CARDS.glob("*.json") if path.stem != REHEARSAL)
    records = [json.loads(path.read_text(encoding="utf-8")) for path in files]
    return {record["card"]: record["steps"] for record in records}


def write_table() -> None:
    """Write the table of all cards into the page."""
    text = page(PAGE.read_text(encoding="utf-8"), table(measured_cards()))
    PAGE.write_text(text, encoding="utf-8")
