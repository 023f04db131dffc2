"""The Slurm engine on a real Slurm of two nodes: the contract of all engines, and what only a cluster does."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import slurmkit
import test_engine_contract as contract
import test_engine_limits as limits
from slurmkit import Slurm

from runners.engines._slurm_settings import Settings
from runners.engines.base import Exit, Job, Limits
from runners.engines.slurm import SlurmEngine
from runners.errors import RetryableError
from tests.conftest import need

#: Walls of the compute node's own engine that Slurm has no part in; the suite tries them on that engine itself.
_INNER = (
    "abstract", "as_a_sum", "can_be_run", "channel_s_folder", "count_as_memory", "dangerous", "descriptor", "dev_shm",
    "device_cannot", "empty_files", "file_beyond", "host_s_kernel", "number_of_processes", "processor", "self_test",
    "set_user_id", "tmp_has_its_size",
)  # fmt: skip
# One suite for every engine: the rest of it here again, on compute nodes.
globals().update(
    {
        name: test
        for name, test in (vars(contract) | vars(limits)).items()
        if name.startswith("test_") and not any(part in name for part in _INNER)
    }
)

MIB = 2**20
LIMITS = Limits(memory=96 * MIB, cpus=1.0, seconds=40.0, tmp=4 * MIB, pids=64)
SLEEP = ("python", "-c", "import os, time; print(os.environ.get('CUDA_VISIBLE_DEVICES'), flush=True); time.sleep(3600)")


@pytest.fixture(scope="module")
def slurm() -> Iterator[Slurm]:
    lacking = slurmkit.missing()
    need(not lacking, f"Slurm ({', '.join(lacking)})", switch="REQUIRE_SLURM")
    with Slurm() as running:
        yield running


@pytest.fixture
def settings(slurm: Slurm, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Settings]:
    """Settings of a submit host of this cluster."""
    for key, value in slurm.environ.items():
        monkeypatch.setenv(key, value)

    def read(**more: str) -> Settings:
        given = {"SHARED": str(slurm.shared), "HOST": "127.0.0.1", "PENDING": "30s", **more}
        # Slurm adds up what its polls see, and counts the pages that forked processes share once for each.
        given = {"OVERHEAD": "1GiB", **given}
        return Settings.read({f"TOUCHSTONE_SLURM_{key}": value for key, value in given.items()})

    return read


@pytest.fixture
def engine_name() -> str:
    """What differs between engines is that of the compute node's own."""
    return "bubblewrap"


@pytest.fixture
def engine(settings: Callable[..., Settings]) -> SlurmEngine:
    return SlurmEngine(settings())


def _job(
    name: str, argv: tuple[str, ...] = SLEEP, *, attempt: int = 1, gpus: tuple[str, ...] = (), seconds: float = 40.0
) -> Job:
    return Job(run=name, attempt=attempt, limits=replace(LIMITS, seconds=seconds), argv=argv, gpus=gpus)


def _await(condition: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.05)


def test_the_self_test_is_one_job_on_a_compute_node(slurm: Slurm, engine: SlurmEngine) -> None:
    report = engine.self_test()
    assert report.problems == ()
    assert report.ok
    assert "22." in report.version or "bubblewrap" in report.version
    assert report.isolation == "Slurm; on the compute node bubblewrap: namespaces, cgroups, seccomp"
    assert any("network" in text for text in report.not_enforced)
    assert list(slurm.shared.rglob("job.json")) == []


#: A compute node whose engine shows devices, which bubblewrap does not: it runs the step, and lets a job with one pass.
_SHOWS_DEVICES = """#!{python}
import dataclasses, runpy, sys
from runners.engines.bubblewrap import BubblewrapEngine
start = BubblewrapEngine.start
BubblewrapEngine.start = lambda self, job: start(self, dataclasses.replace(job, gpus=()))
sys.argv = sys.argv[2:]
runpy.run_module("runners.engines._slurm_step", run_name="__main__", alter_sys=True)
"""


def test_two_jobs_have_a_device_each_and_the_third_waits(
    slurm: Slurm, settings: Callable[..., Settings], run_name: str, tmp_path: Path
) -> None:
    python = tmp_path / "python"
    python.write_text(_SHOWS_DEVICES.format(python=sys.executable))
    python.chmod(0o755)
    engine = SlurmEngine(settings(PENDING="2s", PYTHON=str(python)))
    patient = SlurmEngine(settings(PYTHON=str(python)))
    # They hold their devices until they are closed here, however long the third takes to be refused.
    first = patient.start(_job(f"{run_name}-a", gpus=("any",), seconds=3000))
    second = patient.start(_job(f"{run_name}-b", gpus=("any",), seconds=3000))
    try:
        _await(lambda: bool(first.logs() and second.logs()), "their devices", 60)
        assert {first.logs(), second.logs()} == {b"0\n", b"1\n"}
        with pytest.raises(RetryableError, match=r"within 2 s: PENDING \(Resources\)") as caught:
            engine.start(_job(f"{run_name}-c", gpus=("any",)))
        assert caught.value.code == "no_capacity"
        first.close()
        third = patient.start(_job(f"{run_name}-d", gpus=("any",)))
        try:
            assert third.waited > 0
            _await(lambda: bool(third.logs()), "its device")
        finally:
            third.close()
    finally:
        first.close()
        second.close()


