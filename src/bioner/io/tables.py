"""CSV tables: read with their columns checked, written completely or not at all."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from bioner.errors import InputError
from bioner.io.files import atomic_path

Schema = dict[str, type[pl.DataType]]


def read_table(
    path: Path, schema: Schema, required: Sequence[str] = (), later: Sequence[str] = ()
) -> pl.DataFrame:
    """Read a CSV file with exactly these columns; empty fields are null.

    Args:
        path: The file.
        schema: The columns and their types, in order.
        required: Columns that must have a value in every row.
        later: Columns that files of earlier versions lack; they are null there.

    Raises:
        InputError: The file is missing, truncated or has other columns, or lacks a required value.
    """
    if path.is_dir():
        raise InputError(path, "a folder", "a CSV table", "Name the file in it.")
    try:
        header = pl.read_csv(path, n_rows=0, glob=False).columns if later else []
        absent = {name: schema[name] for name in later if name not in header}
        there = {name: type_ for name, type_ in schema.items() if name not in absent}
        table = pl.read_csv(path, schema=there, glob=False)
    except FileNotFoundError:
        raise InputError(
            path, "no such file", "a CSV table", "Run the stage that makes it."
        ) from None
    except (pl.exceptions.PolarsError, OSError) as error:
        # Not the library's message: it quotes the file, whose text may be confidential.
        column = next((name for name in schema if f"'{name}'" in str(error)), None)
        found = f"an unreadable table (column {column})" if column else "an unreadable table"
        raise InputError(
            path, found, f"the columns {', '.join(schema)}", "Remake the file."
        ) from None
    if not path.read_bytes().endswith(b"\n"):
        raise InputError(
            path,
            "a table that ends within a line",
            "a whole one",
            "It was cut short: copy it again.",
        )
    nothing = [pl.lit(None, type_).alias(name) for name, type_ in absent.items()]
    table = table.with_columns(nothing).select(schema.keys())
    for name in required:
        if table[name].null_count():
            line = table[name].is_null().arg_true()[0] + 2
            raise InputError(f"{path}:{line}", f"no {name}", "one in every row", "Remake the file.")
    return table


def check_table(path: Path) -> None:
    """Raise InputError if a CSV file cannot have this name."""
    if path.suffix.lower() in (".gz", ".zst"):
        raise InputError(path, "a compressed table", "a plain .csv", "Leave the suffix out.")


def write_table(path: Path, table: pl.DataFrame) -> None:
    """Write a CSV file, completely or not at all."""
    check_table(path)
    with atomic_path(path) as temporary:
        table.write_csv(temporary)


def as_markdown(table: pl.DataFrame) -> str:
    """Return a table as text for a terminal, numbers right-aligned.

    `|` is escaped; characters that are not printable become spaces.
    """
    text = pl.col(pl.String).str.replace_all(r"[\p{C}\p{Z}]", " ")
    table = table.with_columns(text.str.replace_all("|", r"\|", literal=True))
    with pl.Config(
        tbl_formatting="MARKDOWN",
        tbl_hide_dataframe_shape=True,
        tbl_hide_column_data_types=True,
        tbl_rows=-1,
        tbl_cols=-1,
        tbl_width_chars=-1,
        fmt_str_lengths=10_000,
        float_precision=2,
        tbl_cell_numeric_alignment="RIGHT",
    ):
        return str(table)
