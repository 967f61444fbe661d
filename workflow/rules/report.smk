rule report:
    input:
        expand(out("data/{dataset}/stats.csv"), dataset=config["datasets"]),
        expand(
            out("results/{dataset}/{model}/scores.csv"),
            dataset=config["datasets"],
            model=config["models"],
        ),
        expand(
            out("results/{dataset}/{model}/timing.csv"),
            dataset=config["datasets"],
            model=filter(trained, config["models"]),
        ),
        comparisons(),
    output:
        expand(out("reports/{name}.csv"), name=REPORTS),
        page=report(
            out("reports/report.html"),
            caption="../report/report.rst",
            category="Reports",
        ),
    log:
        out("logs/report.log"),
    localrule: True
    params:
        results=lambda wildcards: out("results"),
        data=lambda wildcards: out("data"),
        out=subpath(output.page, parent=True),
        datasets=[f"--dataset {name}" for name in config["datasets"]],
        models=[f"--model {name}" for name in config["models"]],
    message:
        "Reporting"
    shell:
        "bioner report --results {params.results} --data {params.data} --out {params.out}"
        " {params.datasets} {params.models} 2>&1 | tee {log}"
