"""The 4-bit product and the all-reduce: real ones on the CPU, and what is told of broken ones."""

import contextlib
import os
import runpy
import signal
import sys
import time
from collections.abc import Callable, Iterator

import pytest
import torch
from torch.multiprocessing.spawn import ProcessExitedException, start_processes

from bioner.ops.doctor import allreduce, nf4
from bioner.ops.doctor.processes import ProgramFailed


def only(findings):
    (finding,) = findings
    return str(finding)


@pytest.fixture
def gpus(monkeypatch):
    """A function that makes so many GPUs visible to the checks."""
    return lambda count: [
        monkeypatch.setattr(module, "count_devices", lambda: count) for module in (nf4, allreduce)
    ]


@pytest.fixture
def program(monkeypatch):
    """The commands that the checks start, in place of running them, and how they end.

    They end with the line that they print, or the error to raise, in `ends`.
    """
    commands, ends = [], ["0.1"]

    def run(command, limit):
        commands.append(command)
        if isinstance(ends[0], Exception):
            raise ends[0]
        return ends[0]

    for module in (nf4, allreduce):
        monkeypatch.setattr(module, "run_program", run)
    return commands, ends


@pytest.fixture
def forked(monkeypatch):
    """Has processes of an all-reduce be forks of this one, which has torch loaded."""

    def work_alone(rank, work, *arguments):
        torch.set_num_threads(1)  # a fork has not the threads of this process
        work(rank, *arguments)

    def spawn(work, arguments, processes):
        start_processes(work_alone, (work, *arguments), processes, start_method="fork")

    # torch.multiprocessing.spawn is the function as well as its module
    monkeypatch.setattr(sys.modules["torch.multiprocessing.spawn"], "spawn", spawn)


@contextlib.contextmanager
def fork(work: Callable[[], object]) -> Iterator[int]:
    """A copy of this process, which has torch loaded, that does this and ends; its exit code."""
    child = os.fork()
    if not child:
        try:
            torch.set_num_threads(1)  # a fork has not the threads of this process
            work()
            os._exit(0)
        finally:
            os._exit(1)
    yield os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


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
    def run_here(command, limit):
        python, option, module, *devices = command
        assert (python, option, module) == (sys.executable, "-m", "bioner.ops.doctor.nf4")
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", [module, *devices])
            runpy.run_module(module, run_name="__main__")
        return capsys.readouterr().out.strip()

    gpus(0)
    monkeypatch.setattr(nf4, "run_program", run_here)
    assert only(nf4.check_nf4()).startswith(
        "ok   nf4        works on the CPU (no GPU is visible), "
    )


@pytest.mark.filterwarnings("ignore:.*found in sys.modules")
def test_the_4_bit_program_says_in_a_line_what_a_library_raises(monkeypatch):
    def broken(*_, **__):
        raise OSError("libcudart.so.13: cannot open shared object file\nand more")

    monkeypatch.setattr(torch, "manual_seed", broken)
    monkeypatch.setattr(sys, "argv", ["nf4", "cpu"])
    with pytest.raises(SystemExit, match=r"^OSError: libcudart\.so\.13: cannot open .* file$"):
        runpy.run_module("bioner.ops.doctor.nf4", run_name="__main__")


def test_the_4_bit_check_takes_every_gpu(gpus, program):
    gpus(2)
    assert only(nf4.check_nf4()) == "ok   nf4        works on 2 GPUs, 10.0% off the exact product"
    assert program[0][0][-2:] == ["cuda:0", "cuda:1"]


@pytest.mark.parametrize(
    ("ended", "reason"),
    [
        ("0.6", "products are 60% off"),
        ("nan", "products are nan% off"),
        ("0.0", "products are 0% off"),
        (ProgramFailed("RuntimeError: no kernel image"), "RuntimeError: no kernel image"),
        (ProgramFailed("no end within 300 s"), "no end within 300 s"),
    ],
)
def test_a_broken_4_bit_kernel_fails(gpus, program, ended, reason):
    gpus(1)
    program[1][:] = [ended]
    line = only(nf4.check_nf4())
    assert line.startswith(f"FAIL nf4        4-bit layers fail on the GPU: {reason}")
    assert "python -m bitsandbytes" in line


