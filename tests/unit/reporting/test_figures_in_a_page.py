"""Figures as parts of a page: no clash, nothing from outside, the page's colours and font, names
that mean harm.
"""

import json
import re
import subprocess
import sys

import matplotlib
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree, html

from bioner.reporting.figures import figures
from bioner.reporting.figures.forest import differences
from bioner.reporting.figures.panels import wrapped
from bioner.reporting.figures.styles import COLOURS, FAMILIES, GREY, assign_styles
from bioner.reporting.figures.svg import TEXT, printable
from bioner.reporting.page import PageFigure
from tests.unit.reporting import figure_tables as made
from tests.unit.reporting.test_figures import PAGE

HOSTILE = {
    "bert-large-uncased": 'a"><script>alert(1)</script>',
    "bert-large-cased": "two\nlines",
    "biomedbert-large": "x" * 400,
    "deberta-v3-large": "x" * 401,
    "mistral-7b": "\x00\x1b[31m\u202e",
    "llama-8b": "-->]]><!--",
    "JNLPBA": "模型" * 40,
    "BioRED": "",
    "ChemProt": r"\frac{1}{2} & $\alpha",
    "BC5CDR": "$",
    "Reddit-Impacts": "$x^2$",
}


def drawn(names: dict[str, str]) -> list[PageFigure]:
    """The figures with datasets and models of other names."""
    columns = ("dataset", "model", "baseline_model")
    tables = [
        table.with_columns(
            pl.col(column).replace(names) for column in columns if column in table.columns
        )
        for table in all_tables()
    ]
    families = {names.get(model, model): "llm" for model in made.LLMS}
    return figures(*tables, families)


def all_tables() -> list[pl.DataFrame]:
    return [
        made.strict(),
        made.paper_scoring(),
        made.time(),
        made.significance(),
        made.histories(),
        made.bins(),
    ]


def as_page(parts: list[PageFigure]) -> str:
    return f"<!doctype html><html><body>{''.join(figure.svg for figure in parts)}</body></html>"


def test_no_id_stands_twice_and_every_reference_is_answered_within_its_figure():
    ids: list[str] = []
    for figure in PAGE:
        root = etree.fromstring(figure.svg)
        own = root.xpath("//@id")
        assert all(name.startswith(f"{figure.name}-") for name in own)
        wanted = {name.removeprefix("#") for name in root.xpath("//@href")}
        wanted |= set(re.findall(r"url\(#([^)]*)\)", figure.svg))
        assert wanted
        assert wanted <= set(own)
        ids += own
    assert len(ids) == len(set(ids))


def test_nothing_comes_from_outside_and_nothing_holds_for_the_page():
    for figure in PAGE:
        root = etree.fromstring(figure.svg)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert figure.svg.startswith("<svg ")  # no prolog, no doctype
        assert set(re.findall(r"[a-z]+://[^\"' <]*", figure.svg)) == {"http://www.w3.org/2000/svg"}
        assert tags_of(root) <= {
            "svg",
            "title",
            "desc",
            "defs",
            "clipPath",
            "rect",
            "g",
            "path",
            "use",
            "text",
            "tspan",
        }


