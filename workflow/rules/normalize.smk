rule normalize:
    input:
        raw=ancient(out("data/{dataset}/raw")),
    output:
        expand(out("data/{{dataset}}/{split}.jsonl"), split=["train", "dev", "test"]),
        out("data/{dataset}/stats.csv"),
        out("data/{dataset}/changes.csv"),
    log:
        out("logs/normalize/{dataset}.log"),
    params:
        raw_files,  # what changes in the folder: its time does so without reason, when files are kept from a purge
        entry=reading,
        out=subpath(output[0], parent=True),
    message:
        "Normalizing {wildcards.dataset}"
    shell:
        "bioner normalize {wildcards.dataset} --entry {params.entry:q} --raw {input.raw} --out {params.out} 2>&1 | tee {log}"
