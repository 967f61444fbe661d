"""The page as text: nothing from outside, everything escaped, one script known by its hash."""

import base64
import hashlib
import json
import re
from dataclasses import replace

import polars as pl
import pytest

from bioner.reporting.columns import TITLES, meaning
from bioner.reporting.page import page
from bioner.reporting.report import shown_on_page
from bioner.results.cells import CELLS
from tests.unit.reporting.contents import HOSTILE, content


def test_nothing_is_loaded_from_anywhere():
    text = page(content())
    assert not re.search(r"""(src|href|action|url)\s*[=(]\s*["']?\s*(https?:|//)""", text)
    assert not re.search(r"<(link|img|iframe|object|embed|base)\b|@import", text)


def test_the_policy_knows_the_one_script_that_runs():
    text = page(content())
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)[1]
    scripts = re.findall(r"<script>(.*?)</script>", text, flags=re.DOTALL)
    assert len(scripts) == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert policy.startswith("default-src 'none';")
    assert f"script-src 'sha256-{digest}';" in policy


def test_hostile_text_is_text_wherever_it_stands():
    text = page(content())
    for hostile in HOSTILE:
        if "<" in hostile:
            assert hostile not in text
    data = re.search(
        r'<script type="application/json" id="disagreements">(.*?)</script>', text, flags=re.DOTALL
    )[1]
    sentences = json.loads(data)["datasets"][0]["sentences"]
    assert [
        token for _, sentence, *_ in sentences for token in sentence.split(" ") if token in HOSTILE
    ] == HOSTILE


def test_the_same_content_gives_the_same_page():
    assert page(content()) == page(content())


def test_what_is_missing_stands_with_state_reason_and_log():
    text = page(content())
    assert "toy × llama-8b" in text
    assert "failed" in text
    assert "<code>logs/train/toy/llama-8b.log</code>" in text
    assert 'id="missing"' not in page(content(missing=pl.DataFrame(schema=CELLS), failed={}))


def test_a_page_without_answers_figures_or_predictions_has_no_place_for_them():
    text = page(content(answers=(), figures=(), disagreements=None))
    for name in ("answers", "figure-curve", "errors", "disagreements"):
        assert f'id="{name}"' not in text


def test_figures_stand_as_they_are_with_words_for_those_who_do_not_see_them():
    text = page(content())
    assert '<svg viewBox="0 0 10 10"><path d="M0 0L10 10"/></svg>' in text
    assert 'role="img" aria-label="A line &lt;up&gt;"' in text


def test_a_heading_shows_what_its_column_means():
    table = pl.DataFrame({"model": ["bert"], "drop": [6.07]})
    text = page(replace(content(), tables={"cross": table}))
    assert f'<th scope="col" title="{meaning("cross", "drop")}" class="n">drop</th>' in text


def test_the_page_shows_a_single_mapped_type_once():
    drops = [("a", "b", "all"), ("a", "b", "Disease")]
    drops += [("a", "c", "all"), ("a", "c", "Disease"), ("a", "c", "Gene")]
    table = pl.DataFrame(drops, schema=["train", "test", "label"], orient="row")
    tables = {name: pl.DataFrame() for name in TITLES if name != "significance"}
    tables["cross"] = table
    assert shown_on_page(tables)["cross"].rows() == drops[1:]


def test_empty_columns_are_left_out_and_numbers_are_written_for_people():
    text = page(content())
    assert "empty column" not in text
    for shown in ("1,234,567", "12.35", "0.0123", "yes"):
        assert f">{shown}</td>" in text


@pytest.mark.parametrize(
    ("column", "value", "shown"),
    [
        ("f1", 85.7142857, "85.71"),
        ("seconds_median", 0.0031, "0.0031"),
        ("energy_wh_per_sample", 0.0004, "0.0004"),
        ("money", 0.002, "0.002"),
        ("difference", -0.0376, "-0.038"),
        ("p_holm", 0.00001, "1e-05"),
        ("f1", 1e-15, "0.00"),
    ],
)
def test_small_numbers_are_not_shown_as_none(column, value, shown):
    shell = content()
    table = pl.DataFrame({"model": ["m"], column: [value]})
    text = page(
        replace(
            shell,
            tables={"cost": table},
            disagreements=None,
        )
    )
    assert f'<td class="n">{shown}</td>' in text
