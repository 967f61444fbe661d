"""How an LLM writes tags: by name as in the paper, by one letter, or by special tokens."""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from transformers import AddedToken, PreTrainedModel, PreTrainedTokenizerBase

from bioner.data.tags import OUTSIDE, tag_set
from bioner.errors import InputError
from bioner.realignment.parse_output import split_line

Style = Literal["names", "letters", "special_tokens"]
LETTERS = "ABCDEFGHIJKLMNPQRSTUVWXYZ"  # without O, which is a tag


class Verbalizer:
    """What is written for each tag: its name, a letter (capital for B-, small for I-), or a token.

    The paper explains its slowness on BioRED by the many pieces of `SequenceVariant` (section
    IV.D).
    """

    def __init__(self, types: Sequence[str], style: Style = "names") -> None:
        self.style = style
        if style == "letters":
            if len(types) > len(LETTERS):
                raise InputError(
                    "verbalizer",
                    f"{len(types)} entity types",
                    f"at most {len(LETTERS)}",
                    "Take names.",
                )
            self._written = {OUTSIDE: OUTSIDE}
            for type_, letter in zip(types, LETTERS, strict=False):
                self._written |= {f"B-{type_}": letter, f"I-{type_}": letter.lower()}
        else:
            self._written = {
                tag: f"<{tag}>" if style == "special_tokens" else tag for tag in tag_set(types)
            }
        self._names = {written: tag for tag, written in self._written.items()}

    def __getitem__(self, tag: str) -> str:
        """Return what is written for a tag; one of an unknown type goes by its name."""
        return self._written.get(tag, tag)

    def read(self, text: str) -> str:
        """Return an answer with its tags by their names."""
        if self.style == "names":
            return text
        return "\n".join(self._line(line) for line in text.split("\n"))

    def _line(self, line: str) -> str:
        token, colon, written = split_line(line, self._names)
        return f"{token}{colon}{self._names.get(written.strip(), written)}"

    def add_to(self, tokenizer: PreTrainedTokenizerBase) -> dict[int, str]:
        """Add a piece per tag if the style has them; return the tag of each new id."""
        if self.style != "special_tokens":
            return {}
        tokenizer.add_tokens([AddedToken(written, normalized=False) for written in self._names])
        return {
            tokenizer.convert_tokens_to_ids(written): tag for written, tag in self._names.items()
        }


def resize_for_tags(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, pieces: Mapping[int, str]
) -> None:
    """Make room in the model for new pieces, each the mean of the pieces of its tag's name.

    Computed from the base model only, so that an adapter finds the same rows again.
    """
    if not pieces:
        return
    before = model.get_input_embeddings().weight.shape[0]
    model.resize_token_embeddings(max(before, len(tokenizer)), mean_resizing=False)
    layers = (model.get_input_embeddings(), model.get_output_embeddings())
    tables = {id(layer.weight): layer.weight for layer in layers}  # one, if they are tied
    with torch.no_grad():
        for weight in tables.values():
            weight[before : min(pieces)] = 0  # rows that the model lacks for its tokenizer
            for number, text in pieces.items():
                weight[number] = (
                    weight[tokenizer(text, add_special_tokens=False)["input_ids"]].float().mean(0)
                )
