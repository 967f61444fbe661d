"""End all processes of a training together: on a signal, or if the loss of one is NaN."""

import signal
from types import FrameType
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import reduce
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from bioner.errors import Interrupted
from bioner.training.progress import Progress


class Interrupts(TrainerCallback):  # type: ignore[misc]
    """After a signal, save a checkpoint at the next step (or at the end of an epoch) and leave.

    The signals are SIGTERM (preemption, scancel) and SIGUSR1 (Slurm's warning of the time limit).
    While dev is evaluated, the epoch's checkpoint is already written, so processes leave at once.
    """

    SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
    progress: Progress  # of the training to end

    def __init__(self, name: str) -> None:
        self.name = name
        self.came: int | None = None

    def note(self, number: int, frame: FrameType | None) -> None:
        """Remember a signal (a handler, see signal.signal)."""
        self.came = number

    def anywhere(self, device: torch.device, step: int) -> int | None:
        """Return the signal that any process received, since all must leave after the same step.

        Raises:
            Diverged: In all processes, if the loss of one is NaN or infinite.
        """
        if PartialState().num_processes == 1:
            return self.came  # without waiting for the device; Progress looks at the loss
        came = torch.tensor(float(self.came is not None), device=device)
        came, loss = reduce(torch.stack([came, self.progress.loss.to(device)]), "sum")
        self.progress.check_loss(step, loss.item())
        return (self.came or signal.SIGTERM) if came.item() else None

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Ask for a checkpoint, except at the end of an epoch, when one follows anyway."""
        came = self.anywhere(args.device, state.global_step)
        if came and state.epoch != int(state.epoch) and state.global_step < state.max_steps:
            control.should_save = True

    def on_prediction_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Leave the evaluation of dev on a signal, in each process separately."""
        if self.came:
            kept = " while dev is evaluated. A checkpoint is written, dev is scored on resuming"
            raise Interrupted(self.name, self.came, kept)

    def leave(self, args: TrainingArguments, state: TrainerState, control: TrainerControl) -> None:
        """Leave on a signal, after a checkpoint has been sealed, unless training is over."""
        number = self.anywhere(args.device, state.global_step)
        if number and (self.progress.unscored or not control.should_training_stop):
            at = f" at step {state.global_step} of {state.max_steps}. A checkpoint is written"
            raise Interrupted(self.name, number, at)
