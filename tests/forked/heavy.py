"""The modules that take seconds to import: loaded once for all forked commands, and before tests are measured."""


def preload() -> None:
    """Import them; each import stands in a function so that nobody pays for them by accident."""
    import peft  # noqa: F401
    import polars  # noqa: F401
    import snakemake.cli  # noqa: F401
    import torch  # noqa: F401
    import transformers
    import transformers.models.bert.modeling_bert
    import transformers.models.llama.modeling_llama  # noqa: F401
    from transformers.conversion_mapping import get_checkpoint_conversion_mapping

    import bioner.cli
    import bioner.decoding.forced
    import bioner.decoding.free
    import bioner.merging
    import bioner.reporting.report
    import bioner.timing
    import bioner.training.run  # noqa: F401

    get_checkpoint_conversion_mapping("bert")  # compiles a thousand expressions, which a fork inherits
