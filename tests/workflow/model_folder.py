"""A folder with the files of a model, as far as they are looked at before it is loaded."""

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file


def model_folder(folder: Path) -> None:
    """Make a folder that holds a configuration, a tokenizer and weights, all of them empty."""
    folder.mkdir(parents=True)
    for name in ("config.json", "tokenizer.json"):
        (folder / name).write_text("{}")
    save_file({"weight": np.zeros(2, dtype=np.float32)}, folder / "model.safetensors")
