"""Progress of a training: history, early stopping and heartbeat, saved with every checkpoint."""

import logging
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import torch
from accelerate.utils import reduce
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from bioner.errors import InputError
from bioner.io.heartbeat import JobProgress, read_heartbeat, write_heartbeat
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
Row = dict[str, Any]  # of HISTORY
SILENCE = 10  # seconds between two heartbeats, and between two looks at the loss


class Diverged(InputError):
    """The loss is NaN or infinite; a search counts that as a result."""

    def __init__(self, name: str, found: str) -> None:
        super().__init__(name, found, "a finite loss", "Lower the learning rate or train in fp32.")


def best_of(rows: Sequence[Row]) -> Row:
    """Return the first epoch with the highest strict F1 on dev; one without F1 is the lowest."""
    return max(
        rows,
        key=lambda row: -math.inf if row["dev_strict_f1"] is None else row["dev_strict_f1"],
    )


def step_to_keep(rows: Sequence[Row], newest: int) -> int | None:
    """Return the step of the checkpoint to keep besides the newest.

    It is the best; if the newest is itself the best, the best before it, which training could fall
    back to.

    Args:
        rows: The history so far, one row per epoch.
        newest: The step of the newest checkpoint.

    Returns:
        The step, or None without a finished epoch.
    """
    if not rows:
        return None
    earlier = [row for row in rows if row["step"] < newest]
    return int(best_of(earlier or rows)["step"])


def is_stale(rows: Sequence[Row], patience: int | None) -> bool:
    """Whether the last `patience` epochs brought no gain on dev."""
    return (
        bool(rows)
        and patience is not None
        and len(rows) - 1 - rows.index(best_of(rows)) >= patience
    )


