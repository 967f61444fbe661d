"""Where the repository is: the workflow, its configuration and its profiles lie next to `src`."""

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
DEFAULT_CONFIG = REPOSITORY / "config" / "config.yaml"
