"""The model card of a trained model: its purpose, its training data, its scores on dev."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData
from jinja2 import Template

from bioner.settings.model_entry import ModelEntry

TEMPLATE = Path(__file__).parent / "templates" / "card.md.j2"
METRICS = {"dev_strict_f1": "strict F1", "dev_relaxed_f1": "relaxed F1"}


def write_card(folder: Path, record: Mapping[str, Any], entry: ModelEntry) -> None:
    """Write `folder/README.md`, with the dev scores as a `model-index` (F1 from 0 to 1).

    It names the corpus and its checksums and holds none of its text.

    Args:
        folder: Folder of the model.
        record: What run.json will hold.
        entry: The entry that the model was trained with.
    """
    data, kept = record["data"], record["kept"]
    family = entry.family
    dataset = data.get("dataset") or "unnamed corpus"
    hub = entry.source.hub
    on_hub = hub if hub and not Path(hub).is_dir() else None
    scores = [(name, kept[metric]) for metric, name in METRICS.items() if kept[metric] is not None]
    card = ModelCardData(
        language="en",
        library_name="transformers" if entry.lora is None else "peft",
        pipeline_tag="text-generation" if family == "llm" else "token-classification",
        tags=["named-entity-recognition", "biomedical"],
        base_model=on_hub,
        model_name=record["model"],
        eval_results=[
            EvalResult(
                task_type="token-classification",
                task_name="named entity recognition",
                dataset_type=dataset,
                dataset_name=dataset,
                dataset_split="validation",
                dataset_revision=data.get("dev"),
                metric_type="f1",
                metric_name=f"{name} (SemEval 2013 task 9)",
                metric_value=f1 / 100,
            )
            for name, f1 in scores
        ],
    )
    text = Template(TEMPLATE.read_text(encoding="utf-8")).render(
        card_data=card.to_yaml(),
        run=record,
        dataset=dataset,
        base=on_hub,
        family=family,
        scores=scores,
    )
    (folder / "README.md").write_text(str(ModelCard(text)), encoding="utf-8")