def test_the_same_tables_give_the_same_bytes_in_another_process_whatever_is_set_there(tmp_path):
    (tmp_path / "matplotlibrc").write_text(
        "font.size: 20\naxes.grid: False\nsvg.fonttype: path\ntext.color: red\n"
    )
    code = (
        "import json\nfrom bioner.reporting.figures import figures\nfrom tests.unit.reporting"
        " import figure_tables as made\nt = (made.strict(), made.paper_scoring(), made.time(),"
        " made.significance(), made.histories(), made.bins())\nprint(json.dumps([figure.svg for"
        " figure in figures(*t, {})]))\nimport sys; sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    environment = {
        "MATPLOTLIBRC": str(tmp_path),
        "PYTHONHASHSEED": "7",
        "PYTHONPATH": ":".join(sys.path),
    }
    environment["MPLCONFIGDIR"] = str(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert json.loads(done.stdout) == [figure.svg for figure in PAGE]


def test_settings_are_as_before():
    before = dict(matplotlib.rcParams)
    nothing = pl.DataFrame()
    assert figures(nothing, nothing, made.time(), made.significance(), nothing, made.bins(), {})
    assert dict(matplotlib.rcParams) == before


def test_text_is_text_in_the_page_s_font_and_colour_and_large_enough():
    for figure in PAGE:
        root = etree.fromstring(figure.svg)
        assert root.get("viewBox").startswith("0 0 400 ")
        assert (root.get("width"), root.get("height")) == (None, None)
        assert "width: 100%" in root.get("style")
        texts = root.xpath("//*[local-name()='text']")
        assert len(texts) > 20
        for text in texts:
            style = dict(rule.split(": ") for rule in text.get("style").split("; "))
            assert style["fill"] == "currentColor"
            assert (
                float(style.get("font-size", style.get("font", "")).removesuffix("px") or 0) >= TEXT
            )
            assert "font-family" not in style


def test_what_is_drawn_has_the_page_s_colour_or_one_that_is_seen_on_light_and_dark():
    allowed = {"currentColor", "none", *COLOURS, *GREY}
    for figure in PAGE:
        assert set(re.findall(r"(?:fill|stroke): ([^;\"]*)", figure.svg)) <= allowed
        root = etree.fromstring(figure.svg)
        # A shape that says nothing of its filling would be black.
        for path in root.xpath(
            "//*[local-name()='path' and not(ancestor::*[local-name()='defs'])]"
        ):
            assert "fill: " in path.get("style")


@pytest.mark.parametrize("colour", [*COLOURS, *GREY])
@pytest.mark.parametrize("ground", ["#ffffff", "#121212", "#1c1b22", "#1e1e1e"])
def test_colours_have_the_contrast_of_graphics(colour, ground):
    # WCAG 2.2, 1.4.11: 3 to 1.
    light, dark = sorted((luminance(colour), luminance(ground)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 3


def luminance(colour: str) -> float:
    """Relative luminance as WCAG defines it."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_a_screen_reader_is_told_what_it_is_and_shows():
    for figure in PAGE:
        root = etree.fromstring(figure.svg)
        assert root.get("role") == "img"
        title, desc = root[0], root[1]
        assert (title.text, desc.text) == (figure.title, figure.alt)
        assert root.get("aria-labelledby").split() == [title.get("id"), desc.get("id")]


def test_names_are_text_whatever_they_hold():
    parts = drawn(HOSTILE)
    assert len(parts) == 7
    for figure, sound in zip(parts, PAGE, strict=True):
        root = etree.fromstring(figure.svg)
        assert tags_of(root) == tags_of(etree.fromstring(sound.svg))
        assert not root.xpath("//comment()")
    page = html.document_fromstring(as_page(parts))
    assert not page.xpath("//script")
    assert len(page.xpath("//svg")) == 7


def test_names_stand_there_as_they_are():
    names = {"llama-8b": "$x^2$", "mistral-7b": "a & <b>", "JNLPBA": r"\alpha", "BC5CDR": "$"}
    for figure in drawn(names):
        texts = etree.fromstring(figure.svg).xpath("//*[local-name()='text']/text()")
        assert all(any(name in text for text in texts) for name in list(names.values())[:2])
        if figure.name != "against-paper":  # where all datasets are in one panel
            assert all(any(name in text for text in texts) for name in names.values())


def tags_of(root: etree._Element) -> set[str]:
    return {etree.QName(element).localname for element in root.iter()}


def test_twenty_models_differ_in_how_they_look():
    styles = assign_styles({f"model-{number}": "encoder" for number in range(20)})
    assert len({(look.colour, look.marker) for look in styles.values()}) == 20
    paper = assign_styles(dict.fromkeys(made.ENCODERS, "encoder") | dict.fromkeys(made.LLMS, "llm"))
    assert len({look.colour for look in paper.values()}) == 6


def test_families_differ_without_colour():
    for one, other in ((a, b) for a in FAMILIES for b in FAMILIES if a < b):
        assert FAMILIES[one].line != FAMILIES[other].line
        assert not set(FAMILIES[one].markers) & set(FAMILIES[other].markers)


def test_twenty_models_in_all_figures():
    names = [f"model-{number}" for number in range(20)]

    def of_all(table: pl.DataFrame) -> pl.DataFrame:
        table = table.filter(pl.col("dataset").is_in(["BC5CDR", "JNLPBA"]), model="llama-8b")
        return pl.concat(table.with_columns(model=pl.lit(name)) for name in names)

    strict, paper, history, time = (
        of_all(table)
        for table in (made.strict(), made.paper_scoring(), made.histories(), made.time())
    )
    parts = figures(strict, paper, time, pl.DataFrame(), history, pl.DataFrame(), {})
    assert len(parts) == 4
    for figure in parts:
        texts = etree.fromstring(figure.svg).xpath("//*[local-name()='text']/text()")
        assert set(names) <= set(texts)


def test_a_long_name_is_whole_in_several_lines_within_the_figure():
    names = {
        "llama-8b": "organisation/" + "a-model-with-a-long-name-" * 5 + "of-8b",
        "BC5CDR": "a corpus of many words " * 6 + "at its end",
    }
    for figure in drawn(names):
        root = etree.fromstring(figure.svg)
        _, _, width, height = map(float, root.get("viewBox").split())
        texts = root.xpath("//*[local-name()='text']")
        whole = "".join("".join(text.text.split()) for text in texts)
        wanted = names if figure.name != "against-paper" else ["llama-8b"]
        assert all("".join(names[name].split()) in whole for name in wanted), figure.name
        for text in texts:
            x, y = text.get("x"), text.get("y")
            if x is not None:
                assert 0 <= float(x) < width and TEXT / 2 < float(y) < height


@pytest.mark.parametrize("low", [-23.7, -23.81, -9.43, -96.0])
def test_the_first_number_of_an_axis_is_whole(low):
    """It is centred on its tick, which may be at the very edge of a panel without other labels."""
    row = made.significance().filter(family="primary").head(1)
    bounds = {"difference": low / 2, "low": pl.lit(low), "high": pl.lit(9.4)}
    sections = [("primary", "all"), ("primary", "3+"), ("length claim", "3+ - 1")]
    table = pl.concat(
        row.with_columns(family=pl.lit(family), stratum=pl.lit(stratum), **bounds)
        for family, stratum in sections
    )
    styles = assign_styles(
        dict.fromkeys(made.LLMS, "llm") | dict.fromkeys(made.ENCODERS, "encoder")
    )
    root = etree.fromstring(differences(table, styles).svg)
    numbers = [
        (float(text.get("x")), len(text.text))
        for text in root.xpath("//*[local-name()='text'][contains(@style, 'middle')]")
        if re.fullmatch(r"−?\d+", text.text)
    ]
    assert numbers
    digit = 0.6 * TEXT
    assert min(x - digit * characters / 2 for x, characters in numbers) >= 0


@settings(max_examples=100)
@given(st.text(max_size=200))
def test_lines_are_not_longer_than_asked_and_leave_nothing_out(text):
    lines = wrapped(text, 20).split("\n")
    assert all(len(line) <= 20 for line in lines)
    assert "".join("".join(lines).split()) == "".join(printable(text).split())
