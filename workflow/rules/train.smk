rule train:
    input:
        out("data/{dataset}/train.jsonl"),
        out("data/{dataset}/dev.jsonl"),
    output:
        model=directory(out("results/{dataset}/{model}/seed{seed}/model")),
        history=out("results/{dataset}/{model}/seed{seed}/history.csv"),
        run=out("results/{dataset}/{model}/seed{seed}/run.json"),
    log:
        out("logs/train/{dataset}/{model}/seed{seed}.log"),
    threads: resource("threads")
    resources:
        gres=gres("gpus"),
        gpus=resource("gpus"),
        mem_mb=resource("mem_mb"),
        runtime=resource("runtime"),
    params:
        data=subpath(input[0], parent=True),
        out=subpath(output.run, parent=True),
        entry=lambda wildcards: as_json(training_settings(MODELS[wildcards.model])),
    message:
        "Training {wildcards.model} on {wildcards.dataset}, seed {wildcards.seed}"
    shell:
        "bioner train {wildcards.model} --entry {params.entry:q} --dataset {wildcards.dataset} --seed {wildcards.seed}"
        " --data {params.data} --out {params.out} 2>&1 | tee {log}"
