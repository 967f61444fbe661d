"""Tiny models with random weights of many families, with tokenizers of their kinds, as a hub has
them.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bioner.data.instances import Instance

SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 32,
}
GROUPED = SIZES | {"num_key_value_heads": 2, "head_dim": 8}
LETTERS = [chr(code) for code in range(33, 127)] + list("αβµ–")


@dataclass(frozen=True)
class Family:
    """What `make` needs: the architecture, its configuration, and its kind of tokenizer."""

    architecture: str
    tokenizer: Callable[[Sequence[str]], Any]
    config: dict[str, Any] = field(default_factory=lambda: SIZES)
    is_llm: bool = True


def make(name: str, instances: Iterable[Instance], folder: Path) -> Path:
    """Write a family's model and tokenizer, trained on the words of the instances, to `folder`."""
    import torch
    from transformers import (
        AutoConfig,
        AutoModelForCausalLM,
        AutoModelForMaskedLM,
        XLNetLMHeadModel,
    )

    from bioner.models.prompt import INSTRUCTION

    family = FAMILIES[name]
    texts = [" ".join(instance.tokens) for instance in instances]
    if family.is_llm:
        texts.append(INSTRUCTION)  # else a prompt is hundreds of letters
    tokenizer = family.tokenizer(texts)
    ends = {
        f"{end}_token_id": getattr(tokenizer, f"{end}_token_id") for end in ("bos", "eos", "pad")
    }
    config = AutoConfig.for_model(
        family.architecture, vocab_size=len(tokenizer), **ends, **family.config
    )
    torch.manual_seed(1)
    if family.architecture == "xlnet":
        model = XLNetLMHeadModel(config)
    else:
        kind = AutoModelForCausalLM if family.is_llm else AutoModelForMaskedLM
        model = kind.from_config(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def wordpiece(texts: Sequence[str]) -> Any:
    from transformers import BertTokenizer

    words = sorted({word.lower() for text in texts for word in text.split()})
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces += [*LETTERS, *(f"##{letter}" for letter in LETTERS), *words[::2]]
    return BertTokenizer(
        vocab={piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    )


def byte_level(texts: Sequence[str]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Return the vocabulary and the merges of byte-level BPE, without special tokens."""
    from tokenizers import pre_tokenizers

    return merges_of(texts, pre_tokenizers.ByteLevel(add_prefix_space=True), alphabet=True)


def metaspace(texts: Sequence[str]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Return the vocabulary and the merges of BPE over words that begin with ▁."""
    from tokenizers import pre_tokenizers

    return merges_of(texts, pre_tokenizers.Metaspace(), alphabet=False)


def merges_of(
    texts: Sequence[str], splitter: Any, *, alphabet: bool
) -> tuple[dict[str, int], list[tuple[str, str]]]:
    import json

    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = splitter
    letters = pre_tokenizers.ByteLevel.alphabet() if alphabet else ["▁", "\n", *LETTERS]
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=sorted(letters), max_token_length=4, show_progress=False
    )
    trained.train_from_iterator(texts, trainer)
    model = json.loads(trained.to_str())["model"]
    return model["vocab"], [tuple(merge) for merge in model["merges"]]


def numbered(special: Sequence[str], vocabulary: dict[str, int]) -> dict[str, int]:
    pieces = [*special, *sorted(vocabulary, key=vocabulary.__getitem__)]
    return {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}


def roberta(texts: Sequence[str]) -> Any:
    from transformers import RobertaTokenizer

    vocabulary, merges = byte_level(texts)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    return RobertaTokenizer(vocab=numbered(special, vocabulary), merges=merges)


def modernbert(texts: Sequence[str]) -> Any:
    """Byte-level BPE without a leading blank, in a tokenizer.json alone."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary, merges = byte_level(texts)
    special = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
    backend = Tokenizer(models.BPE(numbered(special, vocabulary), merges))
    backend.normalizer = normalizers.NFC()
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    names = {f"{token[1:-1].lower()}_token": token for token in special}
    return PreTrainedTokenizerFast(tokenizer_object=backend, **names)


def ettin_decoder(texts: Sequence[str]) -> Any:
    """ModernBERT's, with begin and end of a text."""
    tokenizer = modernbert(texts)
    tokenizer.bos_token, tokenizer.eos_token = tokenizer.cls_token, tokenizer.sep_token
    return tokenizer


def gpt2(texts: Sequence[str]) -> Any:
    from transformers import GPT2Tokenizer

    vocabulary, merges = byte_level(texts)
    return GPT2Tokenizer(vocab=numbered(["<|endoftext|>"], vocabulary), merges=merges)


def opt(texts: Sequence[str]) -> Any:
    """GPT-2's, with a special token before the text."""
    from transformers import GPT2Tokenizer

    vocabulary, merges = byte_level(texts)
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    return GPT2Tokenizer(
        vocab=numbered(special, vocabulary),
        merges=merges,
        bos_token="</s>",
        eos_token="</s>",
        unk_token="</s>",
        pad_token="<pad>",
        add_bos_token=True,
    )


def qwen2(texts: Sequence[str]) -> Any:
    from transformers import Qwen2Tokenizer

    vocabulary, merges = byte_level(texts)
    return Qwen2Tokenizer(
        vocab=numbered(["<|endoftext|>", "<|im_start|>", "<|im_end|>"], vocabulary),
        merges=merges,
        eos_token="<|im_end|>",
    )


def digits_alone(texts: Sequence[str]) -> Any:
    """Byte-level BPE with every digit by itself, in a tokenizer.json alone (SmolLM3, OLMo)."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary, merges = byte_level(texts)
    backend = Tokenizer(models.BPE(numbered(["<|begin|>", "<|end|>"], vocabulary), merges))
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<|begin|>", eos_token="<|end|>", pad_token="<|end|>"
    )


def cohere(texts: Sequence[str]) -> Any:
    from transformers import CohereTokenizer

    vocabulary, merges = byte_level(texts)
    special = ["<PAD>", "<UNK>", "<BOS_TOKEN>", "<|END_OF_TURN_TOKEN|>"]
    return CohereTokenizer(vocab=numbered(special, vocabulary), merges=merges)


def scored(special: Sequence[str], texts: Sequence[str]) -> list[tuple[str, float]]:
    """Return the pieces of a unigram model; the scores favour long pieces."""
    vocabulary, _ = metaspace(texts)
    pieces = [piece for piece in vocabulary if piece != "\n"]
    return [(piece, 0.0) for piece in special] + [
        (piece, -10.0 - number / 100) for number, piece in enumerate(pieces)
    ]


def xlm_roberta(texts: Sequence[str]) -> Any:
    from transformers import XLMRobertaTokenizer

    return XLMRobertaTokenizer(
        vocab=scored(["<s>", "<pad>", "</s>", "<unk>", "<mask>"], texts), unk_id=3
    )


def deberta(texts: Sequence[str]) -> Any:
    from transformers import DebertaV2Tokenizer

    return DebertaV2Tokenizer(
        vocab=scored(["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"], texts), unk_id=3
    )


def xlnet(texts: Sequence[str]) -> Any:
    from transformers import XLNetTokenizer

    special = ["<unk>", "<s>", "</s>", "<cls>", "<sep>", "<pad>", "<mask>", "<eop>", "<eod>"]
    return XLNetTokenizer(vocab=scored(special, texts), unk_id=0)


def bytes_in_hex() -> list[str]:
    return [f"<0x{byte:02X}>" for byte in range(256)]


def llama(texts: Sequence[str]) -> Any:
    """SentencePiece's BPE: a leading ▁, unknown letters as bytes."""
    from transformers import LlamaTokenizer

    vocabulary, merges = metaspace(texts)
    special = ["<unk>", "<s>", "</s>", *bytes_in_hex()]
    return LlamaTokenizer(
        vocab=numbered(special, vocabulary), merges=merges, add_bos_token=True, legacy=False
    )


def gemma(texts: Sequence[str]) -> Any:
    from transformers import GemmaTokenizer

    vocabulary, merges = metaspace(texts)
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *bytes_in_hex()]
    return GemmaTokenizer(vocab=numbered(special, vocabulary), merges=merges)


WINDOWS = {"sliding_window": 512, "layer_types": ["sliding_attention", "full_attention"]}
POSITIONS = {"max_position_embeddings": 512}
ROBERTA = SIZES | {"max_position_embeddings": 66, "type_vocab_size": 1}
FAMILIES = {
    "bert": Family("bert", wordpiece, is_llm=False),
    "electra": Family("electra", wordpiece, SIZES | {"embedding_size": 32}, is_llm=False),
    "roberta": Family("roberta", roberta, ROBERTA, is_llm=False),
    "xlm-roberta": Family("xlm-roberta", xlm_roberta, ROBERTA, is_llm=False),
    "deberta-v2": Family(
        "deberta-v2",
        deberta,
        SIZES
        | {
            "relative_attention": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_buckets": 16,
            "share_att_key": True,
            "norm_rel_ebd": "layer_norm",
            "position_biased_input": False,
            "type_vocab_size": 0,
        },
        is_llm=False,
    ),
    "modernbert": Family(
        "modernbert",
        modernbert,
        SIZES | {"local_attention": 8, "cls_token_id": 1, "sep_token_id": 2},
        is_llm=False,
    ),
    "xlnet": Family(
        "xlnet", xlnet, {"d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 32}, is_llm=False
    ),
    "llama": Family("llama", llama, GROUPED),
    "mistral": Family("mistral", llama, GROUPED | {"sliding_window": None}),
    "mistral-window": Family("mistral", llama, GROUPED | {"sliding_window": 64}),
    "qwen3": Family("qwen3", qwen2, GROUPED),
    "gemma3": Family(
        "gemma3_text",
        gemma,
        GROUPED | WINDOWS | {"query_pre_attn_scalar": 8},
    ),
    "gemma2": Family(
        "gemma2",
        gemma,
        GROUPED | WINDOWS | {"query_pre_attn_scalar": 8, "final_logit_softcapping": 0.5},
    ),
    "phi3": Family("phi3", llama, GROUPED | {"sliding_window": None}),
    "olmo3": Family("olmo3", digits_alone, GROUPED | WINDOWS),
    "granite": Family(
        "granite",
        digits_alone,
        GROUPED | {"logits_scaling": 8.0, "residual_multiplier": 0.2, "embedding_multiplier": 12.0},
    ),
    "gpt2": Family(
        "gpt2", gpt2, {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 512, "n_inner": 32}
    ),
    "opt": Family(
        "opt",
        opt,
        {
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "ffn_dim": 32,
            "word_embed_proj_dim": 32,
        }
        | POSITIONS,
    ),
    "smollm3": Family("smollm3", digits_alone, GROUPED | {"tie_word_embeddings": True}),
    "cohere": Family("cohere", cohere, GROUPED),
    "glm4": Family("glm4", digits_alone, GROUPED),
    "apertus": Family("apertus", digits_alone, GROUPED),
    "gpt-oss": Family(
        "gpt_oss",
        digits_alone,
        GROUPED | WINDOWS | {"num_local_experts": 2, "num_experts_per_tok": 1},
    ),
    "ettin-decoder": Family(
        "modernbert-decoder",
        ettin_decoder,
        SIZES | {"local_attention": 512, "cls_token_id": 1, "sep_token_id": 2},
    ),
}
