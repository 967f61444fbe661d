"""A drawing as SVG to stand inside a page: its own ids, the page's font and colours, words for
those who do not see.
"""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib
from lxml import etree
from matplotlib.figure import Figure as Drawing
from matplotlib.typing import RcKeyType

SVG = "http://www.w3.org/2000/svg"
XLINK = "{http://www.w3.org/1999/xlink}href"
INK = "#010203"  # stands for the page's text colour until the drawing is finished
MARK = "mark:"  # artists of such a gid get it as `data-mark`
WIDEST = "34rem"  # on a large screen; as wide as its column on a small one
SETTINGS: dict[RcKeyType, Any] = {
    "font.family": [
        "DejaVu Sans"
    ],  # comes with matplotlib: lengths of text are the same on every machine
    "svg.fonttype": "none",
    "svg.hashsalt": "bioner",
    "svg.image_inline": True,
    "path.simplify": False,
    "text.parse_math": False,  # a name may have dollars in it
    "text.usetex": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "axes.titlecolor": INK,
    "figure.facecolor": "none",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of the page: `svg` is markup to put in as it is; the rest is text, which the page
    escapes.

    `name` is an identifier, and the beginning of all ids in the SVG; `alt` says what there is to
    see.
    """

    name: str
    title: str
    caption: str
    svg: str
    alt: str


@contextmanager
def settings() -> Iterator[None]:
    """Matplotlib's own settings and ours, whatever the user's file says; those before come back at
    the end.
    """
    with matplotlib.rc_context(), warnings.catch_warnings():
        # Text stays text: a glyph that the measuring font lacks is the page's font's to show.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(SETTINGS)
        yield


def finished(drawing: Drawing, name: str, title: str, caption: str, alt: str) -> Figure:
    """The drawing as a figure; to be called within `settings`."""
    stream = io.BytesIO()
    drawing.savefig(
        stream, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
    )
    parser = etree.XMLParser(
        remove_comments=True, remove_blank_text=True, resolve_entities=False, no_network=True
    )
    root = etree.fromstring(stream.getvalue(), parser)
    title, caption, alt = (printable(text) for text in (title, caption, alt))
    _own_ids(root, name)
    for element in root.iter(f"{{{SVG}}}style"):
        element.getparent().remove(element)  # its rules would hold for the whole page
    for element in root.iter():
        _plain(element)
    for attribute in ("width", "height", "version"):
        root.attrib.pop(attribute, None)
    root.set(
        "style",
        f"width: 100%; max-width: {WIDEST}; height: auto; stroke-linejoin: round; font-family:"
        " inherit",
    )
    root.set("role", "img")
    root.set("aria-labelledby", f"{name}-title {name}-desc")
    for place, (tag, text) in enumerate((("title", title), ("desc", alt))):
        told = etree.Element(f"{{{SVG}}}{tag}", id=f"{name}-{tag}")
        told.text = text
        root.insert(place, told)
    etree.cleanup_namespaces(root)
    return Figure(name, title, caption, etree.tostring(root, encoding="unicode"), alt)


def printable(text: str) -> str:
    """The text without what XML cannot hold, what breaks lines, and what turns the direction of
    writing.
    """
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )


def _own_ids(root: etree._Element, name: str) -> None:
    """Ids that something refers to begin with the figure's name; others go, or say what is
    drawn.
    """
    numbers: dict[str, str] = {}
    for element in root.iter(f"{{{SVG}}}path", f"{{{SVG}}}clipPath"):
        if old := element.get("id"):
            numbers[old] = f"{name}-{len(numbers) + 1}"
    for element in root.iter():
        old = element.attrib.pop("id", None)
        if old in numbers:
            element.set("id", numbers[old])
        elif old and old.startswith(MARK):
            element.set("data-mark", old.removeprefix(MARK))
        if target := element.attrib.pop(XLINK, None):
            element.set("href", f"#{numbers[target.removeprefix('#')]}")
        if clip := element.get("clip-path"):
            element.set(
                "clip-path", f"url(#{numbers[clip.removeprefix('url(#').removesuffix(')')]})"
            )


def _plain(element: etree._Element) -> None:
    """Two digits are fine enough for screens; the font is the page's, and so is the colour of what
    is ink.
    """
    for attribute in ("d", "x", "y", "width", "height", "transform"):
        if value := element.get(attribute):
            shorter = re.sub(r"-?\d+\.\d+", lambda number: f"{round(float(number[0]), 2):g}", value)
            element.set(attribute, " ".join(shorter.split()))
    if (turned := element.get("transform")) and re.fullmatch(r"rotate\(-?0 .*\)", turned):
        del element.attrib["transform"]
    if style := element.get("style"):
        rules = [rule for rule in style.split("; ") if not rule.startswith("font-family:")]
        element.set("style", "; ".join(rules).replace(INK, "currentColor"))
    if element.tail and not element.tail.strip():
        element.tail = None
