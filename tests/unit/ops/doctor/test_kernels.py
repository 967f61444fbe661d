"""The 4-bit product and the all-reduce: real ones on the CPU, and what is told of broken ones."""

import os
import runpy
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from bioner.ops.doctor import allreduce, nf4
from bioner.ops.doctor.processes import Ended, failure, run_together


def only(findings):
    (finding,) = findings
    return str(finding)


@pytest.fixture
def gpus(monkeypatch):
    """A function that makes so many GPUs visible to the checks."""
    return lambda count: [
        monkeypatch.setattr(module, "visible_gpus", lambda: count) for module in (nf4, allreduce)
    ]


@pytest.fixture
def started(monkeypatch):
    """The commands that the 4-bit check starts, in place of running them; it ends with what
    `answer` holds.
    """
    commands, answer = [], [Ended(0, "0.1\n", "")]

    def run(asked, limit):
        commands.extend(asked)
        return list(answer)

    monkeypatch.setattr(nf4, "run_together", run)
    return commands, answer


def fork(work: Callable[[], object], output: Path) -> int:
    """A copy of this process, which has torch loaded, that does this and ends; returns its
    number.
    """
    child = os.fork()
    if not child:
        try:
            sys.stdout = output.open("w")
            torch.set_num_threads(1)  # those of the other process are not there
            work()
            sys.stdout.flush()
            os._exit(0)
        finally:
            os._exit(1)
    return child


