"""How far a training is: the rows of history.csv, when to stop, what others see of it; kept with
every checkpoint.
"""

import contextlib
import json
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl
import torch
from accelerate.utils import reduce
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from bioner.errors import InputError
from bioner.io.heartbeat import write_heartbeat
from bioner.io.progress_bars import Meter
from bioner.io.run_record import energy_kwh, peak_memory
from bioner.io.tables import Schema

log = logging.getLogger(__name__)

HISTORY: Schema = {
    "epoch": pl.Float64,
    "step": pl.Int64,
    "train_loss": pl.Float64,
    "dev_loss": pl.Float64,
    "dev_strict_f1": pl.Float64,
    "dev_relaxed_f1": pl.Float64,
    "monitor_f1": pl.Float64,
    "seconds": pl.Float64,
    "tokens_per_second": pl.Float64,
    "peak_memory_gb": pl.Float64,
    "peak_gpu_memory_gb": pl.Float64,
}
Record = dict[str, Any]
Metric = Literal["dev_strict_f1", "dev_loss"]
SILENCE = 10  # seconds between two signs of life, and between two looks at the loss


class Diverged(InputError):
    """A loss that is no number; to a search, a result."""

    def __init__(self, name: str, found: str) -> None:
        super().__init__(name, found, "a finite loss", "Lower the learning rate or train in fp32.")


def best_of(rows: Sequence[Record], metric: Metric) -> Record:
    """The epoch with the best value on dev; the first of equal ones. One without a value is never
    the best.
    """
    sign = -1 if metric.endswith("loss") else 1
    return max(rows, key=lambda row: -math.inf if row[metric] is None else sign * row[metric])


def step_to_keep(rows: Sequence[Record], newest: int, metric: Metric) -> int | None:
    """Return the step of the checkpoint to keep beside the newest.

    That is the best; if the newest is itself the best, the best before it, which training could
    fall back to.

    Args:
        rows: The history so far, one row per epoch.
        newest: The step of the newest checkpoint.
        metric: What makes an epoch the best.

    Returns:
        The step, or None without a finished epoch.
    """
    if not rows:
        return None
    best = best_of(rows, metric)
    earlier = [row for row in rows if row["step"] < newest]
    step: int = (best_of(earlier, metric) if best["step"] == newest and earlier else best)["step"]
    return step


def is_stale(rows: Sequence[Record], metric: Metric, patience: int | None) -> bool:
    """Whether the last `patience` epochs brought no gain on dev."""
    return (
        bool(rows)
        and patience is not None
        and len(rows) - 1 - rows.index(best_of(rows, metric)) >= patience
    )


