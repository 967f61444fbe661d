REPORTS = [
    "table1_instances",
    "table2_test_entities",
    "corpora",
    "table3_strict",
    "table4_inference_time",
    "table5_relaxed",
    "alignment",
    "conventions",
    "subsets",
    "calibration",
    "paper_scoring",
    "significance",
    "corpora_mean",
    "stability",
    "errors",
    "search",
    "cost",
    "cells",
    "provenance",
    "scores",
]
if MATRIX.cross_pairs:
    REPORTS.append("cross")


rule report:
    input:
        lambda wildcards: expand(out("data/{dataset}/stats.csv"), dataset=get_available_datasets()),
        lambda wildcards: expand(
            result(layout.cell_path(layout.SCORES)),
            dataset=get_available_datasets(),
            model=SETTINGS.models,
        ),
        lambda wildcards: expand(
            result(layout.cell_path(layout.TIMING)),
            dataset=get_available_datasets(),
            model=filter(MATRIX.is_trained, SETTINGS.models),
        ),
        lambda wildcards: expand(
            result(layout.cell_path(layout.CALIBRATION)),
            dataset=get_available_datasets(),
            model=filter(MATRIX.has_confidences, SETTINGS.models),
        ),
        lambda wildcards: expand(
            result(layout.cell_path(layout.SEARCH)),
            dataset=get_available_datasets(),
            model=filter(MATRIX.is_searched, SETTINGS.models),
        ),
        lambda wildcards: get_comparisons(),
        lambda wildcards: [
            result(layout.cross_path(layout.DROP, pair.train, pair.test))
            for pair in get_cross_pairs()
        ],
    output:
        [
            report(
                out(f"reports/{name}.csv"),
                caption=f"../report/{name}.rst",
                category="Tables",
                labels={"table": name},
            )
            for name in REPORTS
        ],
        out("reports/README.md"),
        page=report(
            out("reports/report.html"),
            caption="../report/report.rst",
            category="Page",
            labels={"table": "all"},
        ),
    log:
        out("logs/report.log"),
    localrule: True
    params:
        # Functions, since Snakemake takes {words} in text for wildcards.
        results=lambda wildcards: out("results"),
        data=lambda wildcards: out("data"),
        out=subpath(output.page, parent=True),
        datasets=[
            *(f"--dataset {name}" for name in SETTINGS.datasets),
            *(f"--cross {pair.train}={pair.test}" for pair in MATRIX.cross_pairs),
        ],
        models=[f"--model {name}" for name in SETTINGS.models],
        notices=lambda wildcards: to_json(NOTICES),
        left_out=lambda wildcards: to_json(
            {name: note for name, note in ABSENT.items() if name not in get_available_corpora()}
        ),
        prices=lambda wildcards: to_json(SETTINGS.prices.canonical()),
        margins=lambda wildcards: to_json(SETTINGS.compare.margins),
    message:
        "Reporting"
    shell:
        "bioner report --results {params.results} --data {params.data} --out {params.out}"
        " {params.datasets} {params.models} --notices {params.notices:q}"
        " --left-out {params.left_out:q}"
        " --prices {params.prices:q} --margins {params.margins:q} 2>&1 | tee {log}"
