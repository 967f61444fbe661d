"""Damage to documents, lines, bytes and whole files."""

import gzip
import json
from collections.abc import Callable
from typing import Any
from unicodedata import normalize

from tests.unit.corpora.fuzz.case import Case, Damage, Damaged, Damages, readable
from tests.unit.corpora.fuzz.made import Spoil, gold_of
from tests.unit.corpora.fuzz.written import Pieces

Touched = set[int | None]  # documents by number


def document_twice(case: Case) -> Damaged:
    """The same again at once, or at the end; sentences that come again at once may be meant."""
    number = case.rng.randrange(len(case.corpus))
    at = case.pick(number + 1, len(case.corpus))
    doubled = [*case.corpus[:at], case.corpus[number], *case.corpus[at:]]
    twice = gold_of([s for document in doubled for s in document.sentences])
    is_meant = at == number + 1 and case.form.marks in ("tags", "numbers", "inline")
    wholes = [case.gold(), *([twice] if is_meant or "ids" not in case.form.traits else [])]
    return Damaged(case.form.files(case.form.write(doubled, Spoil())), wholes)


def one_id(case: Case) -> Damaged:
    """Different text under one id."""
    same = [document._replace(id=case.corpus[0].id) for document in case.corpus]
    return Damaged(case.form.files(case.form.write(same, Spoil())), [case.gold()])


def file_twice(case: Case) -> Damaged:
    twice = gold_of([s for document in case.corpus * 2 for s in document.sentences])
    files = {name: content * 2 for name, content in case.files().items()}
    return Damaged(files, [case.gold(), twice])


def line(change: Callable[[Case, Pieces, int], Touched]) -> Damage:
    """Change lines of the file in place; documents of other lines stay."""

    def damage(case: Case) -> Damaged:
        found = [
            piece._replace(text=text)
            for piece in case.pieces()
            for text in piece.text.splitlines(keepends=True)
        ]
        touched = change(case, found, case.rng.randrange(len(found)))
        names = dict.fromkeys(case.files(), b"")
        return Damaged(names | case.form.files(found), [], case.without(touched))

    return damage


def swap(case: Case, found: Pieces, at: int) -> Touched:
    other = case.pick(min(at + 1, len(found) - 1), case.rng.randrange(len(found)))
    a, b = found[at], found[other]
    found[at], found[other] = a._replace(text=b.text), b._replace(text=a.text)
    return {a.document, b.document}


def delete(case: Case, found: Pieces, at: int) -> Touched:
    return {found.pop(at).document}


def double(case: Case, found: Pieces, at: int) -> Touched:
    found.insert(at, found[at])
    return {found[at].document}


def halve(case: Case, found: Pieces, at: int) -> Touched:
    text = found[at].text
    found[at] = found[at]._replace(text=text[: case.rng.randrange(len(text))] + "\n")
    return {found[at].document}


def join(case: Case, found: Pieces, at: int) -> Touched:
    found[at] = found[at]._replace(text=found[at].text.rstrip("\n") + case.pick("", " ", "\t"))
    return {piece.document for piece in found[at : at + 2]}


def put_in(case: Case, found: Pieces, at: int) -> Touched:
    new = case.pick("# a comment", "-DOCSTART- -X- O O", "{}", "junk", "null", "a\tb\tc\td\te\tf")
    found.insert(at, found[at]._replace(text=new + "\n"))
    return {piece.document for piece in found[max(at - 1, 0) : at + 2]}


def spot(case: Case) -> tuple[dict[str, bytes], str, int, list[int | None]]:
    """Return the files, one of them, a place in it, and the document of each of its bytes."""
    pieces = case.pieces()
    files = case.form.files(pieces)
    name = case.pick(*(name for name in files if files[name]))
    owners = [p.document for p in pieces if p.name == name for _ in p.text.encode()]
    return files, name, case.rng.randrange(len(files[name])), owners


def touched_by(case: Case, owners: list[int | None], start: int, end: int) -> Touched:
    if case.form.packed is not str.encode:  # whose bytes they are is unknown
        return {*range(len(case.corpus))}
    return {*owners[max(start, 0) : end]}


def cut(case: Case) -> Damaged:
    files, name, at, owners = spot(case)
    parts = case.without(touched_by(case, owners, at, len(owners)))
    return Damaged(files | {name: files[name][:at]}, [], parts)


def flip(case: Case) -> Damaged:
    """A few bytes replaced, put in, or left out."""
    files, name, at, owners = spot(case)
    content, end = files[name], at + case.pick(0, 1, 1, 1, 2, 9)
    other = bytes([case.pick(case.rng.randrange(256), *b'"{}[]|\t\n #-0,<>&')])
    new = case.pick(other, other, b"", bytes([content[at] ^ 1 << case.rng.randrange(8)]))
    parts = case.without(touched_by(case, owners, at - 1, end + 1))
    return Damaged(files | {name: content[:at] + new + content[end:]}, [], parts)


VALUES: tuple[Any, ...] = (None, True, 0, -1, 3, 2.5, 10**12, "", "x", "O", [], {}, [None], ["x"])


