"""The step `encoders`: training and inference with random weights, autocast and true bf16."""

from contextlib import nullcontext
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForTokenClassification, PreTrainedModel

from bioner.data.tags import tag_set
from bioner.inference.predict import load_predictor
from bioner.io.run_record import forget_peak, peak_memory
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
    """Measure BERT-large and DeBERTa-v3-large at a common and at full length."""
    for name in ("bert-large-uncased", "deberta-v3-large"):
        model = _random(session, name)
        for length in LENGTHS:
            _training(session, name, model, length)
        folder = _saved(session, name, model.eval())
        for weights in ("as-trained", "merged"):  # autocast, true bf16
            if weights == "merged":
                model = model.to(torch.bfloat16)
            for length in LENGTHS:
                _inference(session, name, model, length, weights)
            _tagging(session, name, folder, weights)


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
    """Return a batch of random ids; a small one in a rehearsal."""
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
    session: Session, name: str, model: PreTrainedModel, length: int, weights: str
) -> None:
    ids = _ids(session, length)
    autocast = weights == "as-trained"

    def run() -> None:
        with torch.autocast(ids.device.type, torch.bfloat16) if autocast else nullcontext():
            model(input_ids=ids).logits.argmax(-1).cpu()

    first, *taken = [clock(run)[0] for _ in range(2 if session.rehearse else REPEATS)]
    session.say(
        model=name,
        inference=f"{BATCH} x {length}",
        weights=weights,
        first_ms=round(first.whole),
        pass_ms=typical(taken).whole,
        host_ms=typical(taken).host,
    )


def _saved(session: Session, name: str, model: PreTrainedModel) -> Path:
    """Write the model as training does, with a tokenizer trained on made-up words."""
    folder, shape = session.scratch / name, SHAPES[name]
    scratch = Scratch(architecture=shape.architecture, vocabulary=900, config=shape.tiny)
    make_pretrained(scratch, sentences("JNLPBA", 32), 0, folder)
    model.save_pretrained(folder)
    return folder


def _tagging(session: Session, name: str, folder: Path, weights: str) -> None:
    """Time sentences of JNLPBA's lengths from words to tags, in this project's own batches."""
    entry = load_models(load_config({}))[name]
    resources = {"gpus": session.gpus, "predict_gpus": session.gpus}
    entry = entry.changed(resources=resources, predict={"weights": weights})
    instances = sentences("JNLPBA", 8 if session.rehearse else 640)
    predictor = load_predictor(name, entry, folder, "direct")
    predictor(instances[:64], entry.predict.batch_size)  # warms up
    taken, _ = clock(predictor, instances, entry.predict.batch_size)
    per_sentence = round(taken.whole / len(instances), 3)
    session.say(model=name, tagging="JNLPBA", weights=weights, ms_per_sentence=per_sentence)
