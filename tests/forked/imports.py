"""What takes seconds to import: loaded once for all forked commands, and before tests are
measured.
"""

import importlib
import pkgutil

import snakemake.cli

# Without torch; packages of the project with all their modules, and what is imported late.
LIGHT = (
    "cli",
    "corpora",
    "ops.planning",
    "ops.slurm",
    "ops.status",
    "realignment",
    "reporting",
    "results",
    "scoring",
)
LIGHT_LIBRARIES = (
    "lxml.etree",
    "matplotlib.backends.backend_svg",
    "matplotlib.pyplot",
    "nervaluate",
    "smart_open",
)
LIBRARIES = (
    "peft",
    "spacy.lang.en",  # it imports torch where it can
    "transformers.models.bert.modeling_bert",
    "transformers.models.llama.modeling_llama",
)


def preload_light() -> None:
    """Import what Snakemake and commands without torch import, also late."""
    for package in LIGHT:
        import_all(f"bioner.{package}")
    for library in LIGHT_LIBRARIES:
        importlib.import_module(library)
    snakemake.cli.get_argument_parser()  # finds plugins, which are kept


def preload() -> None:
    """Import all modules of the project, and of the libraries what they import late."""
    preload_light()
    import_all("bioner")
    for library in LIBRARIES:
        importlib.import_module(library)
    from transformers.conversion_mapping import get_checkpoint_conversion_mapping

    get_checkpoint_conversion_mapping("bert")  # compiles a thousand expressions, which are kept


def import_all(package: str) -> None:
    """Import a package with all its modules."""
    path = importlib.import_module(package).__path__
    for module in pkgutil.walk_packages(path, f"{package}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
