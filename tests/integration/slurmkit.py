"""A real Slurm of two nodes on this host, in a folder of its own: munged, slurmctld, two slurmd, two made-up GPUs.

    with Slurm() as slurm:
        subprocess.run(["sinfo"], env={**os.environ, **slurm.environ})

Needs root and Debian's slurm-wlm and munge. It stops only what it started.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from pwd import getpwnam
from typing import Self

import psutil

from scripts.processes import spawn
from tests.integration.waiting import said, until

NEEDS = ("slurmctld", "slurmd", "munged", "sbatch", "scontrol", "squeue", "scancel")
NODES = ("n1", "n2")
_PATIENCE = 30.0
_CONF = """
ClusterName=touchstone
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={controller}
SlurmUser=root
SlurmdUser=root
AuthInfo=socket={folder}/munge/socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/controller.pid
SlurmdPidFile={folder}/node.%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerNode=500
GresTypes=gpu
ReturnToService=2
MpiDefault=none
JobRequeue=1
SlurmdTimeout=5
SlurmdParameters=config_overrides
KillWait=2
MinJobAge=300
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,sched_interval=1
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={n1} CPUs=4 RealMemory=6000 Gres=gpu:2
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={n2} CPUs=4 RealMemory=6000
PartitionName=main Nodes=n1,n2 Default=YES State=UP
"""


def missing() -> list[str]:
    """What this machine lacks to run it; empty where nothing."""
    found = [name for name in NEEDS if shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is None]
    return found + (["root"] if os.geteuid() != 0 else [])


class Slurm:
    """Starts on entry, stops and removes everything on exit. `folder` is below /tmp, for munge passes through it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="touchstone-slurm-"))
        self.folder.chmod(0o711)
        self.conf = self.folder / "slurm.conf"
        self.shared = self.folder / "shared"
        self.environ = {"SLURM_CONF": str(self.conf)}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        try:
            self._write()
            self._munge()
            self._start("slurmctld", "slurmctld", "-D")
            for node in NODES:
                self.start_node(node)
            self._until(lambda: self.states() == dict.fromkeys(NODES, "idle"), "two idle nodes")
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def run(self, *argv: str) -> str:
        """The output of one of Slurm's commands."""
        try:
            done = subprocess.run(argv, env={**os.environ, **self.environ}, capture_output=True, text=True, timeout=60)
        except subprocess.TimeoutExpired:
            log = said([self.folder / "slurmctld.log"])
            raise AssertionError(f"{' '.join(argv)} did not end within 60 s{log}") from None
        assert done.returncode == 0, f"{argv}: {done.stderr}"
        return done.stdout

    def states(self) -> dict[str, str]:
        """The state of each node as `sinfo` tells it."""
        with suppress(AssertionError):  # the controller is not up yet
            return dict(line.split() for line in self.run("sinfo", "--noheader", "-N", "-o", "%N %T").splitlines())
        return {}

    def jobs(self) -> dict[str, str]:
        """State by job id, of the jobs that wait or run."""
        return dict(line.split() for line in self.run("squeue", "--noheader", "-o", "%i %T").splitlines())

    def runs_anything(self) -> bool:
        """Whether a process of a job is there to be killed."""
        return bool(self._steps())

    def start_node(self, name: str) -> None:
        """Start a node's daemon, for the first time or after `kill_node`."""
        self._start(name, "slurmd", "-D", "-N", name)

    def kill_node(self, name: str) -> None:
        """SIGKILL the daemon and all that runs on the node, as a power cut would."""
        process = self._processes.pop(name)
        process.send_signal(signal.SIGKILL)
        self._wait(name, process)
        steps = [process for process, node in self._steps() if node == name]
        assert steps, f"nothing ran on {name}"
        for process in steps:
            _kill(process)

    def revive(self, name: str) -> None:
        """Start a killed node again and wait until it takes jobs."""
        self.start_node(name)
        self._until(lambda: self.states().get(name) == "idle", f"{name} idle again")

    def stop(self) -> None:
        """Stop everything. Safe to repeat."""
        with suppress(AssertionError, OSError, subprocess.SubprocessError):
            self.run("scancel", "--quiet", "--user=root", "--signal=KILL", "--full")
        killed = {name: self._processes.pop(name) for name in tuple(self._processes)}
        for process in killed.values():
            process.kill()
        for step, _ in self._steps():
            _kill(step)
        for name, process in killed.items():
            self._wait(name, process)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _steps(self) -> list[tuple[psutil.Process, str]]:
        """Processes of jobs and their node, which they know by their environment; supervisors first."""
        found: list[tuple[psutil.Process, str]] = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if process.name().startswith("slurmstepd"):
                    if self._is_ours(process):
                        found.insert(0, (process, _node_of(process)))
                    continue
                environ = process.environ()
                if environ.get("SLURM_CONF") == str(self.conf) and (node := environ.get("SLURMD_NODENAME")):
                    found.append((process, node))
        return found

    def _is_ours(self, process: psutil.Process) -> bool:
        """A supervisor's environment says nothing, but it writes to files of its job, in our folder."""
        links = Path(f"/proc/{process.pid}/fd").iterdir()
        return any(os.readlink(link).startswith(f"{self.folder}/") for link in links)

    def _write(self) -> None:
        ports = _free_ports(3)
        text = _CONF.format(
            folder=self.folder, host=socket.gethostname(), controller=ports[0], n1=ports[1], n2=ports[2]
        )
        self.conf.write_text(text.lstrip())
        self.shared.mkdir(mode=0o700)
        (self.folder / "state").mkdir()
        lines = []
        for number in range(2):
            device = self.folder / f"nvidia{number}"
            os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
            lines.append(f"NodeName=n1 Name=gpu File={device}")
        (self.folder / "gres.conf").write_text("\n".join(lines) + "\n")

    def _munge(self) -> None:
        user = getpwnam("munge")
        home = self.folder / "munge"
        home.mkdir()
        (home / "key").write_bytes(os.urandom(1024))
        for path, mode in ((home, 0o755), (home / "key", 0o400)):
            os.chown(path, user.pw_uid, user.pw_gid)
            path.chmod(mode)
        argv = ["munged", "--foreground", f"--key-file={home}/key", f"--socket={home}/socket"]
        argv += [f"--pid-file={home}/pid", f"--log-file={home}/log", f"--seed-file={home}/seed"]
        log = self.folder / "munged.log"
        self._processes["munged"] = spawn(argv, log=log, user=user.pw_uid, group=user.pw_gid, death=signal.SIGKILL)
        self._until((home / "socket").exists, "munge's socket")

    def _start(self, name: str, *argv: str) -> None:
        env = {**os.environ, **self.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}
        log = self.folder / f"{name}.log"
        self._processes[name] = spawn(argv, log=log, env=env, death=signal.SIGKILL)

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        until(condition, what, seconds=_PATIENCE, logs=sorted(self.folder.glob("*.log")))

    def _wait(self, name: str, process: subprocess.Popen[bytes]) -> None:
        """For a process that was killed: only one that hangs in the kernel does not end."""
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            log = said([self.folder / f"{name}.log"])
            raise AssertionError(f"{name} was killed and did not end within {_PATIENCE:g} s{log}") from None


def _kill(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        process.kill()


def _node_of(supervisor: psutil.Process) -> str:
    """What a supervisor started names the node; "" where all of that has ended."""
    for child in supervisor.children(recursive=True):
        with suppress(psutil.Error, OSError):
            if named := child.environ().get("SLURMD_NODENAME"):
                return str(named)
    return ""


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(closing(socket.socket())) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
