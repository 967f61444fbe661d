rule realign:
    input:
        gold=split_of,
        train=out("data/{dataset}/train.jsonl"),
        raw=out("results/{dataset}/{model}/seed{seed}/{decoding}/{part}raw.jsonl.gz"),
    output:
        predictions=out(
            "results/{dataset}/{model}/seed{seed}/{decoding}/{part}predictions.jsonl"
        ),
        alignment=out(
            "results/{dataset}/{model}/seed{seed}/{decoding}/{part}alignment.csv"
        ),
    log:
        out("logs/realign/{dataset}/{model}/seed{seed}/{part}{decoding}.log"),
    wildcard_constraints:
        model=one_of(SINGLE),
    params:
        method=config["realign"]["method"],
    message:
        "Realigning {wildcards.dataset} by {wildcards.model}, seed {wildcards.seed}, {wildcards.decoding}"
    shell:
        "bioner realign --gold {input.gold} --raw {input.raw} --train {input.train} --method {params.method}"
        " --out {output.predictions} --alignment {output.alignment} 2>&1 | tee {log}"
