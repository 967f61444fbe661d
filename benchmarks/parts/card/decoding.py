"""Steps that decode with LLMs of random weights, merged and as trained."""

import gc
import json
import random
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bioner.data.instances import Instance, Prediction
from bioner.data.raw_outputs import Generated
from bioner.data.tags import repair, spans, tag_set
from bioner.inference.decoding.constrained import ConstrainedDecoder
from bioner.inference.decoding.drafts import Draft, all_outside, predicted
from bioner.inference.decoding.free import FreeDecoder
from bioner.models.llm import load_trained
from parts.card.clock import clock
from parts.card.sentences import TYPES, sentences
from parts.card.session import Session
from parts.card.weights import entry_of, trained_folder

RIGHT = 0.95  # of a draft's tags
COUNTS = {"JNLPBA": 64, "BioRED": 32}  # sentences
ALONE = {"JNLPBA": 16, "BioRED": 8}  # at batch 1
FREE_IDS = 2  # per word: random weights do not stop by themselves
WEIGHTS = ("merged", "as-trained")


def constrained(session: Session) -> None:
    """Measure constrained decoding of both corpora by batch size, merged and as trained."""
    drafts: dict[str, Draft] = {}
    for weights in WEIGHTS:
        tags = _constrained(session, "mistral-7b", weights, list(TYPES), (1, 32), drafts)
        _tags_file(session, weights).write_text(json.dumps(tags), encoding="utf-8")


def llama_constrained(session: Session) -> None:
    """Measure Llama's shape, merged, on JNLPBA's lengths."""
    _constrained(session, "llama-8b", "merged", ["JNLPBA"], (1, 32), {})


def _constrained(
    session: Session,
    name: str,
    weights: str,
    corpora: Sequence[str],
    batches: Sequence[int],
    drafts: dict[str, Draft],
) -> dict[str, list[list[str]]]:
    """Measure a model; return the tags of each corpus by the largest batch.

    Args:
        drafts: Drafts by corpus; missing ones are made from the model's own answers and added.
    """
    model, tokenizer = _loaded(session, name, weights)
    tags = {}
    for corpus in corpora:
        instances = sentences(corpus, 4 if session.rehearse else COUNTS[corpus])
        types = TYPES[corpus]
        if corpus not in drafts:
            answers = ConstrainedDecoder(model, tokenizer, types, all_outside())(instances, 32)
            drafts[corpus] = _right_draft(instances, _tags(answers), types)
        decoder = ConstrainedDecoder(model, tokenizer, types, drafts[corpus])
        for batch in batches:
            some = _of_all_lengths(instances, ALONE[corpus]) if batch == 1 else instances
            decoder(some[:batch], batch)  # warms up
            taken, outputs = clock(decoder, some, batch)
            counts, tags[corpus] = decoder.counts, _tags(outputs)
            session.say(
                model=name,
                weights=weights,
                corpus=corpus,
                batch=batch,
                sentences=len(some),
                words=round(mean(len(instance.tokens) for instance in some), 1),
                ms_per_sentence=round(taken.whole / len(some), 2),
                pass_ms=round(taken.whole / counts.passes, 2),
                passes=counts.passes,
                ids_per_sentence=round(counts.ids / len(some), 1),
                padding_share=round(counts.padding / (counts.ids + counts.padding), 3),
                settings=decoder.settings,
            )
    return tags


def _of_all_lengths(instances: Sequence[Instance], count: int) -> list[Instance]:
    every = max(1, len(instances) // count)
    return sorted(instances, key=lambda instance: len(instance.tokens))[every // 2 :: every]


def _loaded(
    session: Session, name: str, weights: str
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    gc.collect()  # the model before this one
    folder, entry = trained_folder(session, name), entry_of(session, name)
    return load_trained(folder, entry, weights == "merged")[:2]


def _tags_file(session: Session, weights: str) -> Path:
    return session.out / f"tags-{weights}.json"


def _tags(outputs: Sequence[Generated]) -> list[list[str]]:
    """Return the tags in the lines of constrained outputs."""
    return [[line.rpartition(":")[2] for line in output.text.splitlines()] for output in outputs]


def _right_draft(
    instances: Sequence[Instance], answers: Sequence[Sequence[str]], types: Sequence[str]
) -> Draft:
    """Draft the answers with one tag in twenty replaced at random."""
    draw, tags = random.Random(0), tag_set(types)

    def drafted(tag: str) -> str:
        return tag if draw.random() < RIGHT else draw.choice([t for t in tags if t != tag])

    rows = [list(map(drafted, row)) for row in answers]
    predictions = [Prediction(item.id, row) for item, row in zip(instances, rows, strict=True)]
    return predicted("right on 95 %", predictions, all_outside())


def free(session: Session) -> None:
    """Measure free decoding per id, and whether batches and single sentences give equal text."""
    for weights in WEIGHTS:
        _free(session, weights)


def _free(session: Session, weights: str) -> None:
    model, tokenizer = _loaded(session, "mistral-7b", weights)
    decoder = FreeDecoder(model, tokenizer, TYPES["JNLPBA"], FREE_IDS)
    instances = sentences("JNLPBA", 4 if session.rehearse else 32)
    decoder(instances[:1], 1)  # warms up
    texts = []
    for batch, some in ((32, instances), (1, instances[:2])):
        taken, outputs = clock(decoder, some, batch)
        ids = sum(output.new_tokens for output in outputs)
        per_id = round(taken.whole / max(ids, 1), 3)
        session.say(weights=weights, batch=batch, sentences=len(some), ids=ids, ms_per_id=per_id)
        texts.append([output.text for output in outputs[:2]])
    session.say(weights=weights, batch_equals_alone=texts[0] == texts[1])


def agreement(session: Session) -> None:
    """Measure how many tags and entities differ between merged and as-trained weights.

    Random weights decide by smaller margins than trained ones.
    """
    files = [_tags_file(session, weights) for weights in WEIGHTS]
    if not all(file.is_file() for file in files):
        raise RuntimeError("needs the tags of the step constrained, which has not finished")
    merged, as_trained = (json.loads(file.read_text(encoding="utf-8")) for file in files)
    for corpus in merged:
        pairs = list(zip(merged[corpus], as_trained[corpus], strict=True))
        differ = [a != b for one, other in pairs for a, b in zip(one, other, strict=True)]
        entities = [[set(spans(repair(row).tags)) for row in pair] for pair in pairs]
        both = sum(len(one) + len(other) for one, other in entities)
        apart = sum(len(one ^ other) for one, other in entities)
        session.say(
            corpus=corpus,
            sentences=len(pairs),
            tags_that_differ=round(mean(differ), 5),
            entities_that_differ=round(apart / max(both, 1), 5),
        )
