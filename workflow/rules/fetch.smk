rule fetch:
    output:
        directory(out("data/{dataset}/raw")),
    log:
        out("logs/fetch/{dataset}.log"),
    localrule: True
    params:
        entry=lambda wildcards: as_json(DATASETS[wildcards.dataset]),
        mirror=f"--mirror '{config['mirror']}'" if config["mirror"] else "",
    message:
        "Fetching {wildcards.dataset}"
    shell:
        "bioner fetch {wildcards.dataset} --entry {params.entry:q} --out {output} {params.mirror} 2>&1 | tee {log}"
