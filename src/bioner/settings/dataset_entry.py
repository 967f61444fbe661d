"""An entry of the catalogue of corpora (config/datasets.yaml, or a file under `catalogues`)."""

from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, model_validator

from bioner.settings.frozen import Bool, Float, Int, Name, PathText, Settings, setting_error
from bioner.settings.repository import REPOSITORY

Format = Literal[
    "conll",
    "jsonl",
    "parquet",
    "pubtator",
    "bioc-xml",
    "bioc-json",
    "brat",
    "spans",
    "label-studio",
    "inline",
    "conll-or-lists",
    "dygie",
    "dygie-misread",
]
Split = Literal["train", "dev", "test"]


def _is_none(value: Any) -> bool:
    return value is None


class RawFile(Settings):
    """A raw file: where it is downloaded or taken from, and what it must be."""

    url: tuple[Annotated[str, Field(pattern="^https?://")], ...] = Field(
        (), description="Pinned addresses, https://…, in the order they are tried."
    )
    member: str | None = Field(
        None, description="Path of the file or folder inside the zip or tar archive at `url`."
    )
    path: PathText | None = Field(
        None, description="File or folder on this machine, relative to the repository."
    )
    names: tuple[str, ...] = Field(
        (), description="Other names under which a mirror may hold the file."
    )
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$", description="SHA-256 of the file.")
    git_blob: str | None = Field(
        None, pattern="^[0-9a-f]{40}$", description="Git blob id (SHA-1) of the file."
    )

    @property
    def source(self) -> str | None:
        """What the file is taken from, to compare and to show; None if a mirror holds it."""
        if self.path:
            return str((REPOSITORY / Path(self.path).expanduser()).resolve())
        return " ".join([self.url[0], self.member or ""]).strip() if self.url else None


class Splits(Settings):
    """The file or folder of each split, or a single one to be divided."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["train", "dev", "test"]}, {"required": ["all"]}]}
    )

    train: str | None = Field(
        None, min_length=1, exclude_if=_is_none, description="Training split."
    )
    dev: str | None = Field(
        None, min_length=1, exclude_if=_is_none, description="Development split."
    )
    test: str | None = Field(
        None, min_length=1, exclude_if=_is_none, description="Held-out test split."
    )
    all: str | None = Field(
        None,
        min_length=1,
        exclude_if=_is_none,
        description="Instead of the three: the file or folder of all documents, which `split`"
        " divides.",
    )


class SplitByDocument(Settings):
    """Which documents of one source are dev and test; the others are train."""

    seed: Int = Field(1, ge=0, description="Another seed gives another split.")
    dev: Float = Field(gt=0, lt=1, description="Share of the documents that are dev.")
    test: Float = Field(gt=0, lt=1, description="Share of the documents that are test.")


class EntityCounts(Settings):
    """How many entities each split has; None if no source says."""

    train: Int | None = Field(None, ge=0, description="Of the training split.")
    dev: Int | None = Field(None, ge=0, description="Of the development split.")
    test: Int | None = Field(None, ge=0, description="Of the test split.")


class Agreement(Settings):
    """How far a corpus's annotators agreed, as published."""

    values: dict[str, Float] = Field(
        min_length=1, description="The figure of each entity type, or of `all`."
    )
    measure: str = Field(min_length=1, description="What the figures measure, and on which texts.")
    source: str = Field(min_length=1, description="Where they are published.")

    def __str__(self) -> str:
        """Return the figures with their measure and source, on one line."""
        figures = ", ".join(f"{type_} {value:g}" for type_, value in self.values.items())
        return f"{figures} ({self.measure}; {self.source})"


