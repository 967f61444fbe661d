rule fetch:
    output:
        raw=directory(out("data/{dataset}/raw")),
        record=out("data/{dataset}/raw.json"),
    log:
        out("logs/fetch/{dataset}.log"),
    localrule: True
    params:
        raw_files,
    message:
        "Fetching {wildcards.dataset}"
    shell:
        "bioner fetch {wildcards.dataset} --out {output.raw} --record {output.record} 2>&1 | tee {log}"


rule snapshot:
    output:
        out("models/{model}.json"),
    log:
        out("logs/snapshot/{model}.log"),
    localrule: True
    params:
        entry=lambda wildcards: as_json(
            {key: MODELS[wildcards.model][key] for key in ("family", "source")}
        ),
    message:
        "Fetching {wildcards.model}"
    shell:
        "bioner snapshot {wildcards.model} --entry {params.entry:q} --out {output} 2>&1 | tee {log}"


# On a machine with a network: all that the others need of it.
rule prefetch:
    input:
        lambda wildcards: expand(out("data/{dataset}/raw.json"), dataset=at_hand()),
        snapshots(),
    log:
        out("logs/prefetch.log"),
    localrule: True
    params:
        again=prefetching(),
    message:
        "Asking the hub for the models of the run"
    shell:
        "( {params.again} ) 2>&1 | tee {log}"
