"""Texts in, entities with character offsets out: the offsets are the text's own, in every form."""

import json

import pytest
from transformers import pipeline
from typer.testing import CliRunner

from bioner.cli import app
from bioner.corpora.changes import Changes
from bioner.corpora.readers.brat import read_brat
from bioner.corpora.readers.pubtator import read_pubtator
from bioner.data.raw_outputs import Tagged
from bioner.errors import InputError
from bioner.inference import tagging
from bioner.inference.predict import load_predictor
from bioner.inference.tagging import (
    Mention,
    Text,
    as_jsonl,
    as_pubtator,
    entry_of,
    load_tagger,
    read_texts,
    write_brat,
)
from tests.workflow.test_bad_input import bioner

DISEASES = {"gout", "renal", "failure"}


def diseases(instances, batch_size):
    """As a model would: the words of DISEASES are entities, next to each other one."""
    outputs = []
    for instance in instances:
        hits = [token in DISEASES for token in instance.tokens]
        tags = [
            ("I-D" if n and hits[n - 1] else "B-D") if hit else "O" for n, hit in enumerate(hits)
        ]
        outputs.append(Tagged(instance.id, list(range(len(tags))), tags))
    return outputs


@pytest.fixture
def tagger(monkeypatch, tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    monkeypatch.setattr(tagging, "load_predictor", lambda *_: diseases)
    return load_tagger(tmp_path)


def tagged(tagger, text: str) -> list[Mention]:
    ((_, mentions),) = tagger([Text("x", text)])
    return mentions


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("No gout.", ["gout"]),
        ("  No\tgout \u2003 after renal  failure.", ["gout", "renal  failure"]),
        ("He had gout. He had renal failure.", ["gout", "renal failure"]),
        ("gout", ["gout"]),
        ("Nothing here.", []),
    ],
)
def test_offsets_are_the_text_s_own(tagger, text, found):
    mentions = tagged(tagger, text)
    assert [mention.text for mention in mentions] == found
    assert [text[mention.start : mention.end] for mention in mentions] == found


def test_texts_keep_their_order_however_many_are_taken_at_once(tagger, monkeypatch):
    texts = [Text(str(number), f"gout {number}." if number % 3 else "none") for number in range(11)]
    once = list(tagger(texts))
    monkeypatch.setattr(tagging, "TEXTS_AT_ONCE", 2)
    assert list(tagger(texts)) == once
    assert [text for text, _ in once] == texts
    assert [len(mentions) for _, mentions in once] == [
        int(bool(number % 3)) for number in range(11)
    ]


@pytest.mark.parametrize(("segmentation", "counts"), [("sentences", [3, 3]), ("passages", [6])])
def test_a_text_is_tagged_by_sentences_or_whole(monkeypatch, tmp_path, segmentation, counts):
    seen = []
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    monkeypatch.setattr(
        tagging,
        "load_predictor",
        lambda *_: lambda some, size: seen.extend(some) or diseases(some, 1),
    )
    list(load_tagger(tmp_path, segmentation=segmentation)([Text("x", "Some gout. No gout.")]))
    assert [len(instance.tokens) for instance in seen] == counts


def test_no_text_has_no_mention(tagger):
    assert list(tagger([])) == []


def test_lines_are_texts_named_by_their_number_and_empty_ones_are_none():
    assert list(read_texts([(1, "gout"), (2, " "), (3, "none")], "text")) == [
        Text("1", "gout"),
        Text("3", "none"),
    ]


