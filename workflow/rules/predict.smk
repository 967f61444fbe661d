

rule predict:
    input:
        gold=get_gold,
        train=out("data/{dataset}/train.jsonl"),
        weights=get_weights,
        trained=get_training_record,
        draft=get_draft,
    output:
        raw=result(layout.run_path(layout.RAW, part="{part}")),
        run=result(layout.run_path(layout.RECORD, part="{part}")),
    log:
        out("logs/predict/{dataset}/{model}/seed{seed}/{part}{decoding}.log"),
    threads: get_resource("threads")
    resources:
        **get_resources("predict_gpus"),
    params:
        entry=lambda wildcards: to_json(
            MODELS[wildcards.model].prediction_settings(wildcards.decoding)
        ),
        weights=lambda wildcards, input: (f"--weights {input.weights}" if input.weights else ""),
        draft=lambda wildcards, input: f"--draft {input.draft}" if input.draft else "",
    message:
        "Predicting {input.gold} with {wildcards.model} of {wildcards.dataset}, seed"
        " {wildcards.seed}, {wildcards.decoding}"
    shell:
        "bioner predict {wildcards.model} --entry {params.entry:q} --decoding {wildcards.decoding}"
        " --gold {input.gold}"
        " --train {input.train} {params.weights} {params.draft} --seed {wildcards.seed}"
        " --out {output.raw} --record {output.run} 2>&1 | tee {log}"


rule time:
    input:
        gold=out("data/{dataset}/test.jsonl"),
        weights=ancient(
            expand(
                result(layout.seed_path(layout.WEIGHTS)),
                seed=MATRIX.timed_seeds,
                allow_missing=True,
            )
        ),
        trained=expand(
            result(layout.seed_path(layout.RECORD)),
            seed=MATRIX.timed_seeds,
            allow_missing=True,
        ),
        train=out("data/{dataset}/train.jsonl"),
        draft=lambda wildcards: (
            get_draft_predictions(wildcards.dataset, wildcards.model)
            if "constrained" in SETTINGS.decodings
            else []
        ),
    output:
        result(layout.cell_path(layout.TIMING)),
    log:
        out("logs/time/{dataset}/{model}.log"),
    # On one machine nothing runs at the same time, which would distort the seconds. Under Slurm it
    # has the threads of its model.
    threads:
        lambda wildcards: max(
            get_resource("threads")(wildcards),
            0 if workflow.remote_exec else workflow.resource_settings.cores or 0,
        )
    resources:
        **get_resources("predict_gpus", most=1),
    params:
        entry=lambda wildcards: to_json(MODELS[wildcards.model].prediction_settings()),
        runs=lambda wildcards, input: [
            f"--weights {weights} --seed {seed}"
            for weights, seed in zip(input.weights, MATRIX.timed_seeds, strict=True)
        ],
        decodings=lambda wildcards: [
            f"--decoding {name}" for name in MATRIX.decodings(wildcards.model)
        ],
        batches=[f"--batch {size}" for size in SETTINGS.timing.batch_sizes],
        draft=lambda wildcards, input: f"--draft {input.draft}" if input.draft else "",
        sentences=SETTINGS.timing.sentences,
        repeats=SETTINGS.timing.repeats,
        protocols=[f"--protocol {name}" for name in SETTINGS.timing.protocols],
        method=SETTINGS.realign.method,
    message:
        "Timing {wildcards.model} on {wildcards.dataset}"
    shell:
        "bioner time {wildcards.model} --entry {params.entry:q} --dataset {wildcards.dataset}"
        " --gold {input.gold} --train {input.train} {params.runs} {params.decodings} {params.draft}"
        " {params.batches} {params.protocols} --method {params.method}"
        " --sentences {params.sentences} --repeats {params.repeats} --out {output} 2>&1 | tee {log}"
