rule score:
    input:
        gold=get_gold,
        predictions=result(layout.run_path(layout.PREDICTIONS, part="{part}")),
        train=out("data/{dataset}/train.jsonl"),
        alignment=lambda wildcards: (
            []
            if MATRIX.is_ensemble(wildcards.model)
            else result(layout.run_path(layout.ALIGNMENT, part="{part}"))
        ),
    output:
        result(layout.run_path(layout.SCORES, part="{part}")),
    log:
        out("logs/score/{dataset}/{model}/seed{seed}/{part}{decoding}.log"),
    params:
        cuts=[f"--length-cut {cut}" for cut in SETTINGS.scoring.length_cuts],
        alignment=lambda wildcards, input: (
            f"--alignment {input.alignment}" if input.alignment else ""
        ),
        bootstrap=SETTINGS.scoring.bootstrap,
        bootstrap_seed=SETTINGS.scoring.bootstrap_seed,
        per_type="--per-type" if SETTINGS.scoring.per_type else "--no-per-type",
    message:
        "Scoring {wildcards.dataset} by {wildcards.model}, seed {wildcards.seed},"
        " {wildcards.decoding}"
    shell:
        "bioner score --gold {input.gold} --pred {input.predictions} --out {output}"
        " --dataset {wildcards.dataset}"
        " --model {wildcards.model} --seed {wildcards.seed} --decoding {wildcards.decoding}"
        " --train {input.train} {params.alignment} {params.cuts} {params.per_type}"
        " --bootstrap {params.bootstrap} --bootstrap-seed {params.bootstrap_seed} 2>&1 | tee {log}"


rule merge_scores:
    input:
        get_run_scores,
    output:
        result(layout.cell_path(layout.SCORES)),
    log:
        out("logs/merge_scores/{dataset}/{model}.log"),
    localrule: True
    message:
        "Gathering the scores of {wildcards.model} on {wildcards.dataset}"
    shell:
        "bioner merge-scores {input} --out {output} 2>&1 | tee {log}"
