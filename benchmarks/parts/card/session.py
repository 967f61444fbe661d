"""The session of a step, and the file of its measurements; imports no torch."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bioner.models.devices import device_of


@dataclass(frozen=True, slots=True)
class Session:
    """A run of one step.

    Attributes:
        step: Its name.
        out: The folder of the session's results, which later sessions resume from.
        scratch: A folder with room for the weights of a large model (16 GB).
        rehearse: Whether to run on the CPU, with tiny shapes.
    """

    step: str
    out: Path
    scratch: Path
    rehearse: bool = False

    @property
    def gpus(self) -> int:
        return int(not self.rehearse)

    @property
    def device(self) -> Any:
        return device_of(self.gpus)

    @property
    def file(self) -> Path:
        """The JSON lines measured so far, which a step that times out keeps."""
        return self.out / f"{self.step}.jsonl"

    def say(self, **figures: object) -> None:
        """Write one measurement."""
        with self.file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(figures) + "\n")

    def measured(self) -> list[dict[str, Any]]:
        """Return what the step has measured."""
        if not self.file.is_file():
            return []
        *lines, _ = self.file.read_text("utf-8").split("\n")  # the last may be cut short
        return [json.loads(line) for line in lines]