def end_of(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.fixture
def forked(monkeypatch, tmp_path):
    """Runs commands of the all-reduce as forks, in place of new processes that load torch each for
    themselves.
    """

    def run_forked(commands: Sequence[Sequence[str]], limit: float) -> list[Ended]:
        children = []
        for rank, (python, *arguments) in enumerate(commands):
            assert (python, *arguments[:2]) == (sys.executable, "-m", "bioner.ops.doctor.allreduce")

            def module(arguments=arguments):
                sys.argv = arguments[1:]
                runpy.run_module(arguments[1], run_name="__main__")

            children.append(fork(module, tmp_path / f"output-{rank}"))
        codes = [end_of(child) for child in children]
        return [
            Ended(code, (tmp_path / f"output-{rank}").read_text(), "")
            for rank, code in enumerate(codes)
        ]

    monkeypatch.setattr(allreduce, "run_together", run_forked)
    return run_forked


def test_rounding_to_4_bits_puts_products_a_tenth_off():
    # NF4's sixteen values leave 9 % on uniform weights; an exact product would show that nothing
    # was rounded.
    assert 0.05 < nf4.error_on("cpu") < nf4.TOLERANCE


def test_a_layer_that_does_not_round_is_no_4_bit_layer(monkeypatch):
    import bitsandbytes

    def plain(width, height, bias, **_):
        return torch.nn.Linear(width, height, bias)

    monkeypatch.setattr(bitsandbytes.nn, "Linear4bit", plain)
    with pytest.raises(RuntimeError, match=r"torch\.float32, and not 4-bit"):
        nf4.error_on("cpu")


@pytest.mark.slow
def test_the_4_bit_check_s_process_runs_on_the_cpu_and_says_so(gpus):
    gpus(0)
    assert only(nf4.check_nf4()).startswith(
        "ok   nf4        works on the CPU (no GPU is visible), "
    )


@pytest.mark.filterwarnings("ignore:.*found in sys.modules")
def test_the_4_bit_check_runs_on_the_cpu_and_says_so(gpus, monkeypatch, capsys):
    def run_here(commands, limit):
        ((python, option, module, *devices),) = commands
        assert (python, option, module) == (sys.executable, "-m", "bioner.ops.doctor.nf4")
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", [module, *devices])
            runpy.run_module(module, run_name="__main__")
        return [Ended(0, capsys.readouterr().out, "")]

    gpus(0)
    monkeypatch.setattr(nf4, "run_together", run_here)
    assert only(nf4.check_nf4()).startswith(
        "ok   nf4        works on the CPU (no GPU is visible), "
    )


def test_the_4_bit_check_takes_every_gpu(gpus, started):
    gpus(2)
    assert only(nf4.check_nf4()) == "ok   nf4        works on 2 GPUs, 10.0% off the exact product"
    assert started[0][0][-2:] == ["cuda:0", "cuda:1"]


@pytest.mark.parametrize(
    ("ended", "reason"),
    [
        (Ended(0, "0.6\n", ""), "products are 60% off"),
        (Ended(0, "nan\n", ""), "products are nan% off"),
        (Ended(0, "0.0\n", ""), "products are 0% off"),
        (Ended(1, "RuntimeError: no kernel image\n", ""), "RuntimeError: no kernel image"),
        (Ended(-signal.SIGSEGV, "", ""), "it was ended by SIGSEGV"),
        (Ended(None, "", ""), "no end within 300 s"),
    ],
)
def test_a_broken_4_bit_kernel_fails(gpus, started, ended, reason):
    gpus(1)
    started[1][:] = [ended]
    line = only(nf4.check_nf4())
    assert line.startswith(f"FAIL nf4        4-bit layers fail on the GPU: {reason}")
    assert "python -m bitsandbytes" in line


@pytest.mark.slow
def test_two_processes_of_their_own_add_up_on_the_cpu(gpus):
    gpus(0)
    assert only(allreduce.check_allreduce()) == (
        "ok   all-reduce gloo, two processes on the CPU (no GPU is visible)"
    )


def test_two_processes_add_up_on_the_cpu(gpus, forked):
    gpus(0)
    assert only(allreduce.check_allreduce()) == (
        "ok   all-reduce gloo, two processes on the CPU (no GPU is visible)"
    )


def test_three_processes_do(forked):
    assert allreduce.all_reduce("gloo", 3, 60) is None


def test_one_gpu_has_nothing_to_add_up_with(gpus):
    gpus(1)
    assert only(allreduce.check_allreduce()) == "skip all-reduce one GPU has none to talk to"


def test_gpus_use_nccl_and_a_failure_names_its_switches(gpus, monkeypatch):
    gpus(4)
    asked = []
    monkeypatch.setattr(
        allreduce, "all_reduce", lambda *call: asked.append(call) or "no answer within 60 s"
    )
    line = only(allreduce.check_allreduce())
    assert asked == [("nccl", 4, 60)]
    assert line.startswith("FAIL all-reduce nccl, 4 GPUs: no answer within 60 s")
    assert all(
        name in line for name in ("NCCL_DEBUG=INFO", "NCCL_SOCKET_IFNAME", "NCCL_P2P_DISABLE")
    )


def test_nccl_without_gpus_is_told_and_its_log_shown_to_who_asks(forked, monkeypatch, caplog):
    if torch.cuda.device_count() >= 2:
        pytest.skip("there are GPUs")
    monkeypatch.setenv("NCCL_DEBUG", "INFO")
    caplog.set_level("INFO")
    reason = allreduce.all_reduce("nccl", 2, 30)
    assert reason
    assert "process 0" in caplog.text
    assert reason in caplog.text


def test_a_wrong_sum_is_told(monkeypatch):
    monkeypatch.setattr(signal, "alarm", lambda seconds: None)
    monkeypatch.setattr(torch.distributed, "init_process_group", lambda *_, **__: None)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda tensor: tensor.fill_(2.0))
    with pytest.raises(RuntimeError, match=r"the sum is 2.0 in place of 3.0"):
        allreduce.take_part("gloo", 2, 1, 60, 0)


def process_alone(seconds):
    """The first of two processes of an all-reduce whose second never comes."""
    return [
        sys.executable,
        "-m",
        "bioner.ops.doctor.allreduce",
        "gloo",
        "2",
        "0",
        str(seconds),
        "0",
    ]


@pytest.mark.parametrize("own", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_process_whose_partner_never_comes_gives_up(own, forked):
    (ended,) = (run_together if own else forked)([process_alone(1)], 300)
    assert ended.code == 1
    assert "timed out" in failure([ended], 300).lower()


def test_a_process_that_hangs_in_a_library_is_killed(monkeypatch, tmp_path):
    monkeypatch.setattr(allreduce, "BACKSTOP", 0)
    monkeypatch.setattr(torch.distributed, "init_process_group", lambda *_, **__: time.sleep(600))
    child = fork(lambda: allreduce.take_part("gloo", 2, 0, 1, 0), tmp_path / "output")
    assert end_of(child) == -signal.SIGALRM


def test_hanging_processes_are_told_in_seconds(monkeypatch):
    ended = [Ended(None, "", ""), Ended(-signal.SIGALRM, "", "")]
    monkeypatch.setattr(allreduce, "run_together", lambda commands, limit: ended)
    assert allreduce.all_reduce("nccl", 2, 60) == "no answer within 60 s"
