"""Write the schemas and the manuals' tables from the settings and the code: `make manual`.

A test compares both with what is there.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from bioner.corpora.changes import ARTEFACTS, REPAIRS
from bioner.scoring.conventions import CONVENTIONS
from bioner.scoring.subsets import SUBSETS
from bioner.settings.config import Configuration
from bioner.settings.dataset_entry import DatasetEntry
from bioner.settings.frozen import NAME
from bioner.settings.model_entry import FIXED, ModelEntry
from bioner.settings.repository import REPOSITORY

MANUALS = tuple(
    REPOSITORY / name for name in ("config/README.md", "docs/corpora.md", "docs/scores.md")
)
SCHEMAS = REPOSITORY / "workflow" / "schemas"
CATALOGUES = {
    "datasets": (DatasetEntry, "The catalogue of corpora", "One entry per corpus"),
    "models": (ModelEntry, "The catalogue of models", "One entry per model"),
}


def schemas() -> dict[str, dict[str, Any]]:
    """Return the JSON Schemas by name: for editors, and for other programs that read the files."""
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    config = dialect | {"title": "What to run"} | _plain(Configuration.model_json_schema())
    made = {"config": config}
    for name, (entry, title, description) in CATALOGUES.items():
        schema = _plain(entry.model_json_schema())
        if entry is ModelEntry:
            schema["allOf"] = [_rule(family, only) for family, only in FIXED.items()]
        made[name] = dialect | {
            "title": title,
            "description": f"{description}, in config/{name}.yaml or a file under `catalogues`.",
            "type": "object",
            "propertyNames": {"pattern": NAME},
            "additionalProperties": schema,
        }
    return made


def _plain(node: Any, definitions: Mapping[str, Any] | None = None) -> Any:
    """Return pydantic's schema without references and titles, and with null as a type."""
    if isinstance(node, list):
        return [_plain(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    definitions = node.get("$defs", definitions) or {}
    if reference := node.get("$ref"):
        node = definitions[reference.rpartition("/")[2]] | node
    either = node.get("anyOf", [])
    if len(either) == 2 and either[1] == {"type": "null"}:
        inner = _plain(either[0], definitions)
        node = inner | node | {"type": [inner["type"], "null"]}
        either = []
    if patterns := node.get("patternProperties"):
        [(pattern, of_all)] = patterns.items()
        node = node | {"propertyNames": {"pattern": pattern}, "additionalProperties": of_all}
    left_out = {"patternProperties", "$defs", "$ref"} | (
        {"title"} if isinstance(node.get("title"), str) else set()
    )
    left_out |= set() if either else {"anyOf"}
    return {
        key: value if key == "default" else _plain(value, definitions)
        for key, value in node.items()
        if key not in left_out
    }


def _rule(family: str, only: Mapping[str, Any]) -> dict[str, Any]:
    """Return what JSON Schema says of the settings that a family cannot change."""
    fixed: dict[str, Any] = {}
    for key, value in only.items():
        place, *inner = key.split(".")
        wanted = {"maxItems": 0} if value == () else {"const": value}
        if inner:
            fixed.setdefault(place, {"properties": {}})["properties"][inner[0]] = wanted
        else:
            fixed[place] = wanted
    required = {"control": "control", "ensemble": "members"}.get(family, "source")
    fixed |= {"control": {"type": "string"}} if family == "control" else {}
    fixed |= {"members": {"minItems": 2}} if family == "ensemble" else {}
    condition = {"properties": {"family": {"const": family}}}
    return {"if": condition, "then": {"required": [required], "properties": fixed}}


def rows(schema: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield a table row per key, at every depth; keys that users choose are in angle brackets."""
    for key, sub in schema.get("properties", {}).items():
        yield from _row(f"{prefix}{key}", sub, schema)
    if isinstance(extra := schema.get("additionalProperties"), dict):
        yield from rows(extra, f"{prefix}<name>.")


def _row(key: str, sub: Mapping[str, Any], parent: Mapping[str, Any]) -> Iterator[str]:
    nested = "properties" in sub or isinstance(sub.get("additionalProperties"), dict)
    if key.rpartition(".")[2] in parent.get("required", []):
        default = "required"
    elif "default" in sub and not (nested and sub["default"] is not None):
        default = f"`{json.dumps(sub['default'], ensure_ascii=False)}`"
    else:
        default = ""
    description = " ".join(sub.get("description", "").split()).replace("|", "\\|")
    yield f"| `{key}` | {_kind(sub)} | {default} | {description} |"
    yield from rows(sub, f"{key}.")
    yield from rows(sub.get("items", {}), f"{key}.")  # of a list's mappings


def _kind(sub: Mapping[str, Any]) -> str:
    if "enum" in sub:
        return " \\| ".join("null" if value is None else f"`{value}`" for value in sub["enum"])
    if "const" in sub:
        return f"`{sub['const']}`"
    if "anyOf" in sub:
        return " or ".join(map(_kind, sub["anyOf"]))
    kinds = sub.get("type", "")
    kinds = kinds if isinstance(kinds, list) else [kinds]
    return " or ".join(
        f"list of {_kind(sub['items'])}" if kind == "array" else kind for kind in kinds
    )


def table(name: str) -> str:
    """Return the table of one schema."""
    schema = schemas()[name]
    if not schema.get("properties"):
        schema = schema["additionalProperties"]
    return "\n".join(["| key | type | default | |", "|---|---|---|---|", *rows(schema)])


def rules(heading: str, of: Mapping[str, str], kinds: str = "kind") -> str:
    """A table of two columns: kinds, and what is said of each."""
    return "\n".join(
        [
            f"| {kinds} | {heading} |",
            "|---|---|",
            *(f"| `{kind}` | {rule} |" for kind, rule in of.items()),
        ]
    )


def conventions() -> str:
    """The table of scoring conventions."""
    rows = (
        f"| `{scorer}` | `{scheme}` | {right} |" for (scorer, scheme), right in CONVENTIONS.items()
    )
    return "\n".join(["| scorer | scheme | what is right |", "|---|---|---|", *rows])


def manual(text: str) -> str:
    """A manual with its tables as schemas and code have them."""
    tables = {name: table(name) for name in ("config", "datasets", "models")}
    tables |= {
        "repairs": rules("with `on_error: repair`", REPAIRS),
        "artefacts": rules("what becomes of it", ARTEFACTS),
        "subsets": rules("which", SUBSETS, "stratum"),
        "conventions": conventions(),
    }
    for name, made in tables.items():
        begin, end = f"<!-- {name}: made by `make manual` -->", f"<!-- end of {name} -->"
        new = f"{begin}\n{made}\n{end}"
        text = re.sub(
            f"{re.escape(begin)}.*?{re.escape(end)}", lambda _, new=new: new, text, flags=re.DOTALL
        )
    return text


def schema_texts() -> dict[str, str]:
    """Return the files of workflow/schemas by name."""
    note = "# Made by `make manual` from src/bioner/settings.\n"
    return {
        f"{name}.schema.yaml": note
        + yaml.safe_dump(schema, sort_keys=False, allow_unicode=True, width=100)
        for name, schema in schemas().items()
    }


def main() -> None:
    """Rewrite the schemas and the manuals in place."""
    for name, text in schema_texts().items():
        (SCHEMAS / name).write_text(text, encoding="utf-8")
    for path in MANUALS:
        path.write_text(manual(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
