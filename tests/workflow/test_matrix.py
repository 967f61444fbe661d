"""The DAG as users see it: the whole matrix, single cells, profiles; planned without sources, GPUs
or network.
"""

import re

import pytest
import yaml

from tests.workflow.snakemake import REPOSITORY, dry_run, jobs

ENCODERS = ["bert-large-uncased", "bert-large-cased", "biomedbert-large", "deberta-v3-large"]
LLMS = ["mistral-7b", "llama-8b"]
CONTROLS = ["oracle", "all-o", "dictionary"]


def test_the_default_is_the_paper_s_matrix_with_three_controls(tmp_path):
    # 5 datasets x (4 encoders + 2 LLMs) are searched for, encoders in 12 trials, LLMs in 2, and
    # trained under each of 3 seeds. LLMs decode in two ways: 5 x (3 x (4 + 2 x 2) + 3) predictions
    # on test, and 5 x 3 x 6 on dev, for calibration in the decoding that is compared.
    planned = jobs(dry_run(tmp_path))
    assert planned["fetch"] == planned["normalize"] == 5
    assert planned["trial"] == 5 * (4 * 12 + 2 * 2)
    assert planned["search"] == planned["time"] == 5 * 6
    assert planned["train"] == 3 * 5 * 6
    assert planned["score"] == 5 * (3 * (4 + 2 * 2) + 3)
    assert planned["predict"] == planned["realign"] == planned["score"] + 5 * 3 * 6
    assert planned["calibrate"] == 5 * 6
    assert planned["merge_scores"] == 5 * 9
    assert planned["compare"] == planned["select_best"] == 5
    assert planned["report"] == 1


def test_every_seed_trains_again_and_controls_do_not(tmp_path):
    planned = jobs(dry_run(tmp_path, "--config", "seeds=[1,2,3]", "datasets=[BC5CDR]"))
    assert planned["train"] == 3 * 6
    assert planned["predict"] == 3 * (4 + 2 * 2) + 3 + 3 * 6


def test_a_family_of_which_a_model_has_no_search_is_chosen_by_its_reported_runs(tmp_path):
    """The other family's searches choose all the same."""
    settings = "model_overrides={biomedbert-large: {search_space: null}}"
    text = dry_run(
        tmp_path,
        "results/BC5CDR/selection.csv",
        "--printshellcmds",
        *("--config", "seeds=[1,2]", settings),
    )
    planned = jobs(text)
    assert (planned["predict"], planned["trial"]) == (2 * 4, 3 * 12 + 2 * 2)
    (command,) = re.findall(r"bioner select-best (.*?) --out", text)
    options = command.split()
    assert options.count("--encoder") == 2 * 4
    assert options.count("--searched-llm") == 2
    assert "mistral-7b:constrained=results/BC5CDR/mistral-7b/search.csv" in options
    assert options[-2:] == ["--dataset", "BC5CDR"]


def test_hyper_parameters_may_be_fixed(tmp_path):
    planned = jobs(
        dry_run(tmp_path, "--config", "run_search=false", "seeds=[1,2]", "datasets=[BC5CDR]")
    )
    assert planned["train"] == 2 * 6
    assert not {"trial", "search"} & planned.keys()


def test_the_hyper_parameters_of_one_model_are_fixed_on_the_command_line(tmp_path):
    """`--config` hands over `null` as text."""
    settings = (
        "model_overrides={biomedbert-large: {search_space: null, train: {batch_size: 16,"
        " learning_rate: 2.0e-5}}}"
    )
    cell = ("results/BC5CDR/biomedbert-large/scores.csv", "--printshellcmds")
    text = dry_run(tmp_path, *cell, "--config", settings)
    planned = jobs(text)
    assert planned["train"] == 3
    assert (
        re.findall(r"bioner train .*? (--snapshot \S+) 2>&1", text)
        == ["--snapshot models/biomedbert-large.json"] * 3
    )
    assert "trial" not in planned


def test_a_search_is_a_target_of_its_own(tmp_path):
    text = dry_run(tmp_path, "results/BC5CDR/deberta-v3-large/search.csv", "--printshellcmds")
    planned = jobs(text)
    assert (
        re.findall(r"bioner train .*? (--snapshot \S+) 2>&1", text)
        == ["--snapshot models/deberta-v3-large.json"] * 12
    )
    assert planned == {
        "fetch": 1,
        "download_model": 1,
        "normalize": 1,
        "trial": 12,
        "search": 1,
        "total": 16,
    }


@pytest.mark.parametrize(("seeds", "trained"), [(1, 1), (2, 2), (9, 3)])
def test_as_many_seeds_are_timed_as_are_asked_for_and_there(tmp_path, seeds, trained):
    cell = [
        "results/BC5CDR/biomedbert-large/timing.csv",
        "--config",
        "run_search=false",
        f"timing={{seeds: {seeds}}}",
    ]
    assert jobs(dry_run(tmp_path, *cell))["train"] == trained


