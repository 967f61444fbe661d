"""Small models from random weights, saved in the form of a pretrained one so that everything after
is the real code.

The tokenizer is trained on the training split. A pretrained LLM can copy its input, a random one
cannot, and learns it slowly from few sentences: a scratch LLM therefore first practises on random
words.
"""

import math
import random
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from tokenizers import (
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from torch.utils.data import DataLoader
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    DataCollatorForSeq2Seq,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    get_constant_schedule_with_warmup,
)

from bioner.data.instances import Instance, entity_types
from bioner.data.tags import tag_set
from bioner.errors import InputError
from bioner.io.progress_bars import Meter
from bioner.models import IGNORED
from bioner.models.answer_trie import AnswerTrie
from bioner.models.devices import device_of
from bioner.models.llm_examples import Examples, features_of
from bioner.models.prompt import line_ids, prompt_text, response_line
from bioner.settings.config import Tree

# Keys of DeBERTa-v3's configuration that the code reads and its class does not declare.
UNDECLARED = {"position_buckets", "share_att_key", "norm_rel_ebd"}


def make_pretrained(entry: Tree, train: Sequence[Instance], seed: int, folder: Path) -> str | Path:
    """The hub id or folder to load from: the entry's own, or `folder` with a model made from its
    configuration.
    """
    source = entry["source"]
    if source["scratch"] is None:
        return str(source["hub"])
    scratch = source["scratch"]
    make = {"bert": _encoder, "deberta-v2": _encoder, "llama": _llama}[scratch["architecture"]]
    known = AutoConfig.for_model(scratch["architecture"]).to_dict().keys() | UNDECLARED
    if unknown := sorted(scratch["config"].keys() - known):
        raise InputError(
            "source.scratch.config",
            f"the key {unknown[0]!r}",
            "keys of the configuration",
            "Correct it.",
        )
    try:
        make(scratch, train, seed, folder, entry["resources"]["gpus"])
    except (ValueError, KeyError) as error:
        found = f"values that make no model ({error})"
        raise InputError(
            "source.scratch.config", found, "sizes that fit each other", "Correct them."
        ) from None
    return folder


def _encoder(scratch: Tree, train: Sequence[Instance], seed: int, folder: Path, gpus: int) -> None:
    # Not WordPiece: its trainer numbers pieces in the order of a hash table, another in every
    # process.
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    if scratch["architecture"] == "bert":
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    else:  # as SentencePiece does for DeBERTa-v2 and v3: case kept, a word's first piece marked
        tokenizer.normalizer = normalizers.NFKC()
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.BpeTrainer(
        vocab_size=scratch["vocabulary"], special_tokens=specials, show_progress=False
    )
    tokenizer.train_from_iterator((" ".join(instance.tokens) for instance in train), trainer)
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )
    config = AutoConfig.for_model(
        scratch["architecture"], vocab_size=len(fast), **scratch["config"]
    )
    AutoModel.from_config(config).save_pretrained(folder)
    fast.save_pretrained(folder)


def _llama(scratch: Tree, train: Sequence[Instance], seed: int, folder: Path, gpus: int) -> None:
    types = entity_types(train)
    tokenizer = Tokenizer(models.BPE())
    # A word has the same ids wherever it stands (the space is dropped, not joined to it), and a tag
    # is one chunk, so that few sentences suffice to see that the response repeats the input.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(" ", "removed"),
            pre_tokenizers.Split(Regex(r"\n|:(?:O|[BI]-\w+)(?=\n)"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=scratch["vocabulary"],
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(train, types), trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )
    config = AutoConfig.for_model(
        "llama",
        vocab_size=len(fast),
        bos_token_id=fast.bos_token_id,
        eos_token_id=fast.eos_token_id,
        pad_token_id=fast.pad_token_id,
        # Nearly orthogonal tied embeddings: copying an id is then close to the identity, and is
        # learned far sooner.
        tie_word_embeddings=True,
        initializer_range=1 / math.sqrt(scratch["config"].get("hidden_size", 4096)),
        **scratch["config"],
    )
    model = AutoModelForCausalLM.from_config(config)
    if scratch["copy_steps"]:
        _practise_copying(model, fast, train, types, scratch["copy_steps"], seed, gpus)
    model.save_pretrained(folder)
    fast.save_pretrained(folder)


def _texts(train: Sequence[Instance], types: Sequence[str]) -> Iterator[str]:
    for instance in train:
        lines = "".join(
            response_line(token, tag)
            for token, tag in zip(instance.tokens, instance.tags, strict=True)
        )
        yield prompt_text(instance.tokens, types) + lines


COPY_BATCH, COPY_WORDS = 8, 14  # small batches: what counts is the number of steps


def _practise_copying(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    train: Sequence[Instance],
    types: Sequence[str],
    steps: int,
    seed: int,
    gpus: int,
) -> None:
    """Train on copying, in every process alike: a Trainer would share the batches out, and end with
    other weights.
    """
    examples = _copy_examples(tokenizer, train, types, steps * COPY_BATCH, seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, betas=(0.9, 0.95), weight_decay=0.0)
    schedule = get_constant_schedule_with_warmup(optimizer, math.ceil(0.1 * steps))
    model.to(device_of(gpus)).train()
    collate = DataCollatorForSeq2Seq(tokenizer)
    loader: DataLoader[Any] = DataLoader(examples, COPY_BATCH, collate_fn=collate)  # type: ignore[arg-type]
    with Meter("train copying practice", "steps", steps) as meter:
        for batch in loader:
            model(**batch.to(model.device), use_cache=False).loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            meter.advance()


def _copy_examples(
    tokenizer: PreTrainedTokenizerFast,
    train: Sequence[Instance],
    types: Sequence[str],
    size: int,
    seed: int,
) -> list[dict[str, list[int]]]:
    """Random words with random tags: nothing to learn but copying.

    First come bare ids, which grow from 2 to COPY_WORDS words, then two in five are whole prompts
    with words of the training split in random order. A model that starts with the whole prompts
    takes many times longer.
    """
    newline = tokenizer("\n", add_special_tokens=False)["input_ids"]
    tags = tag_set(types)
    lines = [line_ids(tokenizer, "", tag) for tag in tags]
    pieces = range(len(tokenizer.all_special_ids), len(tokenizer))
    vocabulary = sorted({token for instance in train for token in instance.tokens})
    draw = random.Random(seed)
    bare = size * 3 // 5
    examples = []
    for position in range(bare):
        length = draw.randint(2, 3 + (COPY_WORDS - 3) * position // bare)
        words = draw.choices(pieces, k=length)
        prompt = [tokenizer.bos_token_id, *words, *newline]
        response = [
            *chain.from_iterable([word, *draw.choice(lines)] for word in words),
            tokenizer.eos_token_id,
        ]
        examples.append(features_of(prompt + response, [IGNORED] * len(prompt) + response))
    whole = Examples(tokenizer, types, AnswerTrie(tokenizer, tags), "response", 10_000)
    for _ in range(size - bare):
        length = draw.randint(2, COPY_WORDS)
        shuffled = Instance(
            "", "", draw.choices(vocabulary, k=length), draw.choices(tags, k=length)
        )
        examples.append(whole.example(shuffled))
    return examples
