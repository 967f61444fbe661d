rule select_best:
    input:
        lambda wildcards: [path for _, path in get_candidates(wildcards.dataset)],
    output:
        result(layout.dataset_path(layout.SELECTION)),
    log:
        out("logs/select_best/{dataset}.log"),
    localrule: True
    params:
        candidates=lambda wildcards: [
            option + path for option, path in get_candidates(wildcards.dataset)
        ],
    message:
        "Choosing the best encoder and the best LLM on the dev set of {wildcards.dataset}"
    shell:
        "bioner select-best {params.candidates} --dataset {wildcards.dataset} --out {output}"
        " 2>&1 | tee {log}"


rule ensemble:
    input:
        gold=get_gold,
        members=lambda wildcards: [path for *_, path in get_member_predictions(wildcards)],
        selection=lambda wildcards: (
            result(layout.dataset_path(layout.SELECTION))
            if MATRIX.chooses_members(wildcards.model)
            else []
        ),
    output:
        result(layout.run_path(layout.PREDICTIONS, part="{part}")),
    log:
        out("logs/ensemble/{dataset}/{model}/seed{seed}/{part}{decoding}.log"),
    wildcard_constraints:
        model=alternatives(filter(MATRIX.is_ensemble, MODELS)),
    params:
        members=lambda wildcards: [
            f"--candidate {member}={path}" if is_candidate else f"--pred {path}"
            for member, is_candidate, path in get_member_predictions(wildcards)
        ],
        selection=lambda wildcards, input: (
            f"--selection {input.selection}" if input.selection else ""
        ),
        combine=lambda wildcards: MODELS[wildcards.model].combine,
    message:
        "Putting together {wildcards.model} on {wildcards.dataset}, seed {wildcards.seed}"
    shell:
        "bioner ensemble --gold {input.gold} {params.members} {params.selection}"
        " --combine {params.combine}"
        " --out {output} 2>&1 | tee {log}"


rule compare:
    input:
        gold=out("data/{dataset}/test.jsonl"),
        predictions=lambda wildcards: [
            path for *_, path in get_compared_predictions(wildcards.dataset)
        ],
    output:
        result(layout.dataset_path(layout.COMPARISONS)),
    log:
        out("logs/compare/{dataset}.log"),
    params:
        systems=lambda wildcards: [
            f"--system {model}:{decoding}={path}"
            for model, decoding, path in get_compared_predictions(wildcards.dataset)
        ],
        deterministic=[f"--deterministic {model}" for model in MATRIX.deterministic],
        members=[
            f"--member {ensemble}={member}"
            for ensemble in filter(MATRIX.is_ensemble, MATRIX.compared)
            for member, _ in MATRIX.members(ensemble)
        ],
        cuts=[f"--length-cut {cut}" for cut in SETTINGS.scoring.length_cuts],
        resamples=SETTINGS.compare.resamples,
        seed=SETTINGS.compare.seed,
    message:
        "Comparing the systems of {wildcards.dataset}"
    shell:
        "bioner compare-all --gold {input.gold} {params.systems} --out {output}"
        " --dataset {wildcards.dataset} {params.deterministic} {params.members} {params.cuts} --resamples {params.resamples}"
        " --resampling-seed {params.seed} 2>&1 | tee {log}"
