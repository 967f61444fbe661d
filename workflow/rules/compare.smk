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


MEMBERS = [
    f"--member {ensemble}={member}"
    for ensemble in filter(MATRIX.is_ensemble, MATRIX.compared)
    for member, _ in MATRIX.members(ensemble)
]


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
        members=MEMBERS,
        cuts=[f"--length-cut {cut}" for cut in SETTINGS.scoring.length_cuts],
        resamples=SETTINGS.compare.resamples,
        seed=SETTINGS.compare.seed,
    message:
        "Comparing the systems of {wildcards.dataset}"
    shell:
        "bioner compare-all --gold {input.gold} {params.systems} --out {output}"
        " --dataset {wildcards.dataset} {params.deterministic} {params.members} {params.cuts} --resamples {params.resamples}"
        " --resampling-seed {params.seed} 2>&1 | tee {log}"


rule compare_corpora:
    input:
        gold=lambda wildcards: expand(
            out("data/{dataset}/test.jsonl"), dataset=MATRIX.averaged(get_available_datasets())
        ),
        predictions=lambda wildcards: [
            result(layout.run_path(layout.PREDICTIONS, dataset, model, seed, how))
            for dataset in MATRIX.averaged(get_available_datasets())
            for model, how in MATRIX.trained_systems
            for seed in SETTINGS.seeds
        ],
        selection=lambda wildcards: (
            expand(
                result(layout.dataset_path(layout.SELECTION)),
                dataset=MATRIX.averaged(get_available_datasets()),
            )
            if MATRIX.has_selection
            else []
        ),
    output:
        result(layout.CORPORA_MEAN),
    log:
        out("logs/compare_corpora.log"),
    params:
        # Functions, since Snakemake takes {words} in text for wildcards.
        results=lambda wildcards: out("results"),
        data=lambda wildcards: out("data"),
        datasets=lambda wildcards: [
            f"--dataset {name}" for name in MATRIX.averaged(get_available_datasets())
        ],
        systems=[f"--system {model}:{how}" for model, how in MATRIX.trained_systems],
        seeds=[f"--seed {seed}" for seed in SETTINGS.seeds],
        best="--best" if MATRIX.has_selection else "",
        members=MEMBERS,
        resamples=SETTINGS.compare.resamples,
        seed=SETTINGS.compare.seed,
    message:
        "Averaging the differences between systems over the corpora"
    shell:
        "bioner compare-corpora --results {params.results} --data {params.data} {params.datasets}"
        " {params.systems} {params.seeds} {params.best} {params.members} --out {output}"
        " --resamples {params.resamples} --resampling-seed {params.seed} 2>&1 | tee {log}"
