"""The embedded corpus has what the demo relies on: size, types, clean splits, hard cases."""

import unicodedata
from itertools import combinations

import pytest

from bioner.corpora.fetching.fetch import fetch
from bioner.corpora.normalize import normalize
from bioner.data.instances import SPLITS, digest, entity_types
from bioner.data.tags import spans
from bioner.settings.catalogue import load_datasets
from bioner.settings.config import load_config


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    """Instances of each split by corpus, through fetch and normalize, without a mirror."""
    out = tmp_path_factory.mktemp("demo")
    catalogue = load_datasets(load_config({}))
    found = {}
    for name in ("demo", "demo-organs", "demo-systems"):
        fetch(name, catalogue[name], out / name / "raw", None)
        found[name] = normalize(name, catalogue[name], out / name / "raw", out / name / "data")
    return found


@pytest.fixture(scope="module")
def corpus(corpora):
    return corpora["demo"]


@pytest.fixture(scope="module")
def entities(corpus):
    """The tokens of every entity of the corpus."""
    return [
        instance.tokens[span.start : span.end]
        for instances in corpus.values()
        for instance in instances
        for span in spans(instance.tags)
    ]


def sentences(instances):
    return {" ".join(instance.tokens) for instance in instances}


def test_it_has_at_least_400_distinct_sentences(corpus):
    assert len(set().union(*map(sentences, corpus.values()))) >= 400


@pytest.mark.parametrize("split", SPLITS)
def test_every_split_has_exactly_the_three_types(corpora, split):
    for corpus in corpora.values():
        assert entity_types(corpus[split]) == ["Chemical", "Disease", "Gene"]


@pytest.mark.parametrize("split", SPLITS)
def test_its_two_topics_are_the_whole(corpora, split):
    one, other = corpora["demo-organs"][split], corpora["demo-systems"][split]
    parts, whole = (
        [(each.doc, each.tokens, each.tags) for each in instances]
        for instances in ([*one, *other], corpora["demo"][split])
    )
    assert parts == whole
    topics = [{each.doc.partition("-")[0] for each in part} for part in (one, other)]
    assert topics == [{"cardio", "neuro", "onco"}, {"immuno", "metab"}]


def test_the_instances_are_what_they_were_in_one_file(corpora):
    digests = {split: digest(instances)[:12] for split, instances in corpora["demo"].items()}
    known = {"train": "e7a739b7e739", "dev": "6b4fe3aca89e", "test": "4c2d222159ca"}
    assert digests == known


@pytest.mark.parametrize(("one", "other"), combinations(SPLITS, 2))
def test_no_document_is_in_two_splits(corpus, one, other):
    assert {instance.doc for instance in corpus[one]} & {
        instance.doc for instance in corpus[other]
    } == set()


@pytest.mark.parametrize(("one", "other"), combinations(SPLITS, 2))
def test_no_sentence_is_in_two_splits(corpus, one, other):
    assert sentences(corpus[one]) & sentences(corpus[other]) == set()


def test_a_fifth_of_the_entities_has_three_tokens_or_more(entities):
    assert sum(len(entity) >= 3 for entity in entities) / len(entities) >= 0.20


def _is_greek(character):
    return unicodedata.name(character, "").startswith("GREEK")


@pytest.mark.parametrize(
    "occurs",
    [
        lambda token: ":" in token,
        lambda token: "(" in token or ")" in token,
        lambda token: "[" in token or "]" in token,
        lambda token: any(map(_is_greek, token)),
    ],
    ids=["colon", "round bracket", "square bracket", "Greek letter"],
)
def test_characters_that_models_stumble_over_occur_inside_entities(entities, occurs):
    assert any(occurs(token) for entity in entities for token in entity)


def test_there_are_sentences_without_any_entity(corpus):
    assert any(set(instance.tags) == {"O"} for instance in corpus["test"])