@pytest.mark.parametrize(
    ("line", "form"),
    [
        ("8528200|t|Gout and aspirin.", "PubTator"),
        ("\ufeff8528200|t|Gout and aspirin.", "PubTator"),
        ("<html lang='en'>", "XML"),
        ('<?xml version="1.0" encoding="UTF-8"?>', "XML"),
        ("<!DOCTYPE collection SYSTEM 'BioC.dtd'>", "XML"),
        ("<collection><source>PubTator</source>", "XML"),
        ("{", "JSON"),
        ('  {"PubTator3": [{"id": "1", "passages": [', "JSON"),
        ('{"id": "1", "text": "gout"}', "JSON"),
        ('[{"id": "1"}]', "JSON"),
        ("[", "JSON"),
        ('["Gout.", "Aspirin."]', "JSON"),
    ],
)
def test_files_with_mark_up_are_no_plain_text(line, form):
    with pytest.raises(InputError, match=rf"^input:2: found {form}.*expected plain text"):
        list(read_texts([(1, "\n"), (2, line)], "text"))


@pytest.mark.parametrize(
    "line",
    [
        "[Gout in the elderly].",
        '["Aspirin"] is a drug.',
        "{1,2}-Dioxetane in HeLa cells.",
        "<5 mg/l of C|t|e.",
        "<LLOQ samples were left out.",
        "P(A|t|B) is low.",
        "[1]",
    ],
)
def test_sentences_may_begin_with_brackets(line):
    assert list(read_texts([(1, line)], "text")) == [Text("1", line)]


def test_records_bring_their_names():
    assert list(read_texts([(1, '{"id": "a", "text": "gout", "more": 1}')], "jsonl")) == [
        Text("a", "gout")
    ]


@pytest.mark.parametrize("line", ["gout", "[]", '{"id": 1, "text": "gout"}', '{"text": "gout"}'])
def test_other_records_are_named_by_their_line(line):
    with pytest.raises(InputError, match=r"^input:7: "):
        list(read_texts([(7, line)], "jsonl"))


TEXT = Text("7", "Aspirin, gout and renal failure.")
MENTIONS = [Mention(9, 13, "D", "gout"), Mention(18, 31, "D", "renal failure")]


def test_json_lines_hold_text_and_entities():
    record = json.loads(as_jsonl(TEXT, MENTIONS))
    assert (record["id"], record["text"]) == TEXT
    assert record["entities"][0] == {"start": 9, "end": 13, "type": "D", "text": "gout"}


def annotations(documents) -> list[tuple[int, int, str, str]]:
    (document,) = documents
    return [(a.start, a.end, a.type, a.text) for a in document.annotations]


def test_pubtator_can_be_read_again(tmp_path):
    path = tmp_path / "x.pubtator"
    path.write_text(as_pubtator(TEXT, MENTIONS))
    assert annotations(read_pubtator(path, Changes())) == [tuple(mention) for mention in MENTIONS]


@pytest.mark.parametrize("space", ["\n", "\r", "\r\n", "  "], ids=repr)
def test_white_space_in_a_text_breaks_no_line_of_pubtator_and_moves_no_offset(tmp_path, space):
    path, text = tmp_path / "x.pubtator", f"Gout{space}and renal{space}failure."
    start, behind = text.index("renal"), len(text) - 1
    path.write_text(
        as_pubtator(Text("7", text), [Mention(start, behind, "D", text[start:behind])]), newline=""
    )
    (document,) = read_pubtator(path, Changes())
    assert annotations([document]) == [(start, behind, "D", "renal failure")]
    assert document.passages[0].text[start:behind].split() == ["renal", "failure"]


def test_brat_can_be_read_again(tmp_path):
    write_brat(tmp_path, TEXT, MENTIONS)
    assert annotations(read_brat(tmp_path, Changes())) == [tuple(mention) for mention in MENTIONS]


@pytest.mark.parametrize("identity", ["", "a/b", "..", ".hidden"])
def test_a_brat_file_needs_a_name(tmp_path, identity):
    with pytest.raises(InputError, match="a name that a file may have"):
        write_brat(tmp_path, TEXT._replace(id=identity), MENTIONS)
    assert list(tmp_path.iterdir()) == []


