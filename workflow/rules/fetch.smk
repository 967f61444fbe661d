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
