

rule trial:
    input:
        out("data/{dataset}/train.jsonl"),
        out("data/{dataset}/dev.jsonl"),
        snapshot=get_snapshot,
    output:
        history=result(layout.trial_path(layout.HISTORY)),
        run=result(layout.trial_path(layout.RECORD)),
    log:
        out("logs/trial/{dataset}/{model}/{trial}.log"),
    threads: get_resource("threads")
    resources:
        **get_resources("gpus"),
        in_turn=1,  # trials that share an allocation run one after the other (profiles/slurm)
    params:
        data=subpath(input[0], parent=True),
        out=subpath(output.run, parent=True),
        entry=get_training_entry,
        identity=get_training_identity,
        snapshot=get_snapshot_option,
        over=lambda wildcards: [f"--searched {name}" for name in MODELS[wildcards.model].searched()],
        seed=SETTINGS.search_seed,
    message:
        "Trying {wildcards.trial} for {wildcards.model} on {wildcards.dataset}"
    shell:
        "bioner train {wildcards.model} --entry {params.entry:q} --dataset {wildcards.dataset}"
        " --seed {params.seed} --data {params.data} --out {params.out} {params.over}"
        " {params.snapshot} 2>&1 | tee {log}"


# A checkpoint: later jobs are planned again once the winner is known, and only if it has changed.
checkpoint search:
    input:
        lambda wildcards: get_trial_records(wildcards),
    output:
        # First, since Snakemake asks a checkpoint for its first output.
        winner=result(layout.cell_path(layout.WINNER)),
        table=result(layout.cell_path(layout.SEARCH)),
    log:
        out("logs/search/{dataset}/{model}.log"),
    localrule: True
    params:
        trials=lambda wildcards, input: [
            *(Path(path).parent for path in input),
            # Trainings score dev both ways.
            *(["--as-trained"] if MODELS[wildcards.model].predict.weights != "merged" else []),
        ],
    message:
        "Choosing the hyper-parameters of {wildcards.model} on {wildcards.dataset}"
    shell:
        "bioner search {params.trials} --out {output.table} --winner {output.winner}"
        " 2>&1 | tee {log}"