def test_a_trained_model_is_run_with_the_settings_it_was_trained_with(tmp_path, tiny_encoder):
    (tmp_path / "model").mkdir()
    (tmp_path / "run.json").write_text(json.dumps({"settings": tiny_encoder.canonical()}))
    assert entry_of(tmp_path / "model").max_length == 32
    for text, said in (("{}", "no settings"), ("[]", "a broken record")):
        (tmp_path / "run.json").write_text(text)
        with pytest.raises(InputError, match=rf"run\.json: found {said}"):
            entry_of(tmp_path / "model")


def test_a_model_beside_the_trained_one_is_described_by_its_own_files(tmp_path, tiny_encoder):
    """As a merged one is: the run is not the one that made it."""
    (tmp_path / "merged").mkdir()
    (tmp_path / "merged/config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "run.json").write_text(json.dumps({"settings": tiny_encoder.canonical()}))
    assert entry_of(tmp_path / "merged").source.hub == str(tmp_path / "merged")


@pytest.mark.parametrize(
    ("config", "window"),
    [
        ({"model_type": "bert", "max_position_embeddings": 128}, 128),
        ({"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ({"model_type": "roberta", "max_position_embeddings": 130, "pad_token_id": 1}, 128),
        ({"model_type": "modernbert", "max_position_embeddings": 8192}, 512),
        ({"model_type": "xlnet"}, 512),
    ],
)
def test_of_another_model_the_window_is_what_it_has_positions_for(tmp_path, config, window):
    (tmp_path / "config.json").write_text(json.dumps(config))
    entry = entry_of(tmp_path)
    assert (entry.family, entry.max_length, entry.resources.predict_gpus) == (
        "encoder",
        window,
        0,
    )


@pytest.fixture
def model(trained_encoder):
    return trained_encoder / "model"


STDIN = "Oral aspirin worsened gout.\n\nNo TNF-α.\n"


def test_the_command_tags_what_is_on_standard_input(model, tmp_path):
    done = CliRunner().invoke(app, ["tag", "--model", str(model)], input=STDIN)
    assert done.exit_code == 0, done.output
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [record["id"] for record in records] == ["1", "3"]
    for record in records:
        for entity in record["entities"]:
            assert record["text"][entity["start"] : entity["end"]] == entity["text"]
    arguments = ["tag", "--model", str(model), "--format", "brat", "--out", str(tmp_path / "out")]
    written = CliRunner().invoke(app, arguments, input=STDIN)
    assert written.exit_code == 0, written.output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "1.ann",
        "1.txt",
        "3.ann",
        "3.txt",
    ]


@pytest.mark.slow
def test_a_process_tags_what_is_on_standard_input_and_writes_nothing_else(model, tmp_path):
    done = bioner("tag", "--model", str(model), cwd=tmp_path, stdin=STDIN)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == ["1", "3"]


def test_an_llm_tags_with_the_words_constrained(trained_llm):
    text = "Oral aspirin  worsened gout."
    ((_, mentions),) = load_tagger(trained_llm / "model")([Text("x", text)])
    assert all(text[mention.start : mention.end] == mention.text for mention in mentions)
    assert {mention.type for mention in mentions} <= {"Chemical", "Disease", "Gene"}


def test_an_llm_tags_with_the_draft_that_was_saved_with_it(trained_llm):
    folder = trained_llm / "model"
    predictor = load_predictor("tiny", entry_of(folder), folder, "constrained")
    assert predictor.settings["draft"] == "table"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--model", "nowhere"], ["nowhere: found no such folder", "train one"]),
        (["--model", "empty"], ["empty: found no loadable model", "config.json"]),
        (["--model", "empty", "--format", "brat"], ["--format brat", "--out FOLDER"]),
    ],
)
def test_what_cannot_tag_says_so(tmp_path, monkeypatch, arguments, named):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["tag", *arguments], input="gout\n")
    assert isinstance(done.exception, InputError), "main ends with code 2 and this line"
    assert done.output == ""
    for words in named:
        assert words in str(done.exception)


def test_the_ecosystem_s_own_pipeline_reads_the_folder(model):
    found = pipeline("token-classification", str(model))("aspirin")
    assert all(set(entity) >= {"entity", "start", "end"} for entity in found)
