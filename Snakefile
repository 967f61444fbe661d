"""bioner-bench: do LLMs surpass encoders for biomedical NER? The table of contents; one file a stage in workflow/rules/."""


configfile: Path(workflow.current_basedir) / "config/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/fetch.smk"
include: "workflow/rules/normalize.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/search.smk"
include: "workflow/rules/predict.smk"
include: "workflow/rules/realign.smk"
include: "workflow/rules/score.smk"
include: "workflow/rules/compare.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/hooks.smk"


rule all:
    default_target: True
    input:
        rules.report.output,


rule data:
    input:
        lambda wildcards: expand(out("data/{dataset}/stats.csv"), dataset=at_hand()),


# On a machine with a network: all that the others need of it.
rule prefetch:
    input:
        lambda wildcards: expand(out("data/{dataset}/raw"), dataset=at_hand()),
        [out(f"models/{name}.json") for name in config["models"] if from_hub(name)],
    localrule: True


onstart:
    ask_squeue_alone()
    clear_leftovers()


onerror:
    report_what_is_there()
