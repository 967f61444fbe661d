rule fetch:
    output:
        raw=directory(out("data/{dataset}/raw")),
        record=out("data/{dataset}/raw.json"),
    log:
        out("logs/fetch/{dataset}.log"),
    localrule: True
    params:
        get_raw_identities,
    message:
        "Fetching {wildcards.dataset}"
    shell:
        "bioner fetch {wildcards.dataset} --out {output.raw} --record {output.record}"
        " 2>&1 | tee {log}"


rule download_model:
    output:
        out("models/{model}.json"),
    log:
        out("logs/download_model/{model}.log"),
    localrule: True
    params:
        entry=lambda wildcards: to_json(get_weights_source(wildcards.model)),
    message:
        "Fetching {wildcards.model}"
    shell:
        "bioner download-model {wildcards.model} --entry {params.entry:q} --out {output}"
        " 2>&1 | tee {log}"


# On a machine with a network: all that the others need of it.
rule prefetch:
    input:
        lambda wildcards: expand(out("data/{dataset}/raw.json"), dataset=get_available_corpora()),
        get_snapshots(),
    log:
        out("logs/prefetch.log"),
    localrule: True
    params:
        again=get_prefetch_commands(),
    message:
        "Asking the hub for the models of the run"
    shell:
        "( {params.again} ) 2>&1 | tee {log}"
