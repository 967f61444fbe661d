rule fetch:
    output:
        directory(out("data/{dataset}/raw")),
    log:
        out("logs/fetch/{dataset}.log"),
    localrule: True
    params:
        raw_files,
    message:
        "Fetching {wildcards.dataset}"
    shell:
        "bioner fetch {wildcards.dataset} --out {output} 2>&1 | tee {log}"
