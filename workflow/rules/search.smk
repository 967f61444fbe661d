from bioner.catalogue import training_settings, trials_of


rule trial:
    input:
        out("data/{dataset}/train.jsonl"),
        out("data/{dataset}/dev.jsonl"),
        snapshot=snapshot,
    output:
        history=out("results/{dataset}/{model}/trials/{trial}/history.csv"),
        run=out("results/{dataset}/{model}/trials/{trial}/run.json"),
    log:
        out("logs/trial/{dataset}/{model}/{trial}.log"),
    threads: resource("threads")
    resources:
        **asks("gpus"),
        in_turn=1,  # trials that share an allocation run one after the other (profiles/slurm)
    params:
        data=subpath(input[0], parent=True),
        out=subpath(output.run, parent=True),
        entry=lambda wildcards: as_json(
            training_settings(trials_of(MODELS[wildcards.model])[wildcards.trial])
        ),
        snapshot=lambda wildcards, input: (
            f"--snapshot {input.snapshot}" if input.snapshot else ""
        ),
        over=lambda wildcards: [
            f"--searched {name}" for name in sorted(MODELS[wildcards.model]["search"])
        ],
        seed=config["seeds"][0],
    message:
        "Trying {wildcards.trial} for {wildcards.model} on {wildcards.dataset}"
    shell:
        "bioner train {wildcards.model} --entry {params.entry:q} --dataset {wildcards.dataset} --seed {params.seed}"
        " --data {params.data} --out {params.out} {params.over} {params.snapshot} 2>&1 | tee {log}"


# A checkpoint: what comes after is planned again once the winner is known, and a winner that stays changes nothing.
checkpoint search:
    input:
        lambda wildcards: trial_records(wildcards),
    output:
        winner=out("results/{dataset}/{model}/winner.json"),  # first: what Snakemake asks a checkpoint for
        table=out("results/{dataset}/{model}/search.csv"),
    log:
        out("logs/search/{dataset}/{model}.log"),
    localrule: True
    params:
        trials=lambda wildcards, input: [Path(path).parent for path in input],
    message:
        "Choosing the hyper-parameters of {wildcards.model} on {wildcards.dataset}"
    shell:
        "bioner search {params.trials} --out {output.table} --winner {output.winner} 2>&1 | tee {log}"


rule adopt:
    input:
        winner,
    output:
        model=directory(out("results/{dataset}/{model}/seed{seed}/model")),
        history=out("results/{dataset}/{model}/seed{seed}/history.csv"),
        run=out("results/{dataset}/{model}/seed{seed}/run.json"),
    log:
        out("logs/adopt/{dataset}/{model}/seed{seed}.log"),
    wildcard_constraints:
        model=one_of(SEARCHED),
        seed=str(config["seeds"][0]),
    localrule: True
    params:
        trials=out("results/{dataset}/{model}/trials"),
        out=subpath(output.run, parent=True),
    message:
        "Taking the best trial of {wildcards.model} on {wildcards.dataset} for seed {wildcards.seed}"
    shell:
        "bioner adopt --winner {input} --trials {params.trials} --out {params.out} 2>&1 | tee {log}"


# The winner was trained under the first seed already.
ruleorder: adopt > train
