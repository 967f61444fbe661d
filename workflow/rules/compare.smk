rule compare:
    input:
        gold=out("data/{dataset}/test.jsonl"),
        predictions=lambda wildcards: headline(wildcards.dataset, wildcards.model),
        versus=lambda wildcards: headline(wildcards.dataset, wildcards.other),
    output:
        out("results/{dataset}/{model}/versus/{other}.csv"),
    log:
        out("logs/compare/{dataset}/{model}/{other}.log"),
    params:
        predictions=lambda wildcards, input: [
            f"--pred {path}" for path in input.predictions
        ],
        versus=lambda wildcards, input: [f"--versus {path}" for path in input.versus],
        decoding=lambda wildcards: headline_decoding(wildcards.model),
        other_decoding=lambda wildcards: headline_decoding(wildcards.other),
        cuts=[f"--length-cut {cut}" for cut in config["scoring"]["length_cuts"]],
        resamples=config["compare"]["resamples"],
        seed=config["compare"]["seed"],
    message:
        "Comparing {wildcards.model} with {wildcards.other} on {wildcards.dataset}"
    shell:
        "bioner compare --gold {input.gold} {params.predictions} {params.versus} --out {output}"
        " --dataset {wildcards.dataset} --model {wildcards.model} --decoding {params.decoding}"
        " --versus-model {wildcards.other} --versus-decoding {params.other_decoding}"
        " {params.cuts} --resamples {params.resamples} --resampling-seed {params.seed} 2>&1 | tee {log}"
