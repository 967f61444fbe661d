"""What encoders and LLMs share: arguments of the Trainer, plain progress lines, the history table."""

import logging
import math
import time
from pathlib import Path
from typing import Any

import polars as pl
import torch
from transformers import (
    EarlyStoppingCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.training_args import OptimizerNames

from bioner.config import Tree
from bioner.errors import InputError
from bioner.tables import Schema

log = logging.getLogger(__name__)


def training_arguments(entry: Tree, folder: Path, seed: int, metric: str, processes: int) -> TrainingArguments:
    """Trainer arguments of a catalogue entry; `folder` takes the checkpoints, `metric` chooses the best epoch."""
    train = entry["train"]
    micro = train["micro_batch_size"] or max(1, train["batch_size"] // processes)
    accumulation, rest = divmod(train["batch_size"], micro * processes)
    if rest or not accumulation:
        found = f"batch_size {train['batch_size']} with micro_batch_size {micro} on {processes} processes"
        raise InputError("train settings", found, "a whole number of accumulation steps", "Change one of the three.")
    if train["optimizer"] not in set(OptimizerNames):
        names = ", ".join(OptimizerNames)
        raise InputError("train settings", f"the optimizer {train['optimizer']!r}", f"one of {names}", "Correct it.")
    on_gpu = torch.cuda.is_available() and entry["resources"]["gpus"] > 0
    keep_best = train["checkpoint"] == "best"
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=train["epochs"],
        per_device_train_batch_size=micro,
        per_device_eval_batch_size=micro,
        gradient_accumulation_steps=accumulation,
        learning_rate=train["learning_rate"],
        weight_decay=train["weight_decay"],
        warmup_steps=train["warmup"],
        lr_scheduler_type="linear",
        optim=train["optimizer"],
        bf16=train["precision"] == "bf16",
        activation_checkpointing=train["checkpointing"],
        activation_checkpointing_kwargs={"use_reentrant": False} if train["checkpointing"] else None,
        ddp_find_unused_parameters=False if processes > 1 else None,
        eval_strategy="epoch",
        save_strategy="epoch" if keep_best else "no",
        save_total_limit=1,
        save_only_model=True,
        load_best_model_at_end=keep_best,
        metric_for_best_model=metric,
        greater_is_better=not metric.endswith("loss"),
        logging_strategy="epoch",
        seed=seed,
        use_cpu=not on_gpu,
        dataloader_pin_memory=on_gpu,
        report_to="none",
        disable_tqdm=True,
    )
    # One process drives one GPU; transformers would spread it over every visible one and multiply the batch.
    arguments._n_gpu = min(1, arguments.n_gpu)
    return arguments


HISTORY: Schema = {
    "epoch": pl.Float64,
    "step": pl.Int64,
    "train_loss": pl.Float64,
    "dev_loss": pl.Float64,
    "dev_strict_f1": pl.Float64,
    "seconds": pl.Float64,
}


class Progress(TrainerCallback):  # type: ignore[misc]
    """A plain line every ten seconds or so and at every epoch; collects the rows of `history.csv`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.started = self.spoke = time.monotonic()
        self.rows: list[dict[str, Any]] = []

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Say how far it is, at most once in ten seconds."""
        if state.is_world_process_zero and time.monotonic() - self.spoke > 10:
            self.spoke = time.monotonic()
            left = (self.spoke - self.started) / state.global_step * (state.max_steps - state.global_step)
            log.info(
                "train %s: step %d of %d, at most %s left", self.name, state.global_step, state.max_steps, _clock(left)
            )

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: dict[str, Any], **kwargs: Any
    ) -> None:
        """Fail on a loss that is no number: nothing good comes after it."""
        if not math.isfinite(logs.get("loss", 0.0)):
            found = f"a loss of {logs['loss']} at step {state.global_step}"
            raise InputError(self.name, found, "a finite loss", "Lower the learning rate or train in fp32.")

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float],
        **kwargs: Any,
    ) -> None:
        """Add an epoch's row and say it."""
        losses = [entry["loss"] for entry in state.log_history if "loss" in entry]
        row: dict[str, Any] = {
            "epoch": round(state.epoch or 0.0, 4),
            "step": state.global_step,
            "train_loss": losses[-1] if losses else None,
            "dev_loss": metrics["eval_loss"],
            "dev_strict_f1": metrics.get("eval_strict_f1"),
            "seconds": round(time.monotonic() - self.started, 3),
        }
        self.rows.append(row)
        if state.is_world_process_zero:
            f1 = "" if row["dev_strict_f1"] is None else f", dev strict F1 {row['dev_strict_f1']:.2f}"
            log.info("train %s: epoch %.4g, dev loss %.4f%s", self.name, row["epoch"], row["dev_loss"], f1)

    def history(self) -> pl.DataFrame:
        """One row an epoch; `seconds` since the start of training."""
        return pl.DataFrame(self.rows, schema=HISTORY)


def callbacks(entry: Tree, progress: Progress) -> list[TrainerCallback]:
    """Progress, and early stopping where the entry asks for it."""
    patience = entry["train"]["patience"]
    return [progress, *([EarlyStoppingCallback(patience)] if patience is not None else [])]


def quiet(trainer: Trainer) -> Trainer:
    """Without the Trainer's own printing of dictionaries; Progress speaks for it."""
    for callback in list(trainer.callback_handler.callbacks):
        if type(callback).__name__ == "PrinterCallback":
            trainer.remove_callback(callback)
    return trainer


def _clock(seconds: float) -> str:
    return (
        f"{seconds / 3600:.1f} h"
        if seconds > 5400
        else f"{seconds / 60:.0f} min"
        if seconds > 90
        else f"{seconds:.0f} s"
    )
