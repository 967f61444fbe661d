"""A site's profile: what was given stands in it as Snakemake reads it, and every comment stays."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from snakemake.profiles import ProfileConfigFileParser
from snakemake.resources import Resources
from typer.testing import CliRunner

from bioner.cli import app
from bioner.errors import InputError
from bioner.ops.profile import SETTINGS, TEMPLATE, check_option, defaults_of, profile_text
from bioner.ops.slurm.site import site_of

GIVEN = {
    **{
        "slurm_partition": "short,long",
        "gpu_partition": "a100",
        "gpu_type": "a100_80gb.1g",
        "gpu_request": "gpus",
    },
    **{
        "slurm_account": "group-7",
        "qos": "normal",
        "gpu_qos": "gpu@night",
        "constraint": "(ib|eth)*2&ssd",
    },
    **{
        "gpu_constraint": "[rack1|rack2]",
        "max_runtime": "1440",
        "max_mem_mb": "256000",
        "jobs": "8",
    },
    **{"slurm-status-command": "sacct"},
}
TOP = ("jobs", "slurm-status-command")  # not among the `default-resources`


def run(*arguments: str):
    """The command without a terminal."""
    result = CliRunner().invoke(app, ["profile", *arguments])
    return (
        result
        if result.exception is None or isinstance(result.exception, SystemExit)
        else result.exception
    )


def as_snakemake_reads(file: Path) -> dict[str, object]:
    """The values of `default-resources` as Snakemake has them for a job."""
    with file.open(encoding="utf-8") as stream:
        expressions = ProfileConfigFileParser().parse(stream)["default-resources"]
    parsed = Resources.parse(expressions, allow_expressions=True)
    job = {
        "wildcards": None,
        "input": [],
        "attempt": 1,
        "threads": 1,
        "rulename": "train",
        "async_run": None,
    }
    return {
        name: resource.evaluate(**job).value if resource.is_evaluable() else resource.value
        for name, resource in parsed.items()
    }


def test_everything_given_comes_back_from_the_file(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text(profile_text(GIVEN), encoding="utf-8")
    read, plain = as_snakemake_reads(file), yaml.safe_load(file.read_text(encoding="utf-8"))
    assert {key: str(read[key]) for key in SETTINGS if key not in TOP} == {
        key: value for key, value in GIVEN.items() if key not in TOP
    }
    assert read["max_runtime"] == 1440, "a number"
    assert (plain["jobs"], plain["slurm-status-command"]) == (8, "sacct")
    assert defaults_of(file) == GIVEN, "and is what a profile made from this one starts with"


@pytest.mark.parametrize(
    "name",
    ["min", "any", "1-2", "10", "1e5", "0x10", "yes", "null", "None", "input", "exists", "is"],
)
def test_names_that_yaml_or_snakemake_would_take_for_something_else(tmp_path, name):
    file = tmp_path / "config.yaml"
    file.write_text(profile_text({"gpu_partition": name, "qos": name}), encoding="utf-8")
    read = as_snakemake_reads(file)
    assert (read["gpu_partition"], read["qos"]) == (name, name)
    raw = yaml.safe_load(file.read_text(encoding="utf-8"))["default-resources"]
    assert site_of(raw)["gpu_partition"] == name, "the rules read it alike"


def test_every_comment_stays_and_nothing_else_changes():
    old, new = (
        text.splitlines() for text in (TEMPLATE.read_text(encoding="utf-8"), profile_text(GIVEN))
    )
    assert len(old) == len(new)
    for before, after in zip(old, new, strict=True):
        key = after.split(":")[0].strip()
        if before == after:
            continue
        assert key in SETTINGS
        note = before.partition(" # ")[2]
        assert before.lstrip().startswith("#") or note == after.partition(" # ")[2]
    assert {line.split(":")[0].strip() for line in set(new) - set(old)} == set(SETTINGS)


def test_nothing_given_is_the_profile_itself_and_what_is_not_given_stays_behind_its_comment_sign(
    tmp_path,
):
    assert profile_text({}) == TEMPLATE.read_text(encoding="utf-8")
    assert profile_text(defaults_of()) == profile_text({})
    assert "  # slurm_account: my_account\n" in profile_text({"qos": "low"})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(
            (key, bad)
            for key, setting in SETTINGS.items()
            for bad in ("", " ", "a b", "a'b", 'a"b', "a\nb", "-x", "$HOME")
        ),
        *(("max_runtime", bad) for bad in ("0", "-1", "1.5", "２", "2 days")),
        *(
            ("gpu_type", bad) for bad in ("a100-sxm4-80gb", "h100:2", "a100,h100")
        ),  # the executor plugin refuses them
        *(
            ("slurm_partition", bad)
            for bad in ("a,,b", "a,", "~a", "a{b}", "a\\b", "a`b`", "a;b", "a#b")
        ),
        ("gpu_request", "gpu"),
        ("slurm-status-command", "squeue,sacct"),
    ],
)
def test_what_makes_no_sense_is_refused(key, value):
    with pytest.raises(InputError) as refused:
        check_option(key, value)
    assert str(refused.value).startswith(f"{SETTINGS[key].option}: found {value!r}; expected ")
    assert "\n" not in str(refused.value)


def test_a_profile_is_written_and_the_next_command_told(tmp_path):
    done = run(str(tmp_path / "my site"), "--gpu-partition", "a100", "--max-runtime", "600")
    assert done.exit_code == 0
    assert done.output.strip().endswith(f"snakemake --profile '{tmp_path / 'my site'}'")
    written = as_snakemake_reads(tmp_path / "my site" / "config.yaml")
    assert (written["gpu_partition"], written["max_runtime"]) == ("a100", 600)
    assert written["slurm_partition"] == defaults_of()["slurm_partition"]


def test_every_option_is_written_to_its_own_key(tmp_path):
    options = [text for key, value in GIVEN.items() for text in (SETTINGS[key].option, value)]
    assert run(str(tmp_path), *options).exit_code == 0
    assert (tmp_path / "config.yaml").read_text(encoding="utf-8") == profile_text(GIVEN)


def test_a_profile_that_is_there_stays_unless_forced_and_the_one_it_is_made_from_always(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("mine")
    assert "say --force" in str(run(str(tmp_path), "--gpu-partition", "a100"))
    assert isinstance(run(str(tmp_path), "--gpu-partition", "a b", "--force"), InputError)
    assert file.read_text() == "mine"
    assert run(str(tmp_path), "--gpu-partition", "a100", "--force").exit_code == 0
    assert "a100" in file.read_text()
    before = TEMPLATE.read_bytes()
    assert isinstance(run(str(TEMPLATE.parent), "--gpu-partition", "a100", "--force"), InputError)
    assert TEMPLATE.read_bytes() == before


@pytest.mark.parametrize("number", ["0", "-3", "1000000000"])
@pytest.mark.parametrize("option", ["--jobs", "--max-runtime", "--max-mem-mb"])
def test_a_number_out_of_range_is_told_with_the_range(tmp_path, option, number):
    said = str(run(str(tmp_path / "site"), option, number))
    assert (
        said
        == f"{option}: found '{number}'; expected a whole number from 1 to 999999999. Correct the"
        " value."
    )
    assert not (tmp_path / "site").exists()
    for bound in ("1", "999999999"):
        assert run(str(tmp_path / bound), option, bound).exit_code == 0


@pytest.mark.parametrize("name", ["", " "])
def test_no_name_is_not_taken_for_this_folder(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    said = str(run(name, "--gpu-partition", "a100"))
    assert (
        said == f"DIR: found {name!r}; expected the folder of the profile. Name one, such as"
        " profiles/site."
    )
    assert list(tmp_path.iterdir()) == []
    assert run(".", "--gpu-partition", "a100").exit_code == 0, "who means it says so"
    assert (tmp_path / "config.yaml").is_file()


def test_a_profile_without_its_keys_is_refused(tmp_path):
    file = tmp_path / "config.yaml"
    for text in (
        "executor: slurm\n",
        TEMPLATE.read_text(encoding="utf-8").replace("gpu_type", "gpu_kind"),
    ):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match="expected the keys that a site changes"):
            profile_text({"gpu_type": "a100"}, file)


def test_on_a_terminal_the_rest_is_asked_and_nonsense_asked_again(tmp_path):
    given = (
        "--qos",
        "low",
        "--gpu-qos",
        "high",
        "--constraint",
        "ib",
        "--gpu-constraint",
        "nvlink",
        "--jobs",
        "9",
    )
    ours, theirs = pty.openpty()
    command = [Path(sys.executable).parent / "bioner", "profile", tmp_path / "site", *given]
    with subprocess.Popen(
        command, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as asked:
        # cpu partition, gpu partition, type, request (wrong, right), account, time, memory, status
        # command
        os.write(ours, b"thin\nfat\n\nboth\ngpus\n\n\n64000\n\n")
        try:
            said = asked.communicate(timeout=300)[0]
        finally:
            asked.kill()
    os.close(ours)
    os.close(theirs)
    assert asked.returncode == 0, said
    assert "found 'both'; expected gres or gpus" in said
    read = as_snakemake_reads(tmp_path / "site" / "config.yaml")
    assert (read["slurm_partition"], read["gpu_partition"], read["gpu_request"]) == (
        "thin",
        "fat",
        "gpus",
    )
    assert (read["gpu_type"], read["max_mem_mb"], read["qos"]) == (
        defaults_of()["gpu_type"],
        64000,
        "low",
    )
    assert "slurm_account" not in read
