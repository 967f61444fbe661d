"""A matplotlib figure as SVG inside a page: own ids, the page's font and colours, a description."""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib.style
from lxml import etree
from lxml.builder import ElementMaker
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from bioner.reporting.page import PageFigure

SVG = "http://www.w3.org/2000/svg"
XLINK = "{http://www.w3.org/1999/xlink}href"
INK = "#010203"  # stands for the page's text colour until the drawing is finished
MARK = "mark:"  # artists with such a gid get it as `data-mark`
TEXT = 11.0  # a unit of the SVG is a pixel of a phone 400 wide, where text needs no zooming
PAD = 4 / 72  # inches above and below a panel and its words
PAGE_STYLE = (
    "width: 100%; max-width: 34rem; height: auto; stroke-linejoin: round; font-family: inherit"
)
SETTINGS: dict[str, Any] = {
    # Comes with matplotlib: the layout is the same on every machine.
    "font.family": ["DejaVu Sans"],
    "font.size": TEXT,
    "svg.fonttype": "none",
    "svg.hashsalt": "bioner",
    "path.simplify": False,
    "text.parse_math": False,  # names may have dollars in them
    "text.color": INK,
    "figure.dpi": 72,  # a point is a unit of the SVG
    "figure.facecolor": "none",
    # Panels fill the figure until it grows by the text around them.
    **dict.fromkeys(("figure.subplot.left", "figure.subplot.bottom", "figure.subplot.hspace"), 0),
    **dict.fromkeys(("figure.subplot.right", "figure.subplot.top"), 1),
    "figure.constrained_layout.h_pad": PAD,
    "figure.constrained_layout.w_pad": 1 / 72,
    "figure.constrained_layout.hspace": 0,
    "axes.edgecolor": f"{INK}80",
    "axes.labelcolor": INK,
    "axes.labelsize": TEXT,
    "axes.facecolor": "none",
    "axes.titlecolor": INK,
    "axes.titlesize": TEXT,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": INK,
    "grid.alpha": 0.12,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.4,
    "lines.solid_capstyle": "butt",
    "lines.markeredgewidth": 1.3,
    "xtick.color": INK,
    "xtick.labelsize": TEXT,
    "ytick.color": INK,
    "ytick.labelsize": TEXT,
    "legend.fontsize": TEXT,
    "legend.frameon": False,
    "legend.borderpad": 0.2,
    "legend.borderaxespad": 0.2,
    "legend.labelspacing": 0.3,
}


@contextmanager
def settings() -> Iterator[None]:
    """Apply our settings over matplotlib's own, whatever the user's file says."""
    with matplotlib.style.context(SETTINGS, after_reset=True), warnings.catch_warnings():
        # The page's font shows the glyphs that the measuring font lacks.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        yield


def finished(drawing: Figure, name: str, title: str, caption: str, alt: str) -> PageFigure:
    """Return the drawing as a figure of the page; call this within `settings`."""
    _lay_out(drawing)
    stream = io.BytesIO()
    drawing.savefig(
        stream, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
    )
    root = etree.fromstring(
        stream.getvalue(), etree.XMLParser(remove_comments=True, remove_blank_text=True)
    )
    etree.strip_elements(root, f"{{{SVG}}}style")  # its rules would hold for the whole page
    for element in root.iter():
        _embed(element, name)
    for attribute in ("width", "height", "version"):
        del root.attrib[attribute]
    title, caption, alt = (printable(text) for text in (title, caption, alt))
    root.attrib.update(
        {"style": PAGE_STYLE, "role": "img", "aria-labelledby": f"{name}-title {name}-desc"}
    )
    make = ElementMaker(namespace=SVG)
    root[:0] = [make.title(title, id=f"{name}-title"), make.desc(alt, id=f"{name}-desc")]
    etree.cleanup_namespaces(root)
    return PageFigure(name, title, caption, etree.tostring(root, encoding="unicode"), alt)


def printable(text: str) -> str:
    """Replace what XML cannot hold, line breaks, and marks that change the writing direction."""
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )


def _embed(element: etree._Element, name: str) -> None:
    """Make ids the figure's own, font and ink the page's, and numbers no finer than a screen."""
    identifier = element.attrib.pop("id", "")
    if identifier.startswith(MARK):
        element.set("data-mark", identifier.removeprefix(MARK))
    elif identifier and element.tag != f"{{{SVG}}}g":  # nothing refers to groups
        element.set("id", f"{name}-{identifier}")
    if target := element.attrib.pop(XLINK, None):
        element.set("href", target.replace("#", f"#{name}-"))
    if clip := element.get("clip-path"):
        element.set("clip-path", clip.replace("#", f"#{name}-"))
    for attribute in ("d", "x", "y", "transform"):
        if value := element.get(attribute):
            shorter = re.sub(r"-?\d+\.\d+", lambda number: f"{round(float(number[0]), 2):g}", value)
            element.set(attribute, " ".join(shorter.split()))
    if style := element.get("style"):
        style = re.sub(r"font-family: [^;]*(; |$)", "", style)
        element.set("style", style.replace(INK, "currentColor"))


def _lay_out(drawing: Figure) -> None:
    """Grow the figure by the text around its panels and by its key, and place all of them."""
    boxes = [panel.get_tightbbox() for panel in drawing.axes]
    boxes += [key.get_window_extent() for key in drawing.legends]
    drawing.set_figheight(sum(box.height / 72 + 2 * PAD for box in boxes if box))
    ConstrainedLayoutEngine().execute(drawing)
