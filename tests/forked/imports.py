"""What takes seconds to import: loaded once for all forked commands, and before tests are measured."""

import importlib
import pkgutil


def preload_light() -> None:
    """Import what Snakemake and commands without torch import, also late."""
    import smart_open  # noqa: F401
    import snakemake.cli

    for package in ("cli", "corpora", "planning", "realignment", "reporting", "scoring", "slurm", "status"):
        import_all(f"bioner.{package}")
    snakemake.cli.get_argument_parser()  # finds plugins, which are kept


def preload() -> None:
    """Import all modules of the project, and of the libraries what they import late."""
    import transformers.models.bert.modeling_bert
    import transformers.models.llama.modeling_llama  # noqa: F401
    from transformers.conversion_mapping import get_checkpoint_conversion_mapping

    preload_light()
    import_all("bioner")
    get_checkpoint_conversion_mapping("bert")  # compiles a thousand expressions, which are kept


def import_all(package: str) -> None:
    """Import a package with all its modules."""
    path = importlib.import_module(package).__path__
    for module in pkgutil.walk_packages(path, f"{package}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
