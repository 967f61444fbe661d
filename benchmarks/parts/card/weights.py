"""LLMs with random weights and an adapter, saved as training saves them."""

import gc
import shutil
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerBase

from bioner.models import TASK_FILE
from bioner.models.adapters import with_adapter
from bioner.models.llm import save_trained, task_of
from bioner.models.pretrained import load_tokenizer
from bioner.settings.catalogue import load_models
from bioner.settings.config import load_config
from bioner.settings.model_entry import ModelEntry, Scratch
from bioner.training.scratch import make_pretrained
from parts.card.clock import clock
from parts.card.sentences import TYPES, sentences
from parts.card.session import Session
from parts.shapes import SHAPES

ADAPTER_STD = 0.003  # of lora_B, which is 0 before training: 3 % of the base's products
NOTE = "tokenizer.txt"


def weights(session: Session) -> None:
    """Make the model of Mistral's shape unless it exists."""
    name = "mistral-7b"
    taken, folder = clock(trained_folder, session, name)
    note = (folder.parent / NOTE).read_text(encoding="utf-8")
    session.say(model=name, made_ms=round(taken.whole), tokenizer=note)


def entry_of(session: Session, name: str) -> ModelEntry:
    """Return the catalogue's entry, with its base in the session's folder."""
    source = {"hub": str(session.scratch / name / "base"), "revision": "main"}
    resources = {"gpus": session.gpus, "predict_gpus": session.gpus}
    return load_models(load_config({}))[name].changed(source=source, resources=resources)


def trained_folder(session: Session, name: str) -> Path:
    """Return the folder of a trained model of that shape; make it if it is not there."""
    folder = session.scratch / name
    if not (folder / "model" / TASK_FILE).is_file():  # written last
        shutil.rmtree(folder, ignore_errors=True)
        _make(session, name, folder)
        gc.collect()
    return folder / "model"


def _make(session: Session, name: str, folder: Path) -> None:
    base, shape = folder / "base", SHAPES[name]
    tokenizer, note = _tokenizer(name, folder, session.rehearse)
    config = AutoConfig.for_model(
        shape.architecture,
        vocab_size=len(tokenizer) if session.rehearse else shape.vocabulary,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        **(shape.tiny if session.rehearse else shape.sizes),
    )
    torch.manual_seed(0)
    with session.device:
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(base)
    tokenizer.save_pretrained(base)
    (folder / NOTE).write_text(note, encoding="utf-8")
    entry = entry_of(session, name)
    adapted = with_adapter(model, entry)
    with torch.no_grad():
        for parameter, values in adapted.named_parameters():
            if "lora_B" in parameter:
                values.normal_(0, ADAPTER_STD)
    task = task_of(entry, list(TYPES["JNLPBA"]), base, model, {})
    save_trained(adapted, tokenizer, task, base, folder / "model")


def _tokenizer(name: str, folder: Path, rehearse: bool) -> tuple[PreTrainedTokenizerBase, str]:
    """Return the model's own tokenizer or one trained on made-up words, and which of the two."""
    try:
        if rehearse:
            raise RuntimeError("a rehearsal")
        from parts import tokenizers

        return {"mistral-7b": tokenizers.mistral, "llama-8b": tokenizers.llama}[name](), "its own"
    except (ImportError, RuntimeError) as error:
        tiny = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
        config = tiny | {"num_attention_heads": 1}
        scratch = Scratch(architecture="llama", vocabulary=1000, config=config)
        train = [item for corpus in TYPES for item in sentences(corpus, 32)]
        place = make_pretrained(scratch, train, 0, folder / "tokenizer")
        return load_tokenizer(place), f"trained on made-up words: {error}"