@pytest.mark.slow
def test_two_processes_of_their_own_add_up_on_the_cpu(gpus):
    gpus(0)
    assert only(allreduce.check_allreduce()) == (
        "ok   all-reduce gloo, two processes on the CPU (no GPU is visible)"
    )


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.device_count() >= 2, reason="there are GPUs")
def test_processes_without_their_gpus_are_told_with_what_torch_says(gpus):
    gpus(2)
    line = only(allreduce.check_allreduce())
    assert line.startswith("FAIL all-reduce nccl, 2 GPUs: ")
    assert "_cuda_setDevice" in line or "GPU" in line


@pytest.mark.parametrize("processes", [2, 3])
def test_processes_add_up_on_the_cpu(forked, processes):
    allreduce.all_reduce("gloo", processes)


def test_the_check_starts_a_process_for_each_gpu_and_two_on_the_cpu(gpus, program):
    for visible, arguments in ((4, ["nccl", "4"]), (0, ["gloo", "2"])):
        gpus(visible)
        assert only(allreduce.check_allreduce()).startswith("ok")
        assert program[0].pop() == [
            *(sys.executable, "-m", "bioner.ops.doctor.allreduce"),
            *arguments,
        ]


def test_one_gpu_has_nothing_to_add_up_with(gpus):
    gpus(1)
    assert only(allreduce.check_allreduce()) == "skip all-reduce one GPU has none to talk to"


def test_a_failure_names_the_switches_of_nccl(gpus, program):
    gpus(4)
    program[1][:] = [ProgramFailed("Cuda failure 'peer access is not supported'")]
    line = only(allreduce.check_allreduce())
    assert line.startswith("FAIL all-reduce nccl, 4 GPUs: Cuda failure 'peer access is not supp")
    assert all(
        name in line for name in ("NCCL_DEBUG_FILE", "NCCL_SOCKET_IFNAME", "NCCL_P2P_DISABLE")
    )


def test_a_wrong_sum_is_told(monkeypatch):
    monkeypatch.setattr(signal, "alarm", lambda seconds: None)
    monkeypatch.setattr(torch.distributed, "init_process_group", lambda *_, **__: None)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda tensor: tensor.fill_(2.0))
    with pytest.raises(RuntimeError, match=r"the sum is 2.0 in place of 3.0"):
        allreduce.take_part(0, "gloo", 2, "nowhere")


def test_of_several_processes_the_one_that_fails_first_is_told(forked, monkeypatch):
    def one_breaks(tensor):
        if int(tensor[0]) == 2:
            raise RuntimeError("this link is broken")
        time.sleep(600)

    monkeypatch.setattr(torch.distributed, "all_reduce", one_breaks)
    with pytest.raises(Exception, match=r"RuntimeError: this link is broken\n$"):
        allreduce.all_reduce("gloo", 2)


def test_a_process_whose_partner_never_comes_gives_up(monkeypatch, tmp_path):
    monkeypatch.setattr(allreduce, "SECONDS", 1)
    raised = tmp_path / "raised"

    def wait_alone():
        try:
            allreduce.take_part(0, "gloo", 2, f"file://{tmp_path}/meeting")
        except Exception as error:
            raised.write_text(str(error).lower())

    with fork(wait_alone) as code:
        assert code == 0
    assert "wait timeout" in raised.read_text()


def test_a_process_that_hangs_in_a_library_is_killed(monkeypatch):
    monkeypatch.setattr(allreduce, "SECONDS", 1)
    monkeypatch.setattr(allreduce, "BACKSTOP", 0)
    monkeypatch.setattr(torch.distributed, "init_process_group", lambda *_, **__: time.sleep(600))
    with fork(lambda: allreduce.take_part(0, "gloo", 2, "nowhere")) as code:
        assert code == -signal.SIGALRM


def test_hanging_processes_are_told_in_seconds(forked, gpus, program, monkeypatch):
    monkeypatch.setattr(allreduce, "SECONDS", 1)
    monkeypatch.setattr(allreduce, "BACKSTOP", 0)
    monkeypatch.setattr(torch.distributed, "init_process_group", lambda *_, **__: time.sleep(600))
    with pytest.raises(ProcessExitedException) as hung:
        allreduce.all_reduce("gloo", 2)
    gpus(0)
    program[1][:] = [ProgramFailed(str(hung.value))]
    assert "two processes on the CPU (no GPU is visible): no answer within 1 s." in only(
        allreduce.check_allreduce()
    )
