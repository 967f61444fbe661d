"""Write the manuals' tables from schemas and code: `make manual`; a test compares them."""

import json
import re
from collections.abc import Iterator, Mapping

from bioner.corpora.changes import ARTEFACTS, REPAIRS
from bioner.scoring.conventions import CONVENTIONS
from bioner.scoring.subsets import SUBSETS
from bioner.settings.config import REPOSITORY, SCHEMAS, Tree
from bioner.settings.yaml_files import read_yaml

MANUALS = tuple(
    REPOSITORY / name for name in ("config/README.md", "docs/corpora.md", "docs/scores.md")
)


def rows(schema: Tree, prefix: str = "") -> Iterator[str]:
    """A table row a key, at every depth; keys that users choose are written in angle brackets."""
    for key, sub in schema.get("properties", {}).items():
        yield from _row(f"{prefix}{key}", sub, schema)
    if isinstance(extra := schema.get("additionalProperties"), dict):
        yield from rows(extra, f"{prefix}<name>.")


def _row(key: str, sub: Tree, parent: Tree) -> Iterator[str]:
    nested = "properties" in sub or isinstance(sub.get("additionalProperties"), dict)
    if key.rpartition(".")[2] in parent.get("required", []):
        default = "required"
    elif "default" in sub and not (nested and sub["default"] == {}):
        default = f"`{json.dumps(sub['default'], ensure_ascii=False)}`"
    else:
        default = ""
    description = " ".join(sub.get("description", "").split()).replace("|", "\\|")
    yield f"| `{key}` | {_kind(sub)} | {default} | {description} |"
    yield from rows(sub, f"{key}.")


def _kind(sub: Tree) -> str:
    if "enum" in sub:
        return " \\| ".join("null" if value is None else f"`{value}`" for value in sub["enum"])
    kind = sub.get("type", "")
    if kind == "array":
        return f"list of {_kind(sub['items'])}"
    return " or ".join(kind) if isinstance(kind, list) else kind


def table(name: str) -> str:
    """The table of one schema."""
    schema = read_yaml(SCHEMAS / f"{name}.schema.yaml")
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


def main() -> None:
    """Rewrite the manuals in place."""
    for path in MANUALS:
        path.write_text(manual(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
