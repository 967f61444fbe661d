"""A plan as text: a table of models and stages, totals, and notes on them."""

from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from bioner.io.tables import as_markdown
from bioner.ops.planning.hours import Hours
from bioner.ops.planning.plan import BOUNDS, Plan, jobs_by_rule
from bioner.ops.planning.sizes import TOKENS, Size
from bioner.settings.config import Configuration, Prices

STAGES = {
    "search": ("trial", "search"),
    "train": ("train",),
    "predict": ("predict",),
    "time": ("time",),
}
OTHERS = "(no model)"


def text_of(plan: Plan, prices: Prices) -> str:
    """Return the plan for a terminal; `prices` are those per hour, if configured."""
    return "\n".join(
        [as_markdown(by_model(plan.table, plan.measured_by)), "", *_totals(plan, prices)]
    )


def by_model(table: pl.DataFrame, measured_by: Mapping[str, int]) -> pl.DataFrame:
    """Return a row per model and a total: jobs, expected hours by stage, and their basis.

    Hours are GPU-hours, or wall-clock hours of models without a GPU. `>` marks a sum that some
    jobs are missing from, `not stated` one that all are.

    Args:
        table: As in a plan.
        measured_by: The number of finished runs that hours are scaled from, by model.
    """
    named = table.with_columns(pl.col("model").fill_null(OTHERS))
    rows = [
        _row(name, named.filter(model=name), measured_by.get(name, 0))
        for name in named["model"].unique(maintain_order=True)
    ]
    rows.sort(key=lambda row: row["model"] == OTHERS)
    return pl.DataFrame([*rows, _row("total", named, sum(measured_by.values()))])


def notes(
    settings: Configuration, sizes: Mapping[str, Size | None], plan: Plan, absent: Sequence[str]
) -> Iterator[str]:
    """Yield sentences on the assumptions behind a plan, and on what it leaves out."""
    devices = f" (for {' and '.join(plan.devices)})" if plan.devices else ""
    yield (
        "Hours are scaled from finished runs of the model on the same hardware, or else estimated"
        f" by the catalogue's costs{devices}; time for downloads and in queues is not included."
        " Expected: a training that may stop early runs half of its epochs, and at least one more"
        " than its patience. Range: all estimates are too high, or all too low, by their `spread`."
        " At most: all are too low, and no training stops early."
    )
    if plan.not_stated:
        named = ", ".join(plan.not_stated)
        yield (
            f"No costs are stated for {named}, or for another device than their jobs take: totals"
            " say `at least`."
        )
    if plan.space.unknown:
        yield f"No sizes are stated for {', '.join(plan.space.unknown)}: space says `at least`."
    for source in dict.fromkeys(
        size.source for size in sizes.values() if size and size.source != "counted"
    ):
        names = ", ".join(name for name, size in sizes.items() if size and size.source == source)
        yield f"Not normalized yet, sentences as {source}: {names}."
    if alike := [name for name, size in sizes.items() if size and size.tokens is None]:
        yield f"Of unknown length, taken for {TOKENS} tokens a sentence: {', '.join(alike)}."
    if unknown := [name for name, size in sizes.items() if size is None]:
        names = ", ".join(unknown)
        yield (
            "Of unknown size until they are normalized (`snakemake data`), and in no hours:"
            f" {names}."
        )
    if absent:
        yield (
            "Planned, and left out by a run while their files are not at hand:"
            f" {', '.join(absent)}."
        )
    if plan.table["done"].sum():
        out = settings.out
        yield (
            f"Done is what lies under {out}, whatever it was made with; `snakemake -n` tells what"
            " was made with other settings and would be made again."
        )


def hours(found: Hours, unit: str, lower: bool) -> str:
    """Return hours as text; `lower` marks a lower bound."""
    least = "at least " if lower else ""
    between = f" ({_range(found.low, found.high)})" if found.high > found.low else ""
    most = f", {_number(found.most)} at most" if found.most > found.expected else ""
    return f"{least}{_number(found.expected)} {unit} expected{between}{most}"