def json_value(case: Case) -> Damaged:
    """A value in a document replaced, left out, doubled, or under another key.

    A list or number in whose place something else stands must not be taken for an empty one; but
    a task of Label Studio may have other answers.
    """
    pieces = case.pieces()
    at = case.pick(*(n for n, piece in enumerate(pieces) if piece.document is not None))
    value = json.loads(pieces[at].text)
    places: list[tuple[Any, Any]] = []
    stack = [value]
    while stack:
        node = stack.pop()
        for key, child in node.items() if isinstance(node, dict) else enumerate(node):
            places.append((node, key))
            stack += [child] if isinstance(child, dict | list) else []
    node, key = case.pick(*places)
    old, act = node[key], case.pick("replace", "replace", "remove", "move")
    touched: Touched = {pieces[at].document}
    if act == "replace":
        node[key] = case.pick(*VALUES)
        is_wrong = type(old) in (list, int) and type(node[key]) not in (type(old), type(None))
        if is_wrong and case.form.format != "label-studio":
            touched = set()
    elif act == "move" and isinstance(node, list):
        node.insert(key, old)
    else:
        del node[key]
        if act == "move":
            node[f"{key}s"] = old
    end = "\n" if pieces[at].text.endswith("\n") else ""
    pieces[at] = pieces[at]._replace(text=json.dumps(value, ensure_ascii=False) + end)
    return Damaged(case.form.files(pieces), [], case.without(touched))


def is_now(content: bytes) -> Damage:
    """A file that is something else; an empty file of annotations says that there are none."""

    def damage(case: Case) -> Damaged:
        files, name, _, owners = spot(case)
        is_sound = name.endswith(".ann") and not content.strip()
        parts = case.without({*owners} if is_sound else set())
        return Damaged(files | {name: content}, [], parts)

    return damage


def bytes_of(change: Callable[[bytes], bytes], token: Callable[[str], str] = str) -> Damage:
    """Change every file; `token` is what that makes of a token."""

    def damage(case: Case) -> Damaged:
        files = {name: change(content) for name, content in case.files().items()}
        return Damaged(files, [case.gold(token)])

    return damage


def put(new: bytes, old: bytes) -> Damage:
    return bytes_of(lambda content: content.replace(old, new))


def text_of(change: Callable[[str], str]) -> Damage:
    def damage(case: Case) -> Damaged:
        pieces = [piece._replace(text=change(piece.text)) for piece in case.pieces()]
        return Damaged(case.form.files(pieces), [case.gold(change)])

    return damage


def in_latin(text: str) -> bytes:
    return text.encode("latin-1", "replace")


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4d" * 32 + b"\nsize 123\n"
KINDS = "tags numbers tokens inline text"  # whose offsets are checked, or who have none
JSON = "jsonl dygie bioc-json spans label-studio"
DAMAGES: Damages = {
    "none": ("any", readable(bytes_of(bytes))),
    "document twice": ("single", document_twice),
    "one id": ("single", readable(one_id)),
    "file twice": ("single", file_twice),
    "lines swapped": ("lines", line(swap)),
    "line deleted": ("lines", line(delete)),
    "line doubled": ("lines", line(double)),
    "line halved": ("lines", line(halve)),
    "lines joined": ("lines", line(join)),
    "line put in": ("lines", line(put_in)),
    "cut": ("any", cut),
    "bytes": ("any", flip),
    "JSON value": ("JSON", json_value),
    "CRLF": (f"CoNLL pubtator bioc-xml {JSON}", readable(put(b"\r\n", b"\n"))),
    "CRLF, counted by offsets": ("brat", put(b"\r\n", b"\n")),
    "CR": ("any", put(b"\r", b"\n")),
    "BOM": ("any", bytes_of(lambda content: b"\xef\xbb\xbf" + content)),
    "UTF-16": (
        "any",
        bytes_of(lambda content: content.decode("utf-8", "replace").encode("utf-16")),
    ),
    "Latin-1": (
        "any",
        bytes_of(
            lambda content: in_latin(content.decode("utf-8", "replace")),
            lambda token: in_latin(token).decode("latin-1"),
        ),
    ),
    "read as Latin-1": (KINDS, text_of(lambda text: text.encode().decode("latin-1"))),
    "NFC": (KINDS, text_of(lambda text: normalize("NFC", text))),
    "NFD": (KINDS, text_of(lambda text: normalize("NFD", text))),
    "NFKC": (KINDS, text_of(lambda text: normalize("NFKC", text))),
    "blanks for tabs": ("any", put(b"    ", b"\t")),
    "a blank for tabs": ("any", put(b" ", b"\t")),
    "tabs for blanks": ("any", put(b"\t", b" ")),
    "tabs doubled": ("any", put(b"\t\t", b"\t")),
    "blanks at line ends": ("any", put(b" \n", b"\n")),
    "tabs at line ends": ("any", put(b"\t\n", b"\n")),
    "no-break for blanks": ("any", put(b"\xc2\xa0", b" ")),
    "no last line end": ("any", bytes_of(lambda content: content.rstrip(b"\n"))),
    "empty": ("any", is_now(b"")),
    "blank lines": ("any", is_now(b"\n\n")),
    "HTML": ("any", is_now(b"<!DOCTYPE html>\n<html><body>Not found</body></html>\n")),
    "Git LFS pointer": ("any", is_now(POINTER)),
    "parquet": ("any", is_now(b"PAR1\x15\x04\x15\x80" + bytes(range(128, 256)) + b"PAR1")),
    "gzip": ("any", is_now(gzip.compress(b"a\tB-A\n", mtime=0))),
}
