rule select:
    input:
        lambda wildcards: dev_scores(wildcards.dataset),
    output:
        out("results/{dataset}/selection.csv"),
    log:
        out("logs/select/{dataset}.log"),
    localrule: True
    params:
        candidates=lambda wildcards: [
            f"--{MODELS[model]['family']} {path}"
            for model, path in dev_scores(wildcards.dataset, named=True)
        ],
    message:
        "Choosing the best encoder and the best LLM on the dev set of {wildcards.dataset}"
    shell:
        "bioner select {params.candidates} --out {output} 2>&1 | tee {log}"


rule ensemble:
    input:
        gold=split_of,
        members=lambda wildcards: [path for _, path in member_predictions(wildcards)],
        selection=lambda wildcards: (
            out("results/{dataset}/selection.csv")
            if BEST.keys() & set(MODELS[wildcards.model]["members"])
            else []
        ),
    output:
        out("results/{dataset}/{model}/seed{seed}/{decoding}/{part}predictions.jsonl"),
    log:
        out("logs/ensemble/{dataset}/{model}/seed{seed}/{part}{decoding}.log"),
    wildcard_constraints:
        model=one_of(ENSEMBLES),
    params:
        members=lambda wildcards: [
            f"--candidate {member}={path}" if candidate else f"--pred {path}"
            for (member, candidate), path in member_predictions(wildcards)
        ],
        selection=lambda wildcards, input: (
            f"--selection {input.selection}" if input.selection else ""
        ),
        combine=lambda wildcards: MODELS[wildcards.model]["combine"],
    message:
        "Putting together {wildcards.model} on {wildcards.dataset}, seed {wildcards.seed}"
    shell:
        "bioner ensemble --gold {input.gold} {params.members} {params.selection} --combine {params.combine}"
        " --out {output} 2>&1 | tee {log}"


rule compare:
    input:
        gold=out("data/{dataset}/test.jsonl"),
        predictions=lambda wildcards: [
            path for model in compared() for path in headline(wildcards.dataset, model)
        ],
    output:
        out("results/{dataset}/comparisons.csv"),
    log:
        out("logs/compare/{dataset}.log"),
    params:
        systems=lambda wildcards: [
            f"--system {model}:{headline_decoding(model)}={path}"
            for model in compared()
            for path in headline(wildcards.dataset, model)
        ],
        cuts=[f"--length-cut {cut}" for cut in config["scoring"]["length_cuts"]],
        resamples=config["compare"]["resamples"],
        seed=config["compare"]["seed"],
    message:
        "Comparing the systems of {wildcards.dataset}"
    shell:
        "bioner compare-all --gold {input.gold} {params.systems} --out {output} --dataset {wildcards.dataset}"
        " {params.cuts} --resamples {params.resamples} --resampling-seed {params.seed} 2>&1 | tee {log}"
