"""A Slurm of two nodes on this machine, for the time of the tests: its own configuration, key,
ports and folders.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil

NODES = ("gpu01", "gpu02")
PATIENCE = 600  # seconds to wait for anything: the machine may be busy with other tests
PROGRAMS = ("slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "munged", "mungekey")
ACCOUNTING = ("slurmdbd", "mariadbd", "mariadb-install-db", "mariadb-admin", "mariadb", "sacctmgr")

SLURM = """\
ClusterName=bioner
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={base}/munge/socket,cred_expire=5
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
GresTypes=gpu
MailProg=/bin/true
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
ReturnToService=2
SlurmdParameters=config_overrides
StateSaveLocation={base}/state
SlurmdSpoolDir={base}/spool/%n
SlurmctldPidFile={base}/run/slurmctld.pid
SlurmdPidFile={base}/run/slurmd-%n.pid
SlurmctldLogFile={base}/log/slurmctld.log
SlurmdLogFile={base}/log/slurmd-%n.log
SlurmctldTimeout=300
SlurmdTimeout=300
KillWait=10
MinJobAge=7200
{accounting}
NodeName={nodes} NodeHostname={host} NodeAddr=127.0.0.1 Port=[{ports[1]}-{ports[2]}] CPUs=16 \
Sockets=1 CoresPerSocket=16 ThreadsPerCore=1 RealMemory=512000 Gres=gpu:h100:4 State=UNKNOWN
PartitionName=cpu Nodes=ALL Default=YES MaxTime=1-00:00:00 PriorityTier=1 State=UP
PartitionName=gpu Nodes=ALL MaxTime=1-00:00:00 PriorityTier=1 State=UP
PartitionName=urgent Nodes=ALL MaxTime=1-00:00:00 PriorityTier=9 PreemptMode=OFF State=UP
"""
DBD = """\
AuthType=auth/munge
AuthInfo=socket={base}/munge/socket
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={ports[3]}
SlurmUser={user}
LogFile={base}/log/slurmdbd.log
PidFile={base}/run/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={ports[4]}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct_db
"""


def why_not(accounting: bool = False) -> str | None:
    """Why no Slurm can be started here; None where it can."""
    for program in PROGRAMS + (ACCOUNTING if accounting else ()):
        if shutil.which(program) is None:
            return (
                f"{program} is not installed (Debian: slurm-wlm munge, with accounting slurmdbd"
                " mariadb-server)"
            )
    if os.geteuid() != 0:
        return "a node's daemon starts jobs as root alone"
    for path in ("/etc/slurm/slurm.conf", "/etc/slurm-llnl/slurm.conf"):
        if Path(path).exists():
            return f"this machine has a Slurm of its own ({path})"
    if "SLURM_CONF" in os.environ:
        return "this machine has a Slurm of its own (SLURM_CONF is set)"
    ours = psutil.Process().children(recursive=True)  # a test's own
    for found in psutil.process_iter():
        if (
            found.name() in ("slurmctld", "slurmd")
            and found.status() != psutil.STATUS_ZOMBIE
            and found not in ours
        ):
            return f"a Slurm is running on this machine ({found.name()})"
    return None


class Cluster:
    """Two nodes with four pretended H100 each; partitions cpu, gpu, and urgent, whose jobs preempt
    the others'.
    """

    def __init__(self, base: Path, accounting: bool = False) -> None:
        self.base, self.accounting = base, accounting
        path = os.pathsep.join([str(base / "bin"), os.environ["PATH"]])
        self.environ = os.environ | {"SLURM_CONF": str(base / "etc/slurm.conf"), "PATH": path}
        self.daemons: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start everything, and wait until both nodes are idle."""
        for folder in ("bin", "etc", "state", "log", "run", "spool", "munge"):
            (self.base / folder).mkdir(parents=True)
        for folder in (self.base, self.base / "munge"):
            folder.chmod(0o711)  # munge's clients must pass
        # The executor plugin takes SLURM_CONF from its job steps, and from Snakemake in a job: they
        # would look for the machine's own configuration.
        for name in (
            "sbatch",
            "scancel",
            "scontrol",
            "sacct",
            "sacctmgr",
            "sinfo",
            "squeue",
            "srun",
            "sshare",
        ):
            if program := shutil.which(name):
                wrapper = self.base / "bin" / name
                wrapper.write_text(
                    f'#!/bin/sh\nSLURM_CONF={self.base}/etc/slurm.conf exec {program} "$@"\n'
                )
                wrapper.chmod(0o755)
        ports, host = _free_ports(), socket.gethostname().split(".")[0]
        known = {
            "base": self.base,
            "ports": ports,
            "host": host,
            "user": "root",
            "nodes": "gpu[01-02]",
        }
        storage = (
            "AccountingStorageType=accounting_storage/slurmdbd\nAccountingStorageHost=127.0.0.1\n"
            f"AccountingStoragePort={ports[3]}\nAccountingStorageTRES=gres/gpu,gres/gpu:h100\n"
            # the munge that speaks for clients of slurmdbd
            f"AccountingStoragePass={self.base}/munge/socket"
            if self.accounting
            else f"JobCompType=jobcomp/filetxt\nJobCompLoc={self.base}/log/jobs"
        )
        self._write("slurm.conf", SLURM.format(**known, accounting=storage))
        self._write(
            "gres.conf",
            f"NodeName={known['nodes']} Name=gpu Type=h100 File={self.base}/run/card[0-3]\n",
        )
        self._write("cgroup.conf", "CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n")
        self._write("plugstack.conf", "")
        for number in range(4):  # Slurm asks only whether they are there
            os.mknod(self.base / f"run/card{number}", 0o20666, os.makedev(1, 3))
        munge = self.base / "munge"
        self.run("mungekey", "--create", "--keyfile", str(munge / "key"))
        files = {name: munge / name for name in ("key-file", "log-file", "pid-file", "seed-file")}
        files["key-file"] = munge / "key"
        self._daemon(
            "munged",
            "--foreground",
            f"--socket={munge}/socket",
            *(f"--{k}={v}" for k, v in files.items()),
        )
        self._until(lambda: (munge / "socket").exists())
        if self.accounting:
            self._start_accounting(known, ports)
        self.start_controller()
        for node in NODES:
            self._daemon("slurmd", "-D", "-N", node)
        self._until(
            lambda: self.run("sinfo", "-h", "-N", "-p", "cpu", "-o", "%t").split() == ["idle"] * 2
        )

    def start_controller(self) -> None:
        """Start slurmctld, and wait until it answers."""
        self.controller = self._daemon("slurmctld", "-D")
        self._until(lambda: "UP" in self.run("scontrol", "ping", check=False))

    def stop_controller(self) -> None:
        """End slurmctld, as for maintenance; jobs go on."""
        self.controller.terminate()
        self.controller.wait(PATIENCE)

    def stop(self) -> None:
        """End all jobs and daemons that this object started."""
        with contextlib.suppress(
            subprocess.TimeoutExpired
        ):  # without a controller it would wait for one
            self.run("scancel", "--user=root", check=False, timeout=20)
            time.sleep(1)
        for daemon in reversed(self.daemons):
            daemon.terminate()
            try:
                daemon.wait(15)
            except subprocess.TimeoutExpired:
                daemon.kill()
        for found in (
            psutil.process_iter()
        ):  # step daemons stand alone, and so do processes of nodes that were lost
            if found.pid != os.getpid() and str(self.base) in self._environment(found):
                found.kill()

    def run(self, *command: str, check: bool = True, timeout: float = PATIENCE) -> str:
        """What one of Slurm's commands prints."""
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env=self.environ, timeout=timeout
        )
        assert not check or done.returncode == 0, (command, done.stderr)
        return done.stdout

    def jobs(self, rule: str = "", state: str = "all") -> list[dict[str, str]]:
        """Jobs as `scontrol show job` has them, those whose comment begins with that rule, oldest
        first.
        """
        ids = [
            line.split("|")[0]
            for line in self.run(
                "squeue", "-h", "-t", state, "-o", "%A|%k", check=False
            ).splitlines()
            if line.partition("|")[2].startswith(f"rule_{rule}")
        ]
        shown = [
            self.run("scontrol", "-o", "show", "job", id_, check=False)
            for id_ in sorted(ids, key=int)
        ]
        return [
            dict(word.partition("=")[::2] for word in text.split() if "=" in word)
            for text in shown
            if text
        ]

    def _start_accounting(self, known: dict[str, object], ports: list[int]) -> None:
        data = self.base / "mysql"
        data.mkdir()
        shutil.chown(data, "mysql")
        for folder in [self.base, *self.base.parents]:
            folder.chmod(folder.stat().st_mode | 0o11)  # mysql must pass
        install = ("mariadb-install-db", "--user=mysql", f"--datadir={data}", "--skip-test-db")
        self.run(*install, "--auth-root-authentication-method=normal")
        at = f"--socket={data}/socket"
        options = (
            f"--datadir={data}",
            at,
            f"--pid-file={data}/pid",
            "--bind-address=127.0.0.1",
            f"--port={ports[4]}",
        )
        self._daemon("mariadbd", "--no-defaults", "--user=mysql", *options)
        self._until(lambda: "alive" in self.run("mariadb-admin", at, "-uroot", "ping", check=False))
        grants = "create database slurm_acct_db;" + "".join(
            f"create user 'slurm'@'{host}' identified by 'slurm'; grant all on slurm_acct_db.* to"
            f" 'slurm'@'{host}';"
            for host in ("localhost", "127.0.0.1")
        )
        self.run("mariadb", at, "-uroot", "-e", grants)
        self._write("slurmdbd.conf", DBD.format(**known))
        (self.base / "etc/slurmdbd.conf").chmod(0o600)
        self._daemon("slurmdbd", "-D")
        self._until(lambda: "stats output" in self.run("sacctmgr", "show", "stats", check=False))
        self.run("sacctmgr", "-i", "add", "cluster", "bioner", check=False)
        self.run(
            "sacctmgr", "-i", "add", "account", "bench", "Description=bench", "Organization=bench"
        )
        self.run("sacctmgr", "-i", "add", "user", "root", "Account=bench")

    def _write(self, name: str, text: str) -> None:
        (self.base / "etc" / name).write_text(text, encoding="utf-8")

    def _daemon(self, *command: str) -> subprocess.Popen[bytes]:
        with (self.base / "log" / f"{command[0]}.out").open("ab") as log:
            daemon = subprocess.Popen(
                command, stdout=log, stderr=log, env=self.environ, start_new_session=True
            )
        self.daemons.append(daemon)
        return daemon

    def _until(self, done: Callable[[], bool]) -> None:
        until(
            done,
            lambda: "\n".join(path.read_text()[-2000:] for path in (self.base / "log").iterdir()),
        )

    def _environment(self, process: psutil.Process) -> str:
        try:
            return " ".join(process.environ().values())
        except psutil.Error:
            return ""


def until(done: Callable[[], object], told: Callable[[], object] = lambda: "") -> None:
    """Wait until `done`, and fail with what `told` tells where that takes too long."""
    end = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < end, f"not within {PATIENCE} s\n{told()}"
        time.sleep(0.3)


def kill(process: subprocess.Popen[str], number: int = signal.SIGKILL) -> None:
    """Send a signal, and wait for the end."""
    process.send_signal(number)
    process.wait(PATIENCE)


def _free_ports() -> list[int]:
    """Five free ports, the second and third side by side."""
    probes = []
    try:
        for start in range(20_000, 60_000, 10):
            probes = [socket.socket() for _ in range(5)]
            try:
                for number, probe in enumerate(probes):
                    probe.bind(("127.0.0.1", start + number))
                return list(range(start, start + 5))
            except OSError:
                for probe in probes:
                    probe.close()
    finally:
        for probe in probes:
            probe.close()
    raise RuntimeError("no free ports")
