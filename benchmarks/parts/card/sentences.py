"""Sentences of JNLPBA's and BioRED's lengths: made-up words, or a mirror's own sentences."""

import os
import random
import tempfile
from pathlib import Path

from bioner.data.instances import Instance

# Words per test sentence at 32 even quantiles. BioRED's sentences are whole abstracts, too.
LENGTHS = {
    "JNLPBA": (
        *(7, 10, 12, 13, 14, 15, 16, 17, 18, 19, 20, 20, 21, 22, 23, 24),
        *(25, 25, 26, 27, 28, 29, 31, 32, 33, 35, 37, 39, 41, 44, 49, 59),
    ),
    "BioRED": (
        *(10, 12, 13, 15, 15, 16, 17, 19, 20, 21, 24, 30, 34, 40, 53, 71),
        *(86, 95, 118, 134, 164, 183, 211, 225, 229, 233, 237, 243, 246, 248, 250, 255),
    ),
}
TYPES = {
    "JNLPBA": ("DNA", "RNA", "cell_line", "cell_type", "protein"),
    "BioRED": (
        *("CellLine", "ChemicalEntity", "DiseaseOrPhenotypicFeature", "GeneOrGeneProduct"),
        *("OrganismTaxon", "SequenceVariant"),
    ),
}
# About 1.9 ids of Mistral's tokenizer per word, as in JNLPBA.
OUTSIDE_WORDS = (
    *("the", "of", "and", "in", "with", "by", "that", "was", "were", "a", "to", "for", "is", ","),
    *(".", "(", ")", "expression", "activation", "binding", "transcription", "induced", "site"),
    *("regulation", "promoter", "demonstrated", "human", "analysis"),
    *("response", "levels", "phosphorylation", "significantly", "of", "tissue"),
)
ENTITY_WORDS = (
    *("IL-2", "NF-kappaB", "interleukin-4", "monocytes", "T-cell", "Jurkat", "CD28", "c-fos"),
    *("glucocorticoid", "leukemia", "lymphocytes", "STAT5b", "thrombocytopenia", "TNFRSF1A"),
)
ENTITY_SHARE = 0.19  # of JNLPBA's words


def sentences(corpus: str, count: int) -> list[Instance]:
    """Return sentences of all lengths, in random order.

    They are the corpus's own if BIONER_MIRROR names a mirror.
    """
    if "BIONER_MIRROR" in os.environ:
        from parts import sentences as mirror  # spaCy and polars

        with tempfile.TemporaryDirectory() as folder:
            _, _, test = mirror.corpus(Path(folder), corpus)
        found = mirror.evenly(test, count, lambda instance: len(instance.tokens))
    else:
        lengths = LENGTHS[corpus]
        chosen = [lengths[(2 * n + 1) * len(lengths) // (2 * count)] for n in range(count)]
        found = [_made_up(corpus, number, length) for number, length in enumerate(chosen)]
    random.Random(0).shuffle(found)
    return found


def _made_up(corpus: str, number: int, length: int) -> Instance:
    """Make a sentence of random words; every entity word has a type of its own."""
    draw, types = random.Random(f"{corpus} {number}"), TYPES[corpus]
    tokens, tags = [], []
    for _ in range(length):
        if draw.random() < ENTITY_SHARE:
            place = draw.randrange(len(ENTITY_WORDS))
            tokens.append(ENTITY_WORDS[place])
            tags.append(f"B-{types[place % len(types)]}")
        else:
            tokens.append(draw.choice(OUTSIDE_WORDS))
            tags.append("O")
    return Instance(f"{corpus}-{number}", f"{corpus}-{number}", tokens, tags)
