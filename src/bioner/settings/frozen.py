"""The base of all settings: immutable, no unknown keys, numbers as they were written."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    Strict,
    ValidationError,
    ValidatorFunctionWrapHandler,
    field_validator,
)
from pydantic_core import PydanticCustomError

T = TypeVar("T")
WORDS = {"true": True, "True": True, "false": False, "False": False, "null": None}
DECIMAL = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"
NAME = r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$"  # of entries: parts of paths, and words of a shell

Bool = Annotated[bool, Strict()]
Int = Annotated[int, Strict()]
Float = Annotated[float, Strict()]
Name = Annotated[str, Field(pattern=NAME)]


def _no_value_twice(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(set(values)) < len(values):
        raise PydanticCustomError("unique", "no value twice")
    return values


# Lists without a value twice; Some has one value at least.
Distinct = Annotated[
    tuple[T, ...],
    Field(json_schema_extra={"uniqueItems": True}),
    AfterValidator(_no_value_twice),
]
Some = Annotated[
    tuple[T, ...],
    Field(min_length=1, json_schema_extra={"uniqueItems": True}),
    AfterValidator(_no_value_twice),
]


def _expandable(path: str) -> str:
    try:
        Path(path).expanduser()
    except (RuntimeError, ValueError) as error:
        raise PydanticCustomError(
            "path", "a path that there may be", {"error": str(error)}
        ) from None
    return path


PathText = Annotated[str, AfterValidator(_expandable)]


def setting_error(key: str, found: str, expected: str, remedy: str) -> PydanticCustomError:
    """Return the error for a setting that conflicts with another one.

    Args:
        key: Its path from the validated model, with dots.
        found: Its value, or what is wrong with it.
        expected: What it may be.
        remedy: What to do.
    """
    ctx = {"key": key, "found": found, "expected": expected, "remedy": remedy}
    return PydanticCustomError("setting", "{found}; expected {expected}. {remedy}", ctx)


class Settings(BaseModel):
    """Base of all settings: frozen, unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def canonical(self) -> dict[str, Any]:
        """Return the settings as JSON has them, every key with its value."""
        tree: dict[str, Any] = json.loads(json.dumps(self.model_dump(by_alias=True)))
        return tree

    @field_validator("*", mode="wrap")
    @classmethod
    def _as_written(cls, value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        """Accept text from `--config key=value`; keep a whole number as it was written.

        Settings are compared as JSON, in which 20 and 20.0 differ.
        """
        try:
            return _restored(handler(value), value)
        except ValidationError as error:
            wants_list = error.errors()[0]["type"] == "tuple_type" or isinstance(value, list)
            for meant in _from_text(value):
                try:
                    return _restored(handler(meant), meant)
                except ValidationError:
                    if wants_list and isinstance(meant, list) and meant != value:
                        raise  # it says more than that text is no list
            raise error


def _restored(checked: Any, written: Any) -> Any:
    if isinstance(checked, float) and isinstance(written, int):
        return written
    if isinstance(checked, tuple) and isinstance(written, list | tuple):
        return tuple(map(_restored, checked, written))
    if isinstance(checked, dict) and isinstance(written, dict):
        return {key: _restored(value, written.get(key)) for key, value in checked.items()}
    return checked


def _from_text(value: Any) -> Iterator[Any]:
    """Yield what a value of another type may stand for: a number, a list with commas or of one."""
    if isinstance(value, list):
        yield [_parsed(item) for item in value]
    elif isinstance(value, str) and value:
        if not isinstance(parsed := _parsed(value), str):  # other text is not what was written
            yield parsed
        yield [value] if "://" in value else [_parsed(item) for item in value.split(",")]
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield _parsed(value)
        yield [_parsed(value)]


def _parsed(text: Any) -> Any:
    """Return what a text or a whole float stands for; YAML itself takes 2e-5 for text."""
    if isinstance(text, float) and text.is_integer():
        return int(text)
    if not isinstance(text, str):
        return text
    if text in WORDS:
        return WORDS[text]
    if re.fullmatch(r"[+-]?(0|[1-9]\d*)", text, re.ASCII):
        return int(text)
    return float(text) if re.fullmatch(DECIMAL, text, re.ASCII) else text