class Progress(TrainerCallback):  # type: ignore[misc]
    """The history, the loss since its last row, and the time and energy of all sessions."""

    def __init__(
        self, name: str, patience: int | None = None, tokens: int = 0, gpus: int = 0
    ) -> None:
        self.name, self.patience, self.tokens, self.gpus = name, patience, tokens, gpus
        self.rows: list[Row] = []
        self.max_steps = 0
        self.sessions = 1
        self.loss = torch.tensor(0.0)
        self.losses = 0  # optimiser steps that `loss` is the sum of
        self.unscored = False  # whether an epoch has ended but has no scores yet
        self._before = 0.0  # seconds of earlier sessions
        self._energy_before: float | None = 0.0
        self._training = 0.0  # seconds of this epoch without dev evaluation
        self._epoch_start = self._start = self._looked = time.monotonic()
        self._energy_start = energy_kwh(gpus)
        self._heartbeat: Path | None = None
        self._meter: Meter | None = None

    def record(self) -> dict[str, Any]:
        """Return what a checkpoint holds of this; call it in every process."""
        now = time.monotonic()
        return {
            "rows": self.rows,
            "max_steps": self.max_steps,
            "sessions": self.sessions,
            "loss": self._mean_loss().item(),
            "losses": self.losses,
            "unscored": self.unscored,
            "seconds": self.seconds(),
            "training": self._training + now - self._epoch_start,
            "energy_kwh": self.energy(),
        }

    def restore(self, record: dict[str, Any]) -> None:
        """Resume from a checkpoint's record."""
        self.rows, self.max_steps, self.sessions = (
            record["rows"],
            record["max_steps"],
            record["sessions"] + 1,
        )
        self.loss, self.losses = torch.tensor(record["loss"]), record["losses"]
        self.unscored = record.get("unscored", False)  # earlier versions scored before saving
        self._before, self._training, self._energy_before = (
            record["seconds"],
            record["training"],
            record["energy_kwh"],
        )

    def keep_time(self, heartbeat: Path) -> None:
        """Write time and energy to this file from now on, and add those of earlier sessions in it.

        So no time is lost, not even that after the last checkpoint. The file is also the heartbeat
        of the training (bioner.io.heartbeat).
        """
        self._heartbeat = heartbeat
        if before := read_heartbeat(heartbeat):
            self._before = max(self._before, before.seconds or 0.0)
            if self._energy_before is not None and before.energy_kwh is not None:
                self._energy_before = max(self._energy_before, before.energy_kwh)

    def is_over(self) -> bool:
        """Whether nothing is left to train: every step is done, or early stopping applies."""
        done = bool(self.rows) and self.rows[-1]["step"] >= self.max_steps
        return done or is_stale(self.rows, self.patience)

    def best_monitored(self) -> float | None:
        """Return the highest F1 so far on the monitoring sample, None without one."""
        return max(
            (row["monitor_f1"] for row in self.rows if row["monitor_f1"] is not None), default=None
        )

    def seconds(self) -> float:
        """Return the time since the start of training, over all sessions."""
        return self._before + time.monotonic() - self._start

    def energy(self) -> float | None:
        """Return the GPUs' kWh since the start, over all sessions; None if unknown."""
        now = energy_kwh(self.gpus)
        if now is None or self._energy_start is None or self._energy_before is None:
            return None
        return self._energy_before + now - self._energy_start

    def peak_memory(self) -> tuple[float, float | None]:
        """Return the peak GB of the machine and of a GPU, over all sessions in the history."""
        memory, gpu_memory = peak_memory(self.gpus)
        before = [
            row["peak_gpu_memory_gb"] for row in self.rows if row["peak_gpu_memory_gb"] is not None
        ]
        memory = max([memory, *(row["peak_memory_gb"] for row in self.rows)])
        return memory, max([*before, gpu_memory]) if gpu_memory is not None else None

    def add_loss(self, loss: torch.Tensor) -> None:
        """Add the loss of a forward pass without waiting for its device."""
        self.loss = self.loss.to(loss.device) + loss.detach()

    def check_loss(self, step: int, loss: float | None = None) -> None:
        """Raise Diverged if the loss (default: of this process) is NaN or infinite."""
        loss = self.loss.item() if loss is None else loss
        if not math.isfinite(loss):
            raise Diverged(self.name, f"a loss of {loss} at or before step {step}")

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Start the meter; it may end early, by early stopping."""
        self.max_steps = state.max_steps
        self._meter = Meter(
            f"train {self.name}", "steps", state.max_steps, done=state.global_step, at_most=True
        )
        self._meter.show()
        self._write_heartbeat(args, state)

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Start the epoch's clock."""
        self._epoch_start = time.monotonic()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Advance the meter; now and then, check the loss and write a heartbeat."""
        self.losses += 1
        if self._meter is not None:
            self._meter.advance()
        if self._is_silent():
            self.check_loss(state.global_step)
            self._write_heartbeat(args, state)

    def on_prediction_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Write heartbeats while dev is evaluated."""
        if self._is_silent():
            self._write_heartbeat(args, state)

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Stop the epoch's clock before dev is evaluated."""
        self.check_loss(state.global_step)
        now = time.monotonic()
        self._training, self._epoch_start = self._training + now - self._epoch_start, now
        self.unscored = True

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float],
        **_: Any,
    ) -> None:
        """Add the epoch's row, log it, and stop if dev no longer improves."""
        before = self.rows[-1]["epoch"] if self.rows else 0.0
        memory, gpu_memory = peak_memory(self.gpus)
        row: Row = {
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
        self.unscored = False
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
        if is_stale(self.rows, self.patience):
            control.should_training_stop = True
        self._write_heartbeat(args, state)

    def close(self) -> None:
        """Remove the meter."""
        if self._meter is not None:
            self._meter.close()
            self._meter = None

    def _is_silent(self) -> bool:
        """Whether the last heartbeat is too old."""
        return time.monotonic() - self._looked > SILENCE

    def _write_heartbeat(self, args: TrainingArguments, state: TrainerState) -> None:
        self._looked = time.monotonic()
        if self._heartbeat is None or not state.is_world_process_zero:
            return
        scores = [f1 for row in self.rows if (f1 := row["dev_strict_f1"]) is not None]
        progress = JobProgress(
            seconds=self.seconds(),
            seconds_left=self._meter.left() if self._meter else None,
            energy_kwh=self.energy(),
            step=state.global_step,
            steps=state.max_steps,
            epoch=state.epoch or 0.0,
            epochs=args.num_train_epochs,
            dev_strict_f1=max(scores, default=None),
        )
        write_heartbeat(self._heartbeat, progress)

    def _mean_loss(self) -> torch.Tensor:
        """Average over the processes, which have a part of every batch each."""
        return reduce(self.loss, "mean")  # type: ignore[no-any-return]
