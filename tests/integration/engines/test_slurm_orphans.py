"""A step that is killed leaves a container in the daemon's cgroup, where Slurm does not end it: what we do about it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runners.engines import _limits, _slurm_orphans
from runners.engines._runtime import runners_folder
from runners.engines.docker import DockerEngine

#: As a step does, with its watch or as one whose watch Slurm killed as well.
_STEP = """
import sys, time
from runners.engines import _limits, _slurm_orphans
from runners.engines.base import Job, Limits
from runners.engines.docker import DockerEngine
run, image, watch = sys.argv[1:]
_limits.NODE = _slurm_orphans.node_of(run)
if watch == "watch":
    _slurm_orphans.watch()
limits = Limits(memory=2**27, cpus=1.0, seconds=600.0, tmp=2**20)
DockerEngine(runtime=image).start(Job(run=run, attempt=1, limits=limits, argv=("sleep", "600")))
print("up", flush=True)
time.sleep(600)
"""


def _left(engine: DockerEngine, run: str) -> bool:
    return bool(engine.client.containers(all=True, filters={"name": f"touchstone-{run}"}))


@pytest.mark.docker
@pytest.mark.parametrize("watch", ["watch", "no"])
def test_a_killed_step_leaves_no_container(docker_engine: DockerEngine, watch: str, tmp_path: Path) -> None:
    run = f"orphan{os.getpid()}{watch}"
    environ = {**os.environ, "PYTHONPATH": str(runners_folder().parent)}
    argv = [sys.executable, "-c", _STEP, run, docker_engine._runtime, watch]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env=environ, cwd=tmp_path) as step:
        assert step.stdout is not None
        assert step.stdout.readline() == b"up\n"
        assert _slurm_orphans.reap(docker_engine) == []
        assert _left(docker_engine, run)
        step.send_signal(signal.SIGKILL)
    if watch == "no":
        assert _slurm_orphans.reap(docker_engine) == [f"touchstone-{run}"]
    deadline = time.monotonic() + 30
    while _left(docker_engine, run):
        assert time.monotonic() < deadline, "its container is still there"
        time.sleep(0.2)


def test_a_node_s_own_containers_are_none_of_a_step_s() -> None:
    assert not _slurm_orphans.is_a_step("slurm-12345678")
    assert not _slurm_orphans.is_a_step(_limits.NODE)
    assert _slurm_orphans.is_a_step(_slurm_orphans.node_of("17"))
