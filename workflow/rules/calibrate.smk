rule calibrate:
    input:
        gold=out("data/{dataset}/test.jsonl"),
        dev=out("data/{dataset}/dev.jsonl"),
        runs=lambda wildcards: get_calibrated_files(wildcards.dataset, wildcards.model),
    output:
        table=result(layout.cell_path(layout.CALIBRATION)),
        bins=result(layout.cell_path(layout.RELIABILITY)),
    log:
        out("logs/calibrate/{dataset}/{model}.log"),
    wildcard_constraints:
        model=alternatives(filter(MATRIX.has_confidences, MODELS)),
    params:
        runs=lambda wildcards: [
            f"--run {seed}={get_headline_file('', wildcards.dataset, wildcards.model, seed)}"
            for seed in MATRIX.seeds(wildcards.model)
        ],
        decoding=lambda wildcards: MATRIX.headline(wildcards.model),
        bootstrap=SETTINGS.scoring.bootstrap,
        bootstrap_seed=SETTINGS.scoring.bootstrap_seed,
    message:
        "Calibrating {wildcards.model} on {wildcards.dataset}"
    shell:
        "bioner calibrate --gold {input.gold} --dev {input.dev} {params.runs}"
        " --dataset {wildcards.dataset} --model {wildcards.model} --decoding {params.decoding}"
        " --bootstrap {params.bootstrap} --bootstrap-seed {params.bootstrap_seed}"
        " --out {output.table} --bins {output.bins} 2>&1 | tee {log}"