class Progress(TrainerCallback):  # type: ignore[misc]
    """Rows of the history, one an epoch, the loss since the last one, and the time it all took,
    resumed or not.
    """

    def __init__(
        self,
        name: str,
        metric: Metric = "dev_loss",
        patience: int | None = None,
        tokens: int = 0,
        gpus: int = 0,
    ) -> None:
        self.name, self.metric, self.patience, self.tokens, self.gpus = (
            name,
            metric,
            patience,
            tokens,
            gpus,
        )
        self.rows: list[Record] = []
        self.max_steps: int | None = None
        self.sessions = 1
        self.loss = torch.tensor(0.0)
        self.losses = 0  # optimiser steps that `loss` is the sum of
        self._before = 0.0  # seconds of earlier sessions
        self._energy_before: float | None = 0.0
        self._training = 0.0  # seconds of this epoch, dev evaluation aside
        self._epoch_start = self._start = self._looked = time.monotonic()
        self._energy_start = energy_kwh(gpus)
        self._heartbeat: Path | None = None
        self._heartbeated = -math.inf
        self._meter: Meter | None = None

    def record(self) -> Record:
        """What a checkpoint keeps of it; call it in every process."""
        now = time.monotonic()
        return {
            "rows": self.rows,
            "max_steps": self.max_steps,
            "sessions": self.sessions,
            "loss": self._mean_loss().item(),
            "losses": self.losses,
            "seconds": self.seconds(),
            "training": self._training + now - self._epoch_start,
            "energy_kwh": self.energy(),
        }

    def restore(self, record: Record) -> None:
        """Go on from a checkpoint's record."""
        self.rows, self.max_steps, self.sessions = (
            record["rows"],
            record["max_steps"],
            record["sessions"] + 1,
        )
        self.loss, self.losses = torch.tensor(record["loss"]), record["losses"]
        self._before, self._training, self._energy_before = (
            record["seconds"],
            record["training"],
            record["energy_kwh"],
        )

    def keep_time(self, heartbeat: Path) -> None:
        """From now on write time and energy to a file, and count what an earlier session wrote
        there: none is lost.

        It is also the training's heartbeat (bioner.io.heartbeat): it says how far the training is.
        """
        self._heartbeat = heartbeat
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            before = json.loads(heartbeat.read_text(encoding="utf-8"))
            self._before = max(self._before, float(before["seconds"]))
            if self._energy_before is not None and before["energy_kwh"] is not None:
                self._energy_before = max(self._energy_before, float(before["energy_kwh"]))

    def is_over(self) -> bool:
        """Whether nothing is left to train: every step is done, or early stopping holds."""
        done = (
            bool(self.rows)
            and self.max_steps is not None
            and self.rows[-1]["step"] >= self.max_steps
        )
        return done or is_stale(self.rows, self.metric, self.patience)

    def best_monitored(self) -> float | None:
        """The highest F1 so far on the sample that monitors; None where there is none."""
        return max(
            (row["monitor_f1"] for row in self.rows if row["monitor_f1"] is not None), default=None
        )

    def seconds(self) -> float:
        """Since the start of training, over all sessions."""
        return self._before + time.monotonic() - self._start

    def energy(self) -> float | None:
        """kWh of the GPUs since the start, over all sessions; None where they do not say."""
        now = energy_kwh(self.gpus)
        if now is None or self._energy_start is None or self._energy_before is None:
            return None
        return self._energy_before + now - self._energy_start

    def peak_memory(self) -> tuple[float, float | None]:
        """GB of the machine and of a GPU, the most of all sessions as far as the history knows
        them.
        """
        memory, gpu_memory = peak_memory(self.gpus)
        before = [
            row["peak_gpu_memory_gb"] for row in self.rows if row["peak_gpu_memory_gb"] is not None
        ]
        memory = max([memory, *(row["peak_memory_gb"] for row in self.rows)])
        return memory, max([*before, gpu_memory]) if gpu_memory is not None else None

    def add_loss(self, loss: torch.Tensor) -> None:
        """Add the loss of a forward pass; it stays on its device, nothing waits for it."""
        self.loss = self.loss.to(loss.device) + loss.detach()

    def check_loss(self, step: int) -> None:
        """Fail on a loss that is no number: nothing good comes after it."""
        if not math.isfinite(loss := self.loss.item()):
            raise Diverged(self.name, f"a loss of {loss} at or before step {step}")

    def history(self) -> pl.DataFrame:
        """One row an epoch; `seconds` since the start of training."""
        return pl.DataFrame(self.rows, schema=HISTORY)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Start the clock of the epoch, and know how long it will take."""
        self.max_steps = state.max_steps
        self._epoch_start = time.monotonic()
        self._meter = Meter(
            f"train {self.name}", "steps", state.max_steps, done=state.global_step, at_most=True
        )
        self._meter.show()
        self._tell(args, state, now=True)

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Start the clock of the epoch."""
        self._epoch_start = time.monotonic()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Say how far it is; now and then, look at the loss."""
        self.losses += 1
        if self._meter is not None:
            self._meter.advance()
        if time.monotonic() - self._looked > SILENCE:
            self._looked = time.monotonic()
            self.check_loss(state.global_step)
        self._tell(args, state)

    def on_prediction_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Live on while dev is evaluated."""
        self._tell(args, state)

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Stop the clock before dev is evaluated."""
        self.check_loss(state.global_step)
        self._training += time.monotonic() - self._epoch_start

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float],
        **_: Any,
    ) -> None:
        """Add an epoch's row, say it, and stop where nothing is gained any more."""
        before = self.rows[-1]["epoch"] if self.rows else 0.0
        memory, gpu_memory = peak_memory(self.gpus)
        row: Record = {
            "epoch": round(state.epoch or 0.0, 4),
            "step": state.global_step,
            "train_loss": self._mean_loss().item() / max(1, self.losses),
            "dev_loss": metrics["eval_loss"],
            "dev_strict_f1": metrics.get("eval_strict_f1"),
            "dev_relaxed_f1": metrics.get("eval_relaxed_f1"),
            "monitor_f1": metrics.get("eval_monitor_f1"),
            "seconds": round(self.seconds(), 3),
            "tokens_per_second": round(
                self.tokens * ((state.epoch or 0.0) - before) / max(self._training, 1e-9), 1
            ),
            "peak_memory_gb": memory,
            "peak_gpu_memory_gb": gpu_memory,
        }
        self.rows.append(row)
        self.loss, self.losses, self._training = torch.zeros_like(self.loss), 0, 0.0
        self._epoch_start = time.monotonic()
        if not math.isfinite(row["dev_loss"]):
            raise Diverged(
                self.name, f"a dev loss of {row['dev_loss']} after epoch {row['epoch']:g}"
            )
        if state.is_world_process_zero:
            f1 = "" if row["monitor_f1"] is None else f", monitor F1 {row['monitor_f1']:.2f}"
            f1 += (
                ""
                if row["dev_strict_f1"] is None
                else f", dev strict F1 {row['dev_strict_f1']:.2f}"
            )
            log.info(
                "train %s: epoch %.4g, dev loss %.4f%s",
                self.name,
                row["epoch"],
                row["dev_loss"],
                f1,
            )
        if is_stale(self.rows, self.metric, self.patience):
            control.should_training_stop = True
        self._tell(args, state, now=True)

    def close(self) -> None:
        """Show nothing any more."""
        if self._meter is not None:
            self._meter.close()
            self._meter = None

    def _tell(self, args: TrainingArguments, state: TrainerState, now: bool = False) -> None:
        """Leave a heartbeat of life, at most every SILENCE seconds but where there is news."""
        if self._heartbeat is None or not state.is_world_process_zero:
            return
        if not now and time.monotonic() - self._heartbeated <= SILENCE:
            return
        self._heartbeated = time.monotonic()
        scores = [f1 for row in self.rows if (f1 := row["dev_strict_f1"]) is not None]
        facts = {
            "seconds": self.seconds(),
            "energy_kwh": self.energy(),
            "step": state.global_step,
            "steps": state.max_steps,
            "epoch": state.epoch or 0.0,
            "epochs": args.num_train_epochs,
            "dev_strict_f1": max(scores, default=None),
            "seconds_left": self._meter.left() if self._meter else None,
        }
        write_heartbeat(self._heartbeat, facts)

    def _mean_loss(self) -> torch.Tensor:
        """Over the processes of the job, each of which sees a part of every batch."""
        return reduce(self.loss, "mean")  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class Trained:
    """What training leaves besides weights.

    `kept` is the row of the history whose weights are kept, None for a trial that diverged; `facts`
    go into run.json as they are.
    """

    progress: Progress
    kept: dict[str, Any] | None
    facts: dict[str, Any]
    parameters: int
