"""Settings parsed into their models; mistakes are named by file, line and key."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from bioner.errors import InputError
from bioner.settings.frozen import Settings
from bioner.settings.yaml_files import ANY, place_of

REMEDY = "Every key is described in config/README.md."
EXPECTED = {
    "greater_than_equal": "at least {ge}",
    "greater_than": "more than {gt}",
    "less_than_equal": "at most {le}",
    "less_than": "less than {lt}",
    "too_short": "at least {min_length}",
    "string_too_short": "at least {min_length} character",
    "string_pattern_mismatch": "text that matches {pattern}",
    "literal_error": "one of {expected}",
    "finite_number": "a finite number",
    "int_type": "an integer",
    "float_type": "a number",
    "bool_type": "a boolean",
    "string_type": "text",
    "tuple_type": "a list",
    "dict_type": "a mapping of keys",
    "model_type": "a mapping of keys",
    "model_attributes_type": "a mapping of keys",
}
BRANCH = "constrained-int"  # in the location of an error: the integer branch of a union
AnySettings = TypeVar("AnySettings", bound=Settings)


def parse(
    model: type[AnySettings],
    tree: Mapping[str, Any],
    files: Sequence[Path | str],
    above: Sequence[str] = (),
) -> AnySettings:
    """Return settings, checked and completed.

    Args:
        model: Their model.
        tree: Their keys and values.
        files: The YAML files they were read from; a mistake's line is looked up from the last one
            backwards. Text describes any other place.
        above: The keys above the tree in these files.

    Raises:
        InputError: The model does not know a key or refuses a value.
    """
    try:
        return model.model_validate(dict(tree))
    except ValidationError as error:
        details = min(error.errors(include_url=False), key=_most_telling)
        raise _input_error(model, tree, details, files, above) from None


def _most_telling(details: ErrorDetails) -> bool:
    return details["type"] != "extra_forbidden"


def _input_error(
    model: type[BaseModel],
    tree: Mapping[str, Any],
    details: ErrorDetails,
    files: Sequence[Path | str],
    above: Sequence[str],
) -> InputError:
    kind, ctx = details["type"], details.get("ctx", {})
    inside = [step for step in details["loc"] if step != BRANCH]
    if is_key := inside[-1:] == ["[key]"]:  # a key, and not its value, is at fault
        inside.pop()
    if kind == "setting":
        inside += ctx["key"].split(".")
    place = [*above, *inside]
    key = ".".join(map(str, place))
    if kind == "setting":
        where = f"{place_of(place, files, entry=above)}: {key}"
        return InputError(where, ctx["found"], ctx["expected"], ctx["remedy"])
    if kind == "invalid_key":
        found = f"the key {inside[-1]!r}"
        return InputError(place_of(place, files), found, "text", "Put it in quotes.")
    if kind == "missing":
        found = f"{'.'.join(map(str, place[:-1])) or 'the file'} without {inside[-1]}"
        return InputError(place_of(place[:-1], files), found, "all required keys", REMEDY)
    if kind == "extra_forbidden":
        fields = _locate(model, inside[:-1])[0].model_fields
        known = [field.alias or name for name, field in fields.items()]
        near = difflib.get_close_matches(str(inside[-1]), known, n=1)
        remedy = f"Did you mean {near[0]!r}? {REMEDY}" if near else REMEDY
        found, expected = f"the unknown key {key!r}", f"one of {', '.join(known)}"
        return InputError(place_of(place, files), found, expected, remedy)
    expected = EXPECTED.get(kind, details["msg"]).format(**ctx)
    if (field := _locate(model, inside)[1]) and field.description:
        expected += f" ({field.description.rstrip('.')})"
    value = ANY if is_key else _written(tree, inside, details["input"])
    found = f"the key {inside[-1]!r}" if is_key else f"{key} = {value!r}"
    return InputError(place_of(place, files, value), found, expected, REMEDY)


def _written(tree: Any, path: Sequence[str | int], otherwise: Any) -> Any:
    """Return the value on a path of keys as it was written, such as text in place of a list."""
    try:
        for step in path:
            tree = tree if isinstance(tree, str | int | float) else tree[step]
    except (LookupError, TypeError):  # not written, but made from another key
        return otherwise
    return tree


def _locate(
    model: type[BaseModel], path: Sequence[str | int]
) -> tuple[type[BaseModel], FieldInfo | None]:
    """Return the innermost model on a path of keys, and the last field on it."""
    field = None
    for step in path:
        if found := model.model_fields.get(str(step)):
            field = found
            model = next(_models_in(field.annotation), model)
    return model, field


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
