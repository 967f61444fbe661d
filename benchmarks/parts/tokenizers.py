"""The real tokenizers of Mistral-7B-v0.3 and Llama 3, from packages that carry their files
(envs/tokenizers.txt).
"""

import base64
import os
import sys
import tempfile
from functools import cache
from pathlib import Path
from zipfile import ZipFile

from sentencepiece import SentencePieceProcessor
from transformers import LlamaTokenizer, PreTrainedTokenizerBase, TokenizersBackend
from transformers.convert_slow_tokenizer import TikTokenConverter
from transformers.tokenization_utils_base import generate_merges

LLAMA_SPECIAL = [
    *(
        "<|begin_of_text|>",
        "<|end_of_text|>",
        "<|reserved_special_token_0|>",
        "<|reserved_special_token_1|>",
    ),
    *(
        "<|finetune_right_pad_id|>",
        "<|reserved_special_token_2|>",
        "<|start_header_id|>",
        "<|end_header_id|>",
    ),
    *("<|eom_id|>", "<|eot_id|>"),
]


def packaged(package: str, file: str) -> bytes:
    """A file inside a package that `make env` has downloaded, or that BIONER_TOKENIZERS has."""
    folder = os.environ.get("BIONER_TOKENIZERS", f"{sys.prefix}/tokenizers")
    wheels = list(Path(folder).glob(f"{package}-*.whl"))
    if not wheels:
        raise RuntimeError(
            f"{package} is not at hand: pip download --no-deps --dest .venv/tokenizers -r"
            " envs/tokenizers.txt"
        )
    with ZipFile(wheels[0]) as archive:
        return archive.read(f"{package}/{file}")


@cache
def mistral() -> PreTrainedTokenizerBase:
    """Mistral-7B v0.3's tokenizer: sentencepiece BPE, 32,768 pieces."""
    file = packaged("mistral_common", "data/mistral_instruct_tokenizer_240323.model.v3")
    pieces = SentencePieceProcessor(model_proto=file)
    names = [pieces.id_to_piece(index) for index in range(pieces.vocab_size())]
    control = [name for index, name in enumerate(names) if pieces.is_control(index)]
    vocabulary = {name: index for index, name in enumerate(names)}
    scores = {name: pieces.get_score(index) for index, name in enumerate(names)}
    tokenizer = LlamaTokenizer(
        vocab=vocabulary,
        merges=generate_merges(vocabulary, scores, skip_tokens=control),
        additional_special_tokens=control,
    )
    tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


@cache
def llama() -> PreTrainedTokenizerBase:
    """Llama 3's tokenizer: byte-level BPE, 128,256 pieces."""

    class Converter(TikTokenConverter):
        @staticmethod
        def load_tiktoken_bpe(tiktoken_url: str) -> dict[bytes, int]:
            lines = (line.split() for line in Path(tiktoken_url).read_bytes().splitlines() if line)
            return {base64.b64decode(piece): int(rank) for piece, rank in lines}

    with tempfile.NamedTemporaryFile() as file:
        file.write(packaged("llama_models", "llama3/tokenizer.model"))
        file.flush()
        converted = Converter(file.name, extra_special_tokens=LLAMA_SPECIAL).converted()
    return TokenizersBackend(
        tokenizer_object=converted,
        bos_token="<|begin_of_text|>",
        eos_token="<|eot_id|>",
        pad_token="<|finetune_right_pad_id|>",
    )
