rule normalize:
    input:
        # Files are known by their checksums: new times, say after a purge, cause no new training.
        record=out("data/{dataset}/raw.json"),
        raw=ancient(out("data/{dataset}/raw")),
    output:
        expand(out("data/{{dataset}}/{split}.jsonl"), split=["train", "dev", "test"]),
        out("data/{dataset}/stats.csv"),
        out("data/{dataset}/changes.csv"),
    log:
        out("logs/normalize/{dataset}.log"),
    params:
        entry=get_reading_params,
        documents=get_documents_checksum,
        out=subpath(output[0], parent=True),
    message:
        "Normalizing {wildcards.dataset}"
    shell:
        "bioner normalize {wildcards.dataset} --entry {params.entry:q} --raw {input.raw}"
        " --out {params.out} 2>&1 | tee {log}"
