"""The page in a real browser: it opens without an error or a request, filters and sorts, runs no
text, fits a phone.

Skipped where no Chromium is installed (Debian: chromium).
"""

import shutil
from collections.abc import Iterator
from itertools import product

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from bioner.data.instances import Instance, Prediction
from bioner.data.tags import Span, spans
from bioner.reporting.disagreements import KINDS, ReportedSystem, disagreements
from bioner.reporting.error_analysis import ErrorReport
from bioner.reporting.page import page
from bioner.scoring.pairs import text_of
from tests.unit.reporting.contents import HOSTILE, PREDICTIONS, SILENT, TRAIN, content

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium on PATH (Debian: apt-get install chromium)"
)
QUIET = (
    *("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
TITLE = "bioner-bench: report"
ANY = ""
# Sets the filters and says what is found: the counts, and how many sentences are rendered.
FILTER = """(wanted) => {
  for (const [name, value] of Object.entries(wanted)) {
    document.querySelector(`.controls [name=${name}]`).value = value;
  }
  document.querySelector(".controls select").dispatchEvent(new Event("change", { bubbles: true }));
  const sentences = document.querySelectorAll(".sentence");
  return [document.getElementById("found").textContent, sentences.length];
}"""
# The lowest contrast (WCAG 2) of what a selector finds, against the nearest background that is not
# transparent.
CONTRAST = """(selector) => {
  const parts = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = (color) => {
    const linear = (value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    const [r, g, b] = parts(color).slice(0, 3).map((value) => linear(value / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const color = getComputedStyle(node).backgroundColor;
      if (parts(color)[3] !== 0) return color;
    }
  };
  return [...document.querySelectorAll(selector)].map((node) => {
    const both = [light(getComputedStyle(node).color), light(behind(node))];
    const [low, high] = both.sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  }).reduce((a, b) => Math.min(a, b), 99);
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield started
        started.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(page(content()), encoding="utf-8")
    return path


@pytest.fixture
def opened(browser, file):
    """Opens the page in a tab, which must at the end have had no error and have asked for nothing
    but the file.
    """
    tabs, faults, requests = [], [], []

    def open_page(**options) -> Page:
        tab = browser.new_page(**options)
        tab.on("console", lambda message: faults.append(message.text))
        tab.on("pageerror", lambda error: faults.append(str(error)))
        tab.on("dialog", lambda dialog: faults.append(dialog.message))
        tab.on("request", lambda request: requests.append(request.url))
        tab.goto(file.as_uri())
        tabs.append(tab)
        return tab

    yield open_page
    for tab in tabs:
        assert tab.title() == TITLE, "text of the page was run"
        tab.close()
    assert not faults
    assert requests == [file.as_uri()] * len(tabs)


def errors_by_definition(gold: list[Span], found: list[Span]) -> Iterator[tuple[str, Span]]:
    """Kind and span of every error, straight from the definitions."""
    for entity in gold:
        over = [span for span in found if span.start < entity.end and entity.start < span.end]
        if entity in over:
            continue
        if not over:
            yield "missed", entity
        elif any(span[:2] == entity[:2] for span in over):
            yield "type", entity
        else:
            yield ("boundary" if any(span.type == entity.type for span in over) else "both"), entity
    for span in found:
        if not any(entity.start < span.end and span.start < entity.end for entity in gold):
            yield "spurious", span


def length_of(span: Span) -> str:
    return "3+" if span.length > 2 else str(span.length)


def expected(
    dataset: str, model: str, kind: str, length: str, known: str, right: str
) -> tuple[int, int]:
    """How many errors these filters let through, and in how many sentences."""
    errors = sentences = 0
    for name, (instances, answers) in PREDICTIONS.items():
        models = {system.model for system in answers if system != SILENT}
        if name == "closed" or dataset not in (ANY, name) or not {model, right} - {ANY} <= models:
            continue
        for place, instance in enumerate(instances):
            gold = spans(instance.tags)
            by_model = {
                system.model: list(errors_by_definition(gold, spans(rows[place].tags)))
                for system, rows in answers.items()
                if system != SILENT
            }
            if right != ANY and by_model[right]:
                continue
            hits = [
                error
                for whose, found in by_model.items()
                for error, span in found
                if model in (ANY, whose)
                and kind in (ANY, error)
                and length in (ANY, length_of(span))
                if known == ANY
                or (
                    name == "toy"
                    and known == str(int((text_of(instance.tokens, span), span.type) in TRAIN))
                )
            ]
            errors += len(hits)
            sentences += bool(hits)
    return errors, sentences


def test_every_combination_of_filters_finds_what_the_definitions_say(opened):
    tab = opened()
    models = [ANY, "bert", "llama-8b"]
    choices = (
        [ANY, "toy", "mine", "closed"],
        models,
        [ANY, *KINDS],
        [ANY, "1", "2", "3+"],
        [ANY, "0", "1"],
        models,
    )
    names = ("dataset", "model", "kind", "length", "known", "right")
    combinations = [dict(zip(names, combination, strict=True)) for combination in product(*choices)]
    found = tab.evaluate(
        f"(all) => all.map({FILTER})", combinations
    )  # a call for each would cost most of the time
    seen = set()
    for wanted, shown in zip(combinations, found, strict=True):
        errors, sentences = expected(*wanted.values())
        said = (
            f"{errors} error{'' if errors == 1 else 's'} in {sentences}"
            f" sentence{'' if sentences == 1 else 's'}"
        )
        assert shown == [said, min(sentences, 50)], wanted
        seen.add((errors, sentences))
    assert len(seen) > 15, "the filters make a difference"


def test_the_filters_offer_what_there_is(opened):
    tab = opened()
    options = {
        name: (
            tab.locator(f".controls [name={name}] option").evaluate_all(
                "all => all.map((option) => option.value)"
            )
        )
        for name in ("dataset", "model", "kind", "length")
    }
    assert options == {
        "dataset": ["", "toy", "mine", "closed"],
        "model": ["", "bert", "llama-8b"],
        "kind": ["", *KINDS],
        "length": ["", "1", "2", "3+"],
    }


def test_sentences_are_found_by_words_typed(opened):
    tab = opened()
    tab.locator(".controls [name=words]").press_sequentially("FAILURE acute")
    expect(tab.locator("#found")).to_have_text("2 errors in 1 sentence")


def test_sentences_come_fifty_at_a_time(opened):
    tab = opened()
    tab.locator(".controls [name=dataset]").select_option("mine")
    assert tab.locator("#found").text_content() == "120 errors in 120 sentences"
    for shown, left in ((50, "Show 50 more of 70"), (100, "Show 20 more of 20")):
        assert (tab.locator(".sentence").count(), tab.locator("#more").text_content()) == (
            shown,
            left,
        )
        tab.locator("#more").click()
    assert tab.locator(".sentence").count() == 120
    assert not tab.locator("#more").is_visible()


def test_a_card_shows_gold_and_those_who_err_with_kind_and_type_in_words(opened):
    tab = opened()
    tab.locator(".controls [name=words]").fill("chronic")
    expect(tab.locator(".sentence")).to_have_count(1)
    marks = "all => all.map((mark) => [mark.className, mark.textContent])"
    lines = [
        (line.locator(".who").text_content(), line.locator("mark").evaluate_all(marks))
        for line in tab.locator(".sentence .line").all()
    ]
    assert lines == [
        ("gold", [["gold", "chronic gout\xa0Disease"], ["gold", "aspirin\xa0Chemical"]]),
        (
            "bert",
            [
                ["type", "chronic gout\xa0type Chemical"],
                ["spurious", "and\xa0spurious Disease"],
                ["missed", "aspirin\xa0missed Chemical"],
            ],
        ),
        ("llama-8b (constrained)", [["both", "gout and\xa0both Chemical"], ["found", "aspirin"]]),
    ]


def test_those_who_answer_alike_share_a_line(opened):
    tab = opened()
    tab.locator(".controls [name=words]").fill("acute")
    expect(tab.locator(".sentence")).to_have_count(1)
    assert tab.locator(".sentence .who").all_text_contents() == [
        "gold",
        "bert, llama-8b (constrained)",
    ]


def test_closed_corpora_and_silent_systems_are_named(opened):
    tab = opened()
    remark = tab.locator("#browser > p.note").text_content()
    assert "closed: its terms forbid to show its text" in remark
    assert "all-o" in remark
    assert "unspeakable" not in tab.content()


def test_columns_sort_as_numbers_or_words_with_empty_cells_last(opened):
    tab = opened()
    table = tab.locator("#table-table3_strict table")

    def column(place: int) -> list[str]:
        return table.locator(f"tbody td:nth-child({place + 1})").all_text_contents()

    model, count = table.locator("th button").nth(0), table.locator("th button").nth(1)
    as_written = column(1)
    numbers = ["-5", *map(str, range(12)), "999", "1,234,567"]
    count.click()
    assert column(1) == [*numbers, ""]
    assert table.locator("th").nth(1).get_attribute("aria-sort") == "ascending"
    count.press("Enter")
    assert column(1) == [*reversed(numbers), ""]
    assert table.locator("th").nth(1).get_attribute("aria-sort") == "descending"
    count.press("Space")
    assert column(1) == as_written
    assert table.locator("[aria-sort]").count() == 0
    model.click()
    names = column(0)
    assert names.index("m9") < names.index("m10"), "numbers in words count as numbers"
    assert (names[-1], table.locator("[aria-sort]").count()) == ("", 1)


def test_long_tables_are_filtered_by_words_and_short_ones_have_no_box(opened):
    tab = opened()
    box = tab.locator("#table-table3_strict .filter input")
    box.fill("yes ROW1")
    visible = tab.locator(
        "#table-table3_strict tbody tr:visible td:first-child"
    ).all_text_contents()
    assert visible == ["row1", "row10", "row11"]
    assert tab.locator("#table-table3_strict .filter output").text_content() == "3 of 16 rows"
    box.fill("")
    assert tab.locator("#table-table3_strict tbody tr:visible").count() == 16
    assert tab.locator("#missing .filter").count() == 0


def test_hostile_text_is_shown_and_runs_nothing(opened):
    tab = opened()
    tab.evaluate(FILTER, {"dataset": "toy", "model": "bert"})
    gold = tab.locator(".sentence .line:nth-of-type(1) mark.gold").evaluate_all(
        "all => all.map((m) => m.firstChild.data)"
    )
    assert gold[: 2 * len(HOSTILE) : 2] == HOSTILE
    assert HOSTILE[0] in tab.locator("#table-table3_strict td").all_text_contents()
    assert HOSTILE[2] in tab.locator("#answers p").all_text_contents()
    assert tab.locator("img").count() == 0


def test_the_policy_stops_what_is_slipped_in(browser, file):
    """Were a value ever not escaped, the browser would still run and load nothing of it."""
    slipped = file.with_name("slipped.html")
    attack = (
        "<script>document.title = 'run'</script><img src='https://example.org/x'"
        " onerror=\"document.title = 'run'\">"
    )
    slipped.write_text(
        file.read_text(encoding="utf-8").replace("<main>", f"<main>{attack}"), encoding="utf-8"
    )
    tab = browser.new_page()
    refused = []
    tab.on("console", lambda message: refused.append(message.text))
    tab.goto(slipped.as_uri())
    assert tab.title() == TITLE
    assert sum("Content Security Policy" in text for text in refused) >= 2
    tab.close()


@pytest.mark.parametrize("width", [320, 375, 1200, 1600])
def test_the_page_never_scrolls_sideways(opened, width):
    tab = opened(viewport={"width": width, "height": 800})
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    box = tab.locator("#table-table3_strict .scroll")
    assert box.evaluate("box => getComputedStyle(box).overflowX") == "auto", (
        "wide tables do so inside their box"
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_marks_can_be_read_in_light_and_dark(opened, scheme):
    tab = opened(color_scheme=scheme)
    background = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")
    classes = set(tab.locator("mark").evaluate_all("all => all.map((mark) => mark.className)"))
    assert classes == {"gold", "found", *KINDS}
    for selector in (
        "p, li, td, th, h2, a, input, select, button",
        ".note, .who, .file, figcaption, footer",
        "mark, small",
    ):
        assert tab.evaluate(CONTRAST, selector) >= 4.5, selector


def test_marks_differ_by_more_than_colour(opened):
    styles = (
        opened()
        .locator("mark:not(.found)")
        .evaluate_all(
            "all => all.map((mark) => [mark.className, getComputedStyle(mark).borderBottomStyle])"
        )
    )
    assert (
        len({style for _, style in styles}) == len({kind for kind, _ in styles}) == 1 + len(KINDS)
    )


def test_without_scripts_the_tables_are_there(opened):
    tab = opened(java_script_enabled=False)
    assert tab.locator("#table-table3_strict tbody tr").count() == 16
    assert tab.get_by_text("To read the sentences, allow scripts").is_visible()
    assert not tab.locator("#browser").is_visible()


def test_links_of_the_contents_lead_somewhere(opened):
    tab = opened()
    targets = tab.locator("nav a").evaluate_all(
        "all => all.map((link) => link.getAttribute('href'))"
    )
    assert len(targets) == len(set(targets)) == 9
    for target in targets:
        assert tab.locator(target).count() == 1


@pytest.mark.parametrize(("width", "unfolded"), [(390, False), (1280, True)])
def test_answers_come_first_on_a_phone(opened, width, unfolded):
    tab = opened(viewport={"width": width, "height": 844})
    assert tab.locator("nav a").first.is_visible() == unfolded
    assert unfolded or tab.locator("#answers article").first.bounding_box()["y"] < 844
    tab.locator("nav summary").click()
    assert tab.locator("nav a").first.is_visible() != unfolded


def test_paper_has_whole_tables_and_no_controls(opened):
    tab = opened()
    tab.emulate_media(media="print")
    assert not tab.locator(".controls").is_visible()
    assert (
        tab.locator("#table-table3_strict .scroll").evaluate(
            "box => getComputedStyle(box).maxHeight"
        )
        == "none"
    )


def test_long_texts_are_cut_to_what_is_near_an_error_until_asked(browser, tmp_path):
    tokens = [f"w{place}" for place in range(200)]
    gold = Instance("long", "long", tokens, ["O"] * 150 + ["B-Disease"] + ["O"] * 49)
    wrong = Prediction("long", ["B-Disease"] + ["O"] * 199)
    found = disagreements("toy", [gold], {ReportedSystem("a", "direct", 1): [wrong]}, closed=False)
    path = tmp_path / "report.html"
    path.write_text(page(content(disagreements=ErrorReport([found], []))), encoding="utf-8")
    tab = browser.new_page()
    tab.goto(path.as_uri())
    shown = tab.locator(".sentence .line .text").first.text_content().split()
    assert shown == [*tokens[:13], "…", *tokens[138:151], "Disease", *tokens[151:163], "…"]
    tab.locator(".sentence summary").click()
    expect(tab.locator(".sentence details .text")).to_have_count(1)
    assert tab.locator(".sentence details .text").text_content().split() == [
        *tokens[:151],
        "Disease",
        *tokens[151:],
    ]
    tab.close()
