rule fetch:
    input:
        shipped,
    output:
        directory(out("data/{dataset}/raw")),
    log:
        out("logs/fetch/{dataset}.log"),
    localrule: True
    params:
        entry=lambda wildcards: without(
            DATASETS[wildcards.dataset], "description", "terms", "notice", *READING
        ),
    message:
        "Fetching {wildcards.dataset}"
    shell:
        "bioner fetch {wildcards.dataset} --entry {params.entry:q} --out {output} 2>&1 | tee {log}"