def _row(name: str, table: pl.DataFrame, runs: int) -> dict[str, object]:
    gpus = table["gpus"].max()
    measure = "gpu_hours" if gpus else "hours"
    cells = {
        stage: _cell(table.filter(pl.col("rule").is_in(rules)), measure)
        for stage, rules in STAGES.items()
    }
    known = table.filter(
        pl.col("rule").is_in([rule for rules in STAGES.values() for rule in rules])
    )
    low, high = (float(known[f"{measure}_{bound}"].sum()) for bound in ("low", "high"))
    return {
        "model": name,
        "jobs": f"{table['jobs'].sum():,}",
        "done": f"{table['done'].sum():,}",
        "hours of": "GPUs" if measure == "gpu_hours" else "CPU jobs",
        **cells,
        "expected": _cell(known, measure),
        "range": _range(low, high),
        "at most": _cell(known, measure, "at_most"),
        "basis": _basis(known, runs),
    }


def _basis(table: pl.DataFrame, runs: int) -> str:
    """Return what the hours are based on, in a few words."""
    found = set(table["basis"].drop_nulls())
    if "measured" not in found:
        return "".join(found)
    partly = "partly " * (len(found) > 1)
    return f"{partly}measured on {runs} run{'s' * (runs != 1)}"


def _range(low: float, high: float) -> str:
    return f"{_number(low)} to {_number(high)}" if high > low else ""


def _cell(table: pl.DataFrame, measure: str, which: str = "expected") -> str:
    values = table[f"{measure}_{which}"]
    if not len(table):
        return ""
    if values.null_count() == len(values):
        return "not stated"
    return ("> " if table["not_stated"].sum() else "") + _number(float(values.sum()))


def _totals(plan: Plan, prices: Prices) -> Iterator[str]:
    rules = jobs_by_rule(plan.table)
    if not rules:
        yield "Nothing is to be done."
        return
    done = plan.table["done"].sum()
    yield (
        f"Jobs: {sum(rules.values()):,} to come"
        f" ({', '.join(f'{count:,} {rule}' for rule, count in rules.items())})"
        + (f"; {done:,} done." if done else ".")
    )
    lower = bool(plan.not_stated)
    yield f"GPUs: {hours(plan.gpu_hours, 'GPU-hours', lower)}."
    yield f"CPUs of jobs without GPU: {hours(plan.cpu_hours, 'core-hours', lower)}."
    gpus = f"{plan.gpus} GPU{'s' * (plan.gpus != 1)} and " if plan.gpus else ""
    yield (
        f"Wall time: no less than {hours(plan.wall, 'hours', False)}, with {gpus}{plan.at_once} "
        f"job{'s' * (plan.at_once != 1)} at once."
    )
    space = plan.space
    least = "at least " * bool(space.unknown)
    yield (
        f"Disk: {least}{_number(space.peak)} GB at the peak: {_number(space.downloads)} downloaded,"
        f" {_number(space.models)} of trained models, {_number(space.running)} of trainings while"
        f" they run, {_number(space.outputs)} of all else."
    )
    files = ", ".join(f"{count:,} {kind}" for kind, count in plan.files.items())
    yield f"Files: about {sum(plan.files.values()):,} ({files})."
    yield from _money(plan, prices)


def _money(plan: Plan, prices: Prices) -> Iterator[str]:
    """Yield the price of the hours, if prices are configured."""
    bills = [(prices.gpu_hour, plan.gpu_hours), (prices.cpu_hour, plan.machine_hours)]
    priced = [(price, found) for price, found in bills if price is not None]
    if priced:
        bill = Hours(
            *(
                sum(price * getattr(found, which) for price, found in priced)
                for which in BOUNDS.values()
            )
        )
        yield f"Money: {hours(bill, prices.currency, bool(plan.not_stated))}."


def _number(value: float) -> str:
    """Round to two significant digits; from 100 on, to an integer."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2g}"
