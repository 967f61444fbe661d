"""A step with encoders of random weights: training steps and inference, autocast and true bf16."""

from contextlib import nullcontext

import torch
from transformers import AutoConfig, AutoModelForTokenClassification, PreTrainedModel

from bioner.data.tags import tag_set
from bioner.io.run_record import forget_peak, peak_memory
from bioner.models.encoder import tag
from bioner.models.pretrained import load_tokenizer
from bioner.settings.catalogue import load_models
from bioner.settings.config import load_config
from bioner.settings.model_entry import Scratch
from bioner.training.loss import token_loss
from bioner.training.scratch import make_pretrained
from parts.card.clock import clock, typical
from parts.card.sentences import TYPES, sentences
from parts.card.session import Session
from parts.shapes import SHAPES

BATCH, LENGTHS, REPEATS = 32, (40, 512), 6


def encoders(session: Session) -> None:
    """Steps and inference of BERT-large and DeBERTa-v3-large at a common and at full length."""
    for name in ("bert-large-uncased", "deberta-v3-large"):
        model = _random(session, name)
        for length in LENGTHS:
            _training(session, name, model, length)
        model.zero_grad()
        model.eval()
        for numbers in ("autocast", "bf16"):
            if numbers == "bf16":
                model = model.to(torch.bfloat16)
            for length in LENGTHS:
                _inference(session, name, model, length, numbers)
            _tagging(session, name, model, numbers)
        del model


def _random(session: Session, name: str) -> PreTrainedModel:
    shape, labels = SHAPES[name], tag_set(TYPES["JNLPBA"])
    sizes = shape.tiny if session.rehearse else shape.sizes
    vocabulary = 1000 if session.rehearse else shape.vocabulary
    config = AutoConfig.for_model(
        shape.architecture,
        vocab_size=vocabulary,
        id2label=dict(enumerate(labels)),
        label2id={label: number for number, label in enumerate(labels)},
        **sizes,
    )
    torch.manual_seed(0)
    with session.device:
        return AutoModelForTokenClassification.from_config(config, dtype=torch.float32)


def _ids(session: Session, length: int) -> torch.Tensor:
    """Return a batch of random ids, at least as many as a rehearsal needs."""
    size = (2, length // 8) if session.rehearse else (BATCH, length)
    return torch.randint(10, 900, size, device=session.device)


def _training(session: Session, name: str, model: PreTrainedModel, length: int) -> None:
    """Time whole steps under autocast: passes, clipping, AdamW."""
    model.train()
    fused = session.device.type == "cuda"
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-5, fused=fused)
    ids = _ids(session, length)

    def step() -> None:
        with torch.autocast(ids.device.type, torch.bfloat16):
            outputs = model(input_ids=ids)
        token_loss(outputs, torch.zeros_like(ids)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    forget_peak(session.gpus)
    first, *taken = [clock(step)[0] for _ in range(2 if session.rehearse else REPEATS)]
    session.say(
        model=name,
        training=f"{BATCH} x {length}",
        first_ms=round(first.whole),
        step_ms=typical(taken).whole,
        host_ms=typical(taken).host,
        peak_gib=peak_memory(session.gpus)[1],
    )


@torch.inference_mode()
def _inference(
    session: Session, name: str, model: PreTrainedModel, length: int, numbers: str
) -> None:
    ids = _ids(session, length)
    autocast = numbers == "autocast"

    def run() -> None:
        with torch.autocast(ids.device.type, torch.bfloat16) if autocast else nullcontext():
            model(input_ids=ids).logits.argmax(-1).cpu()

    first, *taken = [clock(run)[0] for _ in range(2 if session.rehearse else REPEATS)]
    session.say(
        model=name,
        inference=f"{BATCH} x {length}",
        numbers=numbers,
        first_ms=round(first.whole),
        pass_ms=typical(taken).whole,
        host_ms=typical(taken).host,
    )


def _tagging(session: Session, name: str, model: PreTrainedModel, numbers: str) -> None:
    """Time sentences of JNLPBA's lengths from words to tags, with this project's own batches."""
    shape = SHAPES[name]
    instances = sentences("JNLPBA", 8 if session.rehearse else 640)
    place = session.scratch / f"{name}-tokenizer"
    if not place.is_dir():
        tiny = {key: value for key, value in shape.tiny.items() if key != "max_position_embeddings"}
        scratch = Scratch(architecture=shape.architecture, vocabulary=900, config=tiny)
        make_pretrained(scratch, instances, 0, place)
    entry = load_models(load_config({}))[name]
    precision = "bf16" if numbers == "autocast" else "fp32"  # fp32: as the weights are
    entry = entry.changed(train={"precision": precision})
    tokenizer = load_tokenizer(place)
    size = entry.predict.batch_size
    tag(model, tokenizer, instances[:64], entry, size)  # warms up
    taken, _ = clock(tag, model, tokenizer, instances, entry, size)
    per_sentence = round(taken.whole / len(instances), 3)
    session.say(model=name, tagging="JNLPBA", numbers=numbers, ms_per_sentence=per_sentence)
