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


rule all:
    default_target: True
    input:
        rules.report.output,


rule data:
    input:
        lambda wildcards: expand(out("data/{dataset}/stats.csv"), dataset=at_hand()),