def test_an_encoder_that_drafts_is_predicted_with_first(tmp_path):
    """Its predictions on test, and of the first seed for the timing; not its scores."""
    cell = [
        "results/BC5CDR/llama-8b/scores.csv",
        "results/BC5CDR/llama-8b/timing.csv",
        "--config",
        "run_search=false",
    ]
    alone = jobs(dry_run(tmp_path, *cell, "decodings=[constrained]"))
    assert (alone["train"], alone["predict"], alone["score"]) == (3, 3, 3)
    settings = "model_overrides={llama-8b: {predict: {draft: biomedbert-large}}}"
    drafted = jobs(dry_run(tmp_path, *cell, "decodings=[constrained]", settings))
    assert (drafted["train"], drafted["predict"], drafted["score"]) == (6, 6, 3)
    # Free generation has no use for a draft.
    assert jobs(dry_run(tmp_path, *cell, "decodings=[free-paper]", settings)) == alone


def test_without_an_llm_nobody_is_chosen(tmp_path):
    planned = jobs(
        dry_run(
            tmp_path, "--config", "datasets=[BC5CDR]", "models=[bert-large-cased,biomedbert-large]"
        )
    )
    assert (planned["compare"], planned["predict"]) == (1, 2 * 3 * 2), "test and dev"
    assert "select_best" not in planned


def test_one_system_is_not_compared(tmp_path):
    planned = jobs(
        dry_run(tmp_path, "--config", "datasets=[BC5CDR]", "models=[oracle,all-o,dictionary]")
    )
    assert "compare" not in planned


@pytest.mark.parametrize("model", [*ENCODERS, *LLMS, *CONTROLS])
def test_a_cell_is_built_alone(tmp_path, model):
    text = dry_run(tmp_path, f"results/BC5CDR/{model}/scores.csv")
    planned = jobs(text)
    decodings = 2 if model in LLMS else 1
    assert planned.get("train", 0) == (0 if model in CONTROLS else 3)
    assert planned.get("trial", 0) == (0 if model in CONTROLS else 2 if model in LLMS else 12)
    assert planned["predict"] == planned["score"] == decodings * (1 if model in CONTROLS else 3)
    assert planned["fetch"] == planned["merge_scores"] == 1
    assert "report" not in planned
    assert set(re.findall(r"results/([^/\s]+)/([^/\s]+)/", text)) == {("BC5CDR", model)}


def test_settings_reach_the_commands(tmp_path):
    """Of scoring, comparing, timing, realigning and prices; none has its default here."""
    settings = {
        "scoring": "{length_cuts: [1, 4], bootstrap: 77, bootstrap_seed: 78, per_type: false}",
        "compare": "{resamples: 179, seed: 80}",
        "timing": (
            "{sentences: 81, batch_sizes: [3, 5], repeats: 82, seeds: 2, protocols: [paper]}"
        ),
        "realign": "{method: paper}",
        "prices": "{gpu_hour: 83}",
    }
    models = "models=[mistral-7b,biomedbert-large]"
    given = [f"{name}={value}" for name, value in settings.items()]
    plan = [
        "--printshellcmds",
        "--config",
        "datasets=[BC5CDR]",
        models,
        "run_search=false",
        "seeds=[6,7]",
        *given,
    ]
    commands: dict[str, set[str]] = {}
    shown = dry_run(tmp_path, *plan)
    for name, command in re.findall(
        r"bioner (score|compare-all|time|realign|report) (.*?) 2>&1", shown
    ):
        commands.setdefault(name, set()).add(" ".join(command.split()) + " ")
    wanted = {
        "score": "--length-cut 1 --length-cut 4 --no-per-type --bootstrap 77 --bootstrap-seed 78 ",
        "compare-all": "--length-cut 1 --length-cut 4 --resamples 179 --resampling-seed 80 ",
        "time": (
            "--batch 3 --batch 5 --protocol paper --method paper --sentences 81 --repeats 82 "
        ),
        "realign": "--method paper ",
        "report": '"gpu_hour": 83}\' ',
    }
    assert commands.keys() == wanted.keys()
    for name, options in wanted.items():
        lacking = [command for command in commands[name] if options not in command]
        assert not lacking, f"{options} in {lacking[0]}"
    for command in commands["time"]:
        assert re.search(
            r"--weights \S+/seed6/model --seed 6 --weights \S+/seed7/model --seed 7 ", command
        )


