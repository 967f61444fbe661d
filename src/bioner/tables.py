"""CSV tables: read with their columns checked, written whole or not at all."""

from pathlib import Path

import polars as pl

from bioner.errors import InputError
from bioner.files import atomic_path

Schema = dict[str, type[pl.DataType]]


def read_table(path: Path, schema: Schema) -> pl.DataFrame:
    """A CSV file that must have exactly these columns; empty fields are null."""
    try:
        return pl.read_csv(path, schema=schema)
    except FileNotFoundError:
        raise InputError(path, "no such file", "a CSV table", "Run the stage that makes it.") from None
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(path, f"an unreadable table ({reason})", ", ".join(schema), "Remake the file.") from None


def write_table(path: Path, table: pl.DataFrame) -> None:
    """Write a CSV file, whole or not at all."""
    with atomic_path(path) as temporary:
        table.write_csv(temporary)