class DatasetEntry(Settings):
    """A corpus: its files, and how they are read."""

    description: str = Field("", description="One line for reports.")
    format: Format = Field(
        description="How the files are read (docs/corpora.md). One token per line: `conll`. Lists"
        " of tokens and tags: `jsonl`, `parquet`. Text with annotations by character: `pubtator`,"
        " `bioc-xml`, `bioc-json`, `brat` (one folder per split), `spans` (JSON of doccano,"
        " Prodigy, spaCy and GLiNER), `label-studio`. Sentences with {Type|marked entities}:"
        " `inline`. `conll-or-lists`: two columns or CSV with list columns, told apart by their"
        " first line. `dygie`: JSON Lines of documents with spans by token, as ChemProt;"
        " `dygie-misread`: the paper's labelling error on these.",
    )
    token_column: Int = Field(0, description="Column of the token (conll).")
    tag_column: Int = Field(-1, description="Column of the tag (conll); -1 is the last.")
    tag_scheme: Literal["IOB2", "IOB1", "IO", "BIOES", "auto"] = Field(
        "IOB2",
        description="How tags mark entities: `IOB2`, `IOB1`, `IO`, `BIOES` (also with the letters"
        " of IOBES, BILOU, BMEWO), or `auto`: BIOES if any tag of the corpus marks an end or a"
        " single token, else IOB2 if any begins with B-, else IO.",
    )
    labels: tuple[str, ...] = Field(
        (),
        description="Names of tags that are written as numbers from 0 (jsonl, parquet). Hugging"
        " Face's parquet files bring their own.",
    )
    type_key: str = Field(
        "type",
        min_length=1,
        exclude_if=lambda key: key == "type",  # a new key would have every corpus normalized again
        description="Key of the infon that holds the type of an annotation (bioc-xml, bioc-json).",
    )
    segmentation: Literal["passages", "sentences"] = Field(
        "passages",
        description="What becomes an instance of text that is not tokenized, a passage (a title, an"
        " abstract) or a sentence.",
    )
    max_tokens: Int = Field(
        256,
        ge=1,
        description="Longest passage in tokens; a longer one is cut after full stops, and the"
        " pieces are joined again while they fit. A longer sentence stays whole.",
    )
    token_alignment: Literal["widen", "split"] = Field(
        "widen",
        description="What an annotation does that begins or ends inside a token. `widen`: it takes"
        " whole tokens. `split`: a token is split where an annotation ends, and an annotation that"
        " begins inside a token is left out (the rule that comes nearest to the paper's BioRED; its"
        " tokens depend on the gold).",
    )
    on_error: Literal["fail", "repair"] = Field(
        "fail",
        description="What faulty tags and annotations get. `fail` stops at the first; `repair`"
        " mends each by a fixed rule and lists it in `changes.csv`.",
    )
    max_lost: Float = Field(
        0.02,
        ge=0,
        le=1,
        exclude_if=lambda share: share == 0.02,  # older entries stay as they were
        description="Share of a split's annotations that may be lost; a split that loses more is"
        " refused. Annotations that overlap or lie in a longer one do not count as lost.",
    )
    documents: str | None = Field(
        None,
        description="Table `split,first,sentences,document` of the documents that consecutive"
        " sentences come from, relative to the repository; it holds for files with the stated"
        " checksums.",
    )
    # These are left out of an entry without them, and only check or describe.
    entities: EntityCounts | None = Field(
        None,
        exclude_if=_is_none,
        description="Number of entities that each split must have once it is read; `bioner"
        " normalize` refuses any other. An overlay that changes the files or how they are read"
        " drops these numbers unless it states its own.",
    )
    agreement: Agreement | None = Field(
        None,
        exclude_if=_is_none,
        description="Published agreement between the corpus's annotators; reports show it. It is"
        " not an upper bound on scores.",
    )
    published: Int | None = Field(
        None,
        ge=1900,
        le=2100,
        exclude_if=_is_none,
        description="Year its annotations were first published. Reports name the models whose"
        " pretraining text may hold them; null: not published, or not known.",
    )
    license: str = Field("", description="Licence and terms of use as stated at the source.")
    redistributable: Bool = Field(
        True,
        description="Whether the corpus's text may be shown to others; if not, no message or report"
        " page shows it.",
    )
    notice: str = Field(
        "",
        description="What a reader of scores on this corpus has to know; reports repeat it.",
    )
    obtain: str = Field("", description="How to get files that cannot be downloaded.")
    mirror_folder: str | None = Field(
        None,
        description="Folder of the mirror that holds the files; the corpus's name by default.",
    )
    splits: Splits = Field(
        description="The file that holds each split: a name under `files`; or, without `files`, a"
        " path (relative to the repository), an address, or the name of a file in the mirror. The"
        " files of a folder are read in order of their paths.",
    )
    split: SplitByDocument | None = Field(
        None,
        exclude_if=_is_none,  # a new key would have every corpus normalized again
        description="How the documents of `splits.all` become train, dev and test: by a hash of"
        " `seed` and document id, so adding a document moves no other. Shares are approximate.",
    )
    files: dict[Name, RawFile] = Field(
        {}, description="Every raw file by its name in the raw folder."
    )

    def raw_name(self, split: str) -> str:
        """Return the name under `files` of the file that holds a split."""
        name: str = self.splits.all or getattr(self.splits, split)
        return name

    @model_validator(mode="before")
    @classmethod
    def _long_form(cls, tree: Any) -> Any:
        """Put splits that name addresses or paths themselves under `files`."""
        splits, files = tree.get("splits"), tree.get("files") or {}
        if not isinstance(splits, dict) or not isinstance(files, dict):
            return tree
        new: dict[str, Any] = {}
        for split, source in splits.items():
            if not isinstance(source, str) or source in files or (files and "/" not in source):
                continue
            if "://" in source and not source.startswith(("http://", "https://")):
                expected = "a path, or an address https://…"
                raise setting_error(f"splits.{split}", source, expected, "Correct `splits`.")
            try:
                name, file = _file_of(split, source, tree.get("format"))
            except ValueError as error:
                remedy = "Correct `splits`."
                raise setting_error(
                    f"splits.{split}", source, f"an address ({error})", remedy
                ) from None
            if (files | new).get(name, file) != file:
                found, expected = f"{source} and another {name} under `files`", "one of them"
                raise setting_error(f"splits.{split}", found, expected, "Remove one.")
            splits, new = splits | {split: name}, new | {name: file}
        return tree | {"splits": splits, "files": files | new}

    @model_validator(mode="after")
    def _one_file_per_split(self) -> Self:
        self._check_splits()
        names = list(self.splits.canonical().values())
        if lacking := [name for name in names if name not in self.files]:
            expected = "every split's file under `files`"
            remedy = "Add it or correct `splits`."
            raise setting_error("splits", f"no file {lacking[0]}", expected, remedy)
        if spare := [name for name in self.files if name not in names]:
            remedy = "Remove it or correct `splits`."
            raise setting_error(
                "files", f"{spare[0]}, which no split names", "one file per split", remedy
            )
        sources = [self.files[name].source or name for name in names]
        if twice := [source for source in sources if sources.count(source) > 1]:
            found = f"{twice[0]} for two splits"
            raise setting_error("splits", found, "three files", "Correct `splits`.")
        if self.documents and not all(self.files[name].sha256 for name in names):
            expected = "a sha256 of every split's file"
            remedy = "State it under `files`: the table holds for the very files it was made from."
            raise setting_error("documents", "a file without one", expected, remedy)
        return self

    def _check_splits(self) -> None:
        given = self.splits.canonical().keys()
        if given != {"all"} and given != {"train", "dev", "test"}:
            expected = "train, dev and test, or only `all`"
            raise setting_error("splits", ", ".join(given) or "none", expected, "Correct `splits`.")
        if (self.split is None) is (self.splits.all is not None):
            found = "no `split`" if self.split is None else "`split` for three files"
            expected = "`splits: {all: …}` with `split`"
            raise setting_error("split", found, expected, "Say how documents are divided.")
        if self.split and self.split.dev + self.split.test >= 1:
            found, expected = "nothing left for train", "shares that add up to less than 1"
            raise setting_error("split", found, expected, "Lower `dev` or `test`.")
        if self.type_key != "type" and not self.format.startswith("bioc"):
            found, expected = f"an infon for {self.format}", "bioc-xml or bioc-json"
            raise setting_error("type_key", found, expected, "Remove it.")
        if self.split and self.documents:
            found, expected = "a table of documents and `split`", "one of them"
            raise setting_error("documents", found, expected, "Remove one.")


def _file_of(split: str, source: str, kind: Any) -> tuple[str, dict[str, Any]]:
    """Return the name of a split's file in the raw folder, and its entry under `files`."""
    *_, suffix = PurePosixPath(urlsplit(source).path).suffixes or [""]
    if "://" in source:
        is_archive = kind == "brat"
        file = {"url": [source]} | ({"member": "."} if is_archive else {})
        return split if is_archive else split + suffix, file
    return (split + suffix, {"path": source}) if "/" in source else (source, {})