def test_predictions_on_dev_lie_under_dev(tmp_path):
    text = dry_run(
        tmp_path, "results/BC5CDR/dictionary/seed42/direct/dev/scores.csv", "--printshellcmds"
    )
    gold = re.findall(r"bioner (predict|realign|score) .*?--gold (\S+)", text)
    assert sorted(gold) == [
        (name, "data/BC5CDR/dev.jsonl") for name in ("predict", "realign", "score")
    ]
    planned = jobs(text)
    assert planned == {
        "fetch": 1,
        "normalize": 1,
        "predict": 1,
        "realign": 1,
        "score": 1,
        "total": 5,
    }


def test_the_slurm_profile_works_as_typed(tmp_path):
    text = dry_run(
        tmp_path, "--profile", "slurm", "results/BC5CDR/mistral-7b/scores.csv", in_repository=True
    )
    assert (jobs(text)["trial"], jobs(text)["train"]) == (2, 3)


def test_the_slurm_profile_works_from_another_folder(tmp_path):
    text = dry_run(
        tmp_path, "--profile", str(REPOSITORY / "slurm"), "results/BC5CDR/mistral-7b/scores.csv"
    )
    assert (jobs(text)["trial"], jobs(text)["train"]) == (2, 3)


def test_a_folder_of_its_own_holds_everything_under_out(tmp_path):
    text = dry_run(
        tmp_path,
        "--config",
        "out=runs/mine",
        "models=[all-o]",
        "datasets=[BC5CDR]",
        in_repository=True,
    )
    assert jobs(text)["report"] == 1
    assert "runs/mine/results/BC5CDR/all-o/scores.csv" in text


def test_out_with_a_leading_dot_names_the_same_targets(tmp_path):
    planned = jobs(dry_run(tmp_path, "results/BC5CDR/all-o/scores.csv", "--config", "out=./"))
    assert planned["merge_scores"] == 1


def test_an_llm_with_a_head_is_compared_and_is_the_best_of_no_family(tmp_path):
    models = ["bert-large-cased", "mistral-7b", "mistral-7b-head"]
    options = ["datasets=[BC5CDR]", "seeds=[42]", "decodings=[constrained]", "run_search=false"]
    with_head = dry_run(tmp_path, "--config", *options, f"models=[{','.join(models)}]")
    assert "results/BC5CDR/mistral-7b-head/seed42/direct/predictions.jsonl" in with_head
    planned = jobs(with_head)
    assert planned["train"] == planned["time"] == planned["merge_scores"] == 3
    assert planned["predict"] == 3 * 2, "on test and dev"
    assert planned["compare"] == planned["select_best"] == 1
    no_llm = jobs(
        dry_run(tmp_path, "--config", *options, "models=[bert-large-cased,mistral-7b-head]")
    )
    assert "select_best" not in no_llm


def test_the_ablations_and_the_quick_configuration_are_planned(tmp_path):
    for name, trained in (("ablations", 2 * 14), ("quick", 2)):
        planned = jobs(
            dry_run(tmp_path, "--configfile", str(REPOSITORY / "config" / f"{name}.yaml"))
        )
        assert planned["train"] == planned["time"] == trained
        assert "trial" not in planned


def test_models_of_2026_are_planned_where_their_catalogue_is_named(tmp_path):
    catalogues = "catalogues={models: [config/models.yaml, config/models-2026.yaml]}"
    models = "models=[dictionary, modernbert-large, ettin-decoder-400m-head, qwen3-8b]"
    planned = jobs(dry_run(tmp_path, "--config", catalogues, models, "datasets=[demo]"))
    assert planned["download_model"] == planned["search"] == planned["time"] == 3
    assert planned["trial"] == 12 + 12 + 2


def test_all_that_jobs_need_of_the_hub_is_fetched_beforehand(tmp_path):
    """Members of ensembles and encoders that LLMs draft from, too; once noted, a model is asked for
    again.
    """
    overlay = tmp_path / "run.yaml"
    models = {"llama-8b": {"predict": {"draft": "bert-large-uncased"}}}
    overlay.write_text(
        yaml.safe_dump(
            {"datasets": ["demo"], "models": ["vote-of-six", "llama-8b"], "model_overrides": models}
        )
    )
    text = dry_run(tmp_path, "prefetch", "--configfile", str(overlay), "--printshellcmds")
    named = set(re.findall(r"bioner download-model (\S+) ", text))
    assert named >= {
        "bert-large-uncased",
        "bert-large-cased",
        "mistral-7b",
        "llama-8b",
        "biomedbert-large",
    }
    assert jobs(text)["download_model"] == len(named)
    for name in named:
        (tmp_path / "models").mkdir(exist_ok=True)
        (tmp_path / f"models/{name}.json").write_text("{}")
    again = dry_run(tmp_path, "prefetch", "--configfile", str(overlay), "--printshellcmds")
    assert set(re.findall(r"bioner download-model (\S+) ", again)) == named
    assert jobs(again)["prefetch"] == 1
