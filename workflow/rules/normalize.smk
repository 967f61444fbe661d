rule normalize:
    input:
        out("data/{dataset}/raw"),
    output:
        expand(out("data/{{dataset}}/{split}.jsonl"), split=["train", "dev", "test"]),
        out("data/{dataset}/stats.csv"),
    log:
        out("logs/normalize/{dataset}.log"),
    params:
        entry=lambda wildcards: keys(
            DATASETS[wildcards.dataset],
            "format",
            "splits",
            "files",
            "token_column",
            "tag_column",
        ),
        out=subpath(output[0], parent=True),
    message:
        "Normalizing {wildcards.dataset}"
    shell:
        "bioner normalize {wildcards.dataset} --entry {params.entry:q} --raw {input} --out {params.out} 2>&1 | tee {log}"
