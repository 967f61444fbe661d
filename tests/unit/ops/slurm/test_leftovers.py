"""What a killed run left in the queue, with a queue that is a file (tests/slurm has a real one)."""

import pytest

from bioner.errors import InputError
from bioner.ops.slurm import leftovers as module
from bioner.ops.slurm.leftovers import alone, clear, comment_of, leftovers

TRAIN = comment_of("train", ["demo", "bert-mini", "42"])


@pytest.fixture
def queue(tmp_path, monkeypatch):
    """A squeue that shows this file, and a scancel that notes its arguments and removes the jobs
    that it names.
    """
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    file = tmp_path / "queue"
    file.write_text("")
    (bin_ / "squeue").write_text(f"#!/bin/sh\ncat {file}\n")
    (bin_ / "scancel").write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/cancelled\n[ -f {tmp_path}/stubborn ] && exit 0\n'
        f'for id; do sed -i "/^$id|/d" {file}; done\n'
    )
    for program in bin_.iterdir():
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_}:/usr/bin:/bin")
    return file


def line(id_, folder, state="RUNNING", name="bioner_1f", comment=TRAIN):
    return f"{id_}|{state}|{name}|{folder}|{comment}\n"


def test_comments_are_those_of_the_executor_plugin():
    assert TRAIN == "rule_train_wildcards_demo_bert-mini_42"
    assert (
        comment_of("predict", ["a", "m", "1", "constrained", "dev/"])
        == "rule_predict_wildcards_a_m_1_constrained_dev_"
    )
    assert comment_of("report", []) == "rule_report"


def test_only_this_folder_s_jobs_that_make_the_same_are_leftovers(queue, tmp_path):
    others = [
        line(2, "/elsewhere"),
        line(3, tmp_path, name="other_1f"),
        line(4, tmp_path, comment=comment_of("train", ["demo", "bert-mini", "43"])),
        line(5, tmp_path, name="bioner-controller"),
    ]
    queue.write_text(line(1, tmp_path) + "".join(others))
    assert [job.id for job in leftovers("bioner", tmp_path, [TRAIN])] == ["1"]
    assert clear("bioner", tmp_path, [TRAIN]) == 1
    assert queue.read_text() == "".join(others)


def test_jobs_of_a_group_are_leftovers_though_nothing_says_of_which_cell(queue, tmp_path):
    mine = line(1, tmp_path, comment="rule_scores_realign_score") + line(
        2, tmp_path, comment="rule_scores_score"
    )
    others = line(3, tmp_path, comment="rule_trials_trial") + line(
        4, "/elsewhere", comment="rule_scores_score"
    )
    queue.write_text(mine + others)
    assert clear("bioner", tmp_path, [TRAIN], ["scores"]) == 2
    assert queue.read_text() == others


def test_a_run_reached_through_a_link_finds_its_jobs(queue, tmp_path):
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    link.symlink_to(real)
    queue.write_text(line(1, real))
    assert clear("bioner", link, [TRAIN]) == 1


def test_what_runs_is_warned_first_and_what_waits_cancelled(queue, tmp_path):
    queue.write_text(line(1, tmp_path) + line(2, tmp_path, state="PENDING"))
    assert clear("bioner", tmp_path, [TRAIN]) == 2
    assert (tmp_path / "cancelled").read_text().splitlines() == ["2", "--signal=USR1 1"]


def test_a_job_that_ends_before_it_is_told_to_is_no_failure(queue, tmp_path):
    """The job ends between squeue and scancel, which no longer knows it."""
    error = "scancel: error: Kill job error on job id 1: Invalid job id specified"
    (tmp_path / "bin/scancel").write_text(f"#!/bin/sh\n: > {queue}\necho '{error}' >&2\nexit 1\n")
    queue.write_text(line(1, tmp_path))
    assert clear("bioner", tmp_path, [TRAIN]) == 1


def test_what_does_not_go_stops_the_run(queue, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CANCEL_TIMEOUT", 2.0)
    queue.write_text(line(1, tmp_path))
    (tmp_path / "stubborn").touch()
    with pytest.raises(InputError, match="Slurm job 1: found RUNNING, though it was cancelled"):
        clear("bioner", tmp_path, [TRAIN], grace=1)
    assert (tmp_path / "cancelled").read_text().splitlines() == ["--signal=USR1 1", "1"]


def test_a_queue_that_does_not_answer_is_not_an_empty_one(queue, tmp_path):
    (tmp_path / "bin/squeue").write_text(
        "#!/bin/sh\necho 'slurm_load_jobs error: no controller' >&2\nexit 1\n"
    )
    with pytest.raises(InputError, match="no controller; expected an answer from Slurm"):
        clear("bioner", tmp_path, [TRAIN])


def test_without_leftovers_nothing_is_cancelled(queue, tmp_path):
    assert clear("bioner", tmp_path, [TRAIN]) == 0
    assert not (tmp_path / "cancelled").exists()


def test_of_two_snakemakes_in_a_folder_the_second_is_told(tmp_path):
    """Each would take the other's jobs for leftovers."""
    (tmp_path / ".snakemake").mkdir()
    first = alone(tmp_path)
    with pytest.raises(
        InputError, match="another Snakemake that sends jobs to Slurm; expected one a folder"
    ):
        alone(tmp_path)
    first.release()
    alone(tmp_path).release()
