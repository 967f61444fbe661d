from bioner.catalogue import decodings_of, prediction_settings


rule predict:
    input:
        gold=split_of,
        train=out("data/{dataset}/train.jsonl"),
        weights=weights,
        trained=training_record,
        draft=draft,
    output:
        raw=out("results/{dataset}/{model}/seed{seed}/{decoding}/{part}raw.jsonl.gz"),
        run=out("results/{dataset}/{model}/seed{seed}/{decoding}/{part}run.json"),
    log:
        out("logs/predict/{dataset}/{model}/seed{seed}/{part}{decoding}.log"),
    threads: resource("threads")
    resources:
        **asks("predict_gpus"),
    params:
        entry=lambda wildcards: as_json(prediction_settings(MODELS[wildcards.model])),
        weights=lambda wildcards, input: (
            f"--weights {input.weights}" if input.weights else ""
        ),
        draft=lambda wildcards, input: f"--draft {input.draft}" if input.draft else "",
    message:
        "Predicting {wildcards.dataset} with {wildcards.model}, seed {wildcards.seed}, {wildcards.decoding}"
    shell:
        "bioner predict {wildcards.model} --entry {params.entry:q} --decoding {wildcards.decoding} --gold {input.gold}"
        " --train {input.train} {params.weights} {params.draft} --seed {wildcards.seed}"
        " --out {output.raw} --record {output.run} 2>&1 | tee {log}"


TIMED = config["seeds"][: config["timing"]["seeds"]]


rule time:
    input:
        gold=out("data/{dataset}/test.jsonl"),
        weights=ancient(
            [out(f"results/{{dataset}}/{{model}}/seed{seed}/model") for seed in TIMED]
        ),
        trained=[
            out(f"results/{{dataset}}/{{model}}/seed{seed}/run.json") for seed in TIMED
        ],
        train=out("data/{dataset}/train.jsonl"),
        draft=lambda wildcards: (
            test_draft(wildcards.dataset, wildcards.model)
            if "forced" in config["decodings"]
            else []
        ),
    output:
        out("results/{dataset}/{model}/timing.csv"),
    log:
        out("logs/time/{dataset}/{model}.log"),
    # Alone on one machine: what runs beside it would be in the seconds. Under Slurm it has the threads of its model.
    threads:
        lambda wildcards: max(
            resource("threads")(wildcards),
            0 if workflow.remote_exec else workflow.resource_settings.cores or 0,
        )
    resources:
        **asks("predict_gpus", most=1),
    params:
        entry=lambda wildcards: as_json(prediction_settings(MODELS[wildcards.model])),
        runs=lambda wildcards, input: [
            f"--weights {weights} --seed {seed}"
            for weights, seed in zip(input.weights, TIMED, strict=True)
        ],
        decodings=lambda wildcards: [
            f"--decoding {name}"
            for name in decodings_of(MODELS[wildcards.model], config["decodings"])
        ],
        batches=[f"--batch {size}" for size in config["timing"]["batch_sizes"]],
        draft=lambda wildcards, input: f"--draft {input.draft}" if input.draft else "",
        sentences=config["timing"]["sentences"],
        repeats=config["timing"]["repeats"],
        protocols=[f"--protocol {name}" for name in config["timing"]["protocols"]],
        llm_weights=config["timing"]["llm_weights"],
        method=config["realign"]["method"],
    message:
        "Timing {wildcards.model} on {wildcards.dataset}"
    shell:
        "bioner time {wildcards.model} --entry {params.entry:q} --dataset {wildcards.dataset}"
        " --gold {input.gold} --train {input.train} {params.runs} {params.decodings} {params.draft}"
        " {params.batches} {params.protocols} --llm-weights {params.llm_weights} --method {params.method}"
        " --sentences {params.sentences} --repeats {params.repeats} --out {output} 2>&1 | tee {log}"
