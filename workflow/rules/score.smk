rule score:
    input:
        gold=split_of,
        predictions=out(
            "results/{dataset}/{model}/seed{seed}/{decoding}/{part}predictions.jsonl"
        ),
        train=out("data/{dataset}/train.jsonl"),
        alignment=lambda wildcards: (
            []
            if wildcards.model in ENSEMBLES
            else out(
                "results/{dataset}/{model}/seed{seed}/{decoding}/{part}alignment.csv"
            )
        ),
    output:
        out("results/{dataset}/{model}/seed{seed}/{decoding}/{part}scores.csv"),
    log:
        out("logs/score/{dataset}/{model}/seed{seed}/{part}{decoding}.log"),
    params:
        cuts=[f"--length-cut {cut}" for cut in config["scoring"]["length_cuts"]],
        alignment=lambda wildcards, input: (
            f"--alignment {input.alignment}" if input.alignment else ""
        ),
        bootstrap=config["scoring"]["bootstrap"],
        bootstrap_seed=config["scoring"]["bootstrap_seed"],
        per_type="--per-type" if config["scoring"]["per_type"] else "--no-per-type",
        deletions=deletions(
            "results/{dataset}/{model}/seed{seed}/{decoding}/{part}predictions.jsonl",
            "results/{dataset}/{model}/seed{seed}/{decoding}/{part}scores.csv",
        ),
    message:
        "Scoring {wildcards.dataset} by {wildcards.model}, seed {wildcards.seed}, {wildcards.decoding}"
    shell:
        "bioner score --gold {input.gold} --pred {input.predictions} --out {output} --dataset {wildcards.dataset}"
        " --model {wildcards.model} --seed {wildcards.seed} --decoding {wildcards.decoding}"
        " --train {input.train} {params.alignment} {params.cuts} {params.per_type}"
        " --bootstrap {params.bootstrap} --bootstrap-seed {params.bootstrap_seed} 2>&1 | tee {log}"


rule gather:
    input:
        lambda wildcards: cell(wildcards.dataset, wildcards.model, "scores.csv"),
    output:
        out("results/{dataset}/{model}/scores.csv"),
    log:
        out("logs/gather/{dataset}/{model}.log"),
    localrule: True
    message:
        "Gathering the scores of {wildcards.model} on {wildcards.dataset}"
    shell:
        "bioner gather {input} --out {output} 2>&1 | tee {log}"
