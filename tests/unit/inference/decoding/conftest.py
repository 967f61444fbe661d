"""Random models and real sentences' like, for tests of decoding."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from bioner.data.instances import Instance
from bioner.models.pretrained import load_tokenizer
from bioner.training.scratch import make_pretrained
from tests.conftest import instance

TYPES = ["Chemical", "Disease", "cell_line", "cell_type"]


@pytest.fixture(scope="session")
def texts() -> list[Instance]:
    """Sentences of one to fourteen tokens, colons, brackets and Greek letters among them."""
    return [
        instance(
            "t1",
            "Oral/O aspirin/B-Chemical worsened/O chronic/B-Disease renal/I-Disease"
            " failure/I-Disease ./O",
        ),
        instance("t2", "C18:1/B-Chemical raised/O TNF-α/B-Chemical (/O 1:4/O )/O ./O"),
        instance("t3", "No/O gout/B-Disease ./O"),
        instance("t4", "Hypertension/B-Disease"),
        instance(
            "t5",
            "In/O Jurkat/B-cell_line T/I-cell_line cells/I-cell_line ,/O but/O not/O in/O"
            " primary/B-cell_type T/I-cell_type lymphocytes/I-cell_type ,/O ::/O --/O",
        ),
        instance("t6", "a/O b/O a/O b/O a/O b/O"),
    ]


@pytest.fixture(scope="session")
def tokenizer(tiny_llm, texts, tmp_path_factory) -> PreTrainedTokenizerBase:
    """A small tokenizer trained on the sentences."""
    scratch = tiny_llm.source.scratch.model_copy(update={"copy_steps": 0})
    return load_tokenizer(
        make_pretrained(scratch, texts, 1, tmp_path_factory.mktemp("tokenizer") / "model")
    )


def random_llama(vocabulary: int, seed: int = 0, **changes: object) -> PreTrainedModel:
    """A model of random weights, large enough for its answers to depend on what it has read."""
    torch.manual_seed(seed)
    small = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    }
    config = LlamaConfig(
        vocab_size=vocabulary, intermediate_size=48, initializer_range=0.4, **(small | changes)
    )
    return LlamaForCausalLM(config).eval()


@pytest.fixture(scope="session")
def model(tokenizer) -> PreTrainedModel:
    return random_llama(len(tokenizer))
