"""Small models with random weights, saved like pretrained ones, so that the real code can use them.

The tokenizer is trained on the training split. A pretrained LLM can copy its input; a random one
cannot, and learns it slowly from few sentences. So a scratch LLM first practises on random words.
"""

import math
import random
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
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
from bioner.settings.model_entry import Scratch

# Keys of DeBERTa-v3's configuration that the code reads but its class does not declare.
UNDECLARED = {"position_buckets", "share_att_key", "norm_rel_ebd"}


def make_pretrained(
    scratch: Scratch, train: Sequence[Instance], seed: int, folder: Path, gpus: int = 0
) -> Path:
    """Make a model with random weights, and its tokenizer, in `folder`.

    Raises:
        InputError: If the configuration makes no model.
    """
    known = AutoConfig.for_model(scratch.architecture).to_dict().keys() | UNDECLARED
    if unknown := sorted(scratch.config.keys() - known):
        raise InputError(
            "source.scratch.config",
            f"the key {unknown[0]!r}",
            "keys of the configuration",
            "Correct it.",
        )
    try:
        if scratch.architecture == "llama":
            model, tokenizer = _llama(scratch, train, seed, gpus)
        else:
            model, tokenizer = _encoder(scratch, train)
    except (ValueError, KeyError, StrictDataclassError) as error:
        raise InputError(
            "source.scratch.config",
            f"values that make no model ({error})",
            "sizes that fit each other",
            "Correct them.",
        ) from None
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


Made = tuple[PreTrainedModel, PreTrainedTokenizerFast]


def _encoder(scratch: Scratch, train: Sequence[Instance]) -> Made:
    # Not WordPiece: its trainer numbers pieces in the order of a hash table, which varies.
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    if scratch.architecture == "bert":
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    else:  # as SentencePiece does for DeBERTa-v2 and v3: cased, a word's first piece is marked
        tokenizer.normalizer = normalizers.NFKC()
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(
        (" ".join(instance.tokens) for instance in train),
        trainers.BpeTrainer(
            vocab_size=scratch.vocabulary, special_tokens=specials, show_progress=False
        ),
    )
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )
    config = AutoConfig.for_model(scratch.architecture, vocab_size=len(fast), **scratch.config)
    return AutoModel.from_config(config), fast


def _llama(scratch: Scratch, train: Sequence[Instance], seed: int, gpus: int) -> Made:
    types = entity_types(train)
    tokenizer = Tokenizer(models.BPE())
    # A word has the same ids everywhere (the space is dropped, not joined to it) and a tag is one
    # chunk, so that few sentences suffice to learn that the response repeats the input.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(" ", "removed"),
            pre_tokenizers.Split(Regex(r"\n|:(?:O|[BI]-\w+)(?=\n)"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=scratch.vocabulary,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(train, types), trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )
    made: dict[str, Any] = dict(scratch.config)
    config = AutoConfig.for_model(
        "llama",
        vocab_size=len(fast),
        bos_token_id=fast.bos_token_id,
        eos_token_id=fast.eos_token_id,
        pad_token_id=fast.pad_token_id,
        # With nearly orthogonal tied embeddings copying an id is close to the identity, and learned
        # far sooner.
        tie_word_embeddings=True,
        initializer_range=1 / math.sqrt(made.get("hidden_size", 4096)),
        **made,
    )
    model = AutoModelForCausalLM.from_config(config)
    if scratch.copy_steps:
        _practise_copying(model, fast, train, types, scratch.copy_steps, seed, gpus)
    return model, fast


def _texts(train: Sequence[Instance], types: Sequence[str]) -> Iterator[str]:
    for instance in train:
        lines = "".join(
            response_line(token, tag)
            for token, tag in zip(instance.tokens, instance.tags, strict=True)
        )
        yield prompt_text(instance.tokens, types) + lines


COPY_BATCH, COPY_WORDS = 8, 14  # small batches: the number of steps counts


def _practise_copying(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    train: Sequence[Instance],
    types: Sequence[str],
    steps: int,
    seed: int,
    gpus: int,
) -> None:
    """Train on copying, identically in every process (a Trainer would split the batches)."""
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
    """Return random words with random tags: nothing to learn but copying.

    The first three fifths are bare ids, growing from 2 to COPY_WORDS words; the others are whole
    prompts with random words of the training split. Starting with whole prompts takes a model many
    times longer.
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
