"""bioner-bench: do LLMs surpass encoders for biomedical NER? The stages and what they share."""


configfile: Path(workflow.current_basedir) / "config/config.yaml"


# What `snakemake --report` opens with.
report: "workflow/report/workflow.rst"


include: "workflow/common/configuration.smk"
include: "workflow/common/files.smk"
include: "workflow/common/cluster.smk"
include: "workflow/common/hooks.smk"
include: "workflow/rules/fetch.smk"
include: "workflow/rules/normalize.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/search.smk"
include: "workflow/rules/predict.smk"
include: "workflow/rules/realign.smk"
include: "workflow/rules/score.smk"
include: "workflow/rules/calibrate.smk"
include: "workflow/rules/compare.smk"
include: "workflow/rules/cross.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        rules.report.output,


rule data:
    input:
        lambda wildcards: expand(out("data/{dataset}/stats.csv"), dataset=get_available_corpora()),


onstart:
    prepare_slurm()


onerror:
    report_what_is_there()
