rule cross:
    input:
        instances=expand(
            out("data/{corpus}/{split}.jsonl"),
            corpus=["{dataset}", "{test}"],
            split=["train", "dev", "test"],
        ),
        predictions=lambda wildcards: [
            path for *_, path in get_cross_predictions(wildcards.dataset, wildcards.test)
        ],
    output:
        drop=result(layout.cross_path(layout.DROP)),
        run=result(layout.cross_path(layout.RECORD)),
    log:
        out("logs/cross/{dataset}/{test}.log"),
    wildcard_constraints:
        test=alternatives(DATASETS),
    params:
        # A function, since Snakemake takes {words} in text for wildcards.
        data=lambda wildcards: out("data"),
        types=lambda wildcards: get_cross_types(wildcards.dataset, wildcards.test),
        systems=lambda wildcards: [
            f"--{side} {model}:{MATRIX.headline(model)}={path}"
            for side, model, path in get_cross_predictions(wildcards.dataset, wildcards.test)
        ],
        resamples=SETTINGS.compare.resamples,
        seed=SETTINGS.compare.seed,
    message:
        "Comparing the systems of {wildcards.dataset} on {wildcards.test} with those trained there"
    shell:
        "bioner cross {wildcards.dataset} {wildcards.test} --data {params.data}"
        " --types {params.types:q} {params.systems} --out {output.drop} --record {output.run}"
        " --resamples {params.resamples} --resampling-seed {params.seed} 2>&1 | tee {log}"
