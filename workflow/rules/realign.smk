rule realign:
    input:
        gold=get_gold,
        train=out("data/{dataset}/train.jsonl"),
        raw=result(layout.run_path(layout.RAW, part="{part}")),
    output:
        predictions=result(layout.run_path(layout.PREDICTIONS, part="{part}")),
        alignment=result(layout.run_path(layout.ALIGNMENT, part="{part}")),
    log:
        out("logs/realign/{dataset}/{model}/seed{seed}/{part}{decoding}.log"),
    wildcard_constraints:
        model=alternatives(name for name in MODELS if not MATRIX.is_ensemble(name)),
    params:
        method=SETTINGS.realign.method,
    message:
        "Realigning {input.gold} by {wildcards.model} of {wildcards.dataset}, seed"
        " {wildcards.seed}, {wildcards.decoding}"
    shell:
        "bioner realign --gold {input.gold} --raw {input.raw} --train {input.train}"
        " --method {params.method}"
        " --out {output.predictions} --alignment {output.alignment} 2>&1 | tee {log}"
