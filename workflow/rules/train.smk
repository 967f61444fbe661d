

rule train:
    input:
        out("data/{dataset}/train.jsonl"),
        out("data/{dataset}/dev.jsonl"),
        winner=get_winner,
        snapshot=get_snapshot,
    output:
        model=directory(result(layout.seed_path(layout.WEIGHTS))),
        history=result(layout.seed_path(layout.HISTORY)),
        run=result(layout.seed_path(layout.RECORD)),
    log:
        out("logs/train/{dataset}/{model}/seed{seed}.log"),
    threads: get_resource("threads")
    resources:
        **get_resources("gpus"),
    params:
        data=subpath(input[0], parent=True),
        out=subpath(output.run, parent=True),
        winner=lambda wildcards, input: (f"--winner {input.winner}" if input.winner else ""),
        snapshot=get_snapshot_option,
        entry=get_training_entry,
        identity=get_training_identity,
    message:
        "Training {wildcards.model} on {wildcards.dataset}, seed {wildcards.seed}"
    shell:
        "bioner train {wildcards.model} --entry {params.entry:q} --dataset {wildcards.dataset}"
        " --seed {wildcards.seed} --data {params.data} --out {params.out} {params.winner}"
        " {params.snapshot} 2>&1 | tee {log}"