def test_a_lost_node_is_told_and_left_out_next_time(slurm: Slurm, engine: SlurmEngine, run_name: str) -> None:
    sandbox = engine.start(_job(run_name))
    victim = sandbox.node
    try:
        slurm.kill_node(victim)
        sandbox.kill()  # as the judge does where the conversation broke: that must not pass for an end of our making
        assert sandbox.poll() == Exit(None, lost=True)
    finally:
        sandbox.close()
    again = engine.start(_job(run_name, attempt=2))
    try:
        assert again.node in slurmkit.NODES
        assert again.node != victim
        assert again.poll() is None
    finally:
        again.close()
        slurm.revive(victim)


def test_cancelled_by_an_operator_is_lost(slurm: Slurm, engine: SlurmEngine, run_name: str) -> None:
    sandbox = engine.start(_job(run_name))
    try:
        slurm.run("scancel", sandbox.job)
        ended = sandbox.wait(20)
    finally:
        sandbox.close()
    assert ended is not None
    assert ended.lost
    assert not ended.memory


def test_a_step_that_dies_alone_is_lost(engine: SlurmEngine, run_name: str, slurm: Slurm) -> None:
    """Not a node, not an operator: our own program fell over, and its sandbox with it."""
    sandbox = engine.start(_job(run_name))
    try:
        slurm.run("scancel", "--signal=KILL", "--batch", sandbox.job)
        ended = sandbox.wait(20)
    finally:
        sandbox.close()
    assert ended is not None
    assert ended.lost


#: A compute node where the user may make no cgroups.
_NO_CGROUPS = """#!{python}
import runpy, sys
from runners.engines import _cgroups
_cgroups.parents = dict
sys.argv = sys.argv[2:]
runpy.run_module("runners.engines._slurm_step", run_name="__main__", alter_sys=True)
"""


def test_memory_that_slurm_counts_is_memory(settings: Callable[..., Settings], run_name: str, tmp_path: Path) -> None:
    """Where the compute node's engine cannot limit memory, Slurm does: here by a share too small for the step."""
    python = tmp_path / "python"
    python.write_text(_NO_CGROUPS.format(python=sys.executable))
    python.chmod(0o755)
    engine = SlurmEngine(settings(OVERHEAD="1MiB", PYTHON=str(python)))
    hog = "import time\nx = bytearray(80 * 2**20); x[::4096] = b'x' * len(x[::4096]); time.sleep(30)"
    sandbox = engine.start(_job(run_name, ("python", "-c", hog)))
    try:
        ended = sandbox.wait(25)
    finally:
        sandbox.close()
    assert ended == Exit(137, memory=True)


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ({"OPTIONS": "--partition=nowhere"}, "node_misconfigured", "invalid partition"),
        ({"GRES": "gpu:h900"}, "slurm_no_such_node", "Requested node configuration is not available"),
    ],
    ids=["partition", "device"],
)
def test_what_slurm_refuses_is_the_node_s_fault(
    settings: Callable[..., Settings], run_name: str, options: dict[str, str], code: str, words: str
) -> None:
    engine = SlurmEngine(settings(**options))
    with pytest.raises(RetryableError, match=words) as caught:
        engine.start(_job(run_name, gpus=("any",)))
    assert caught.value.code == code
    assert engine.reap([]) == []


def test_a_judge_that_is_gone_takes_its_job_along(slurm: Slurm, engine: SlurmEngine, run_name: str) -> None:
    child = os.fork()
    if child == 0:
        try:
            engine.start(_job(run_name))
        finally:
            os._exit(0)  # as a killed judge: nothing is closed
    os.waitpid(child, 0)
    _await(lambda: not slurm.jobs(), "the end of its job")
    assert engine.reap([]) == []
    assert list((slurm.shared).rglob("job.json")) == []


def test_nothing_secret_is_in_slurm_s_records(slurm: Slurm, engine: SlurmEngine, run_name: str, tmp_path: Path) -> None:
    sandbox = engine.start(_job(run_name))
    try:
        files = list(slurm.shared.rglob("job.json"))
        assert [path.stat().st_mode & 0o777 for path in files] == [0o600]
        secret = files[0].read_text().partition('"secret":"')[2][:64]
        assert len(secret) == 64
        known = slurm.run("scontrol", "show", "job", sandbox.job)
        known += slurm.run("scontrol", "write", "batch_script", sandbox.job, "-")
        assert run_name in known
        assert secret not in known
        lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
        assert not any(secret.encode() in line for line in lines)
    finally:
        sandbox.close()
