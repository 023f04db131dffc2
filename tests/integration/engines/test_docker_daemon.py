"""A daemon that is killed and comes back, and a node that has GPUs: on a daemon of the test's own."""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from docker.errors import APIError
from dockerdkit import IMAGE, Daemon
from enginekit import MIB, wait_for

from runners.engines import _docker_test
from runners.engines._docker_runtime import Runtime
from runners.engines.base import Exit, Job, Limits, Sandbox
from runners.engines.docker import BASE_IMAGE, DockerEngine
from runners.errors import RetryableError

pytestmark = [
    pytest.mark.docker,
    # The client leaves the socket of a refused connection to the garbage collector.
    pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"),
]

LIMITS = Limits(memory=64 * MIB, cpus=1.0, seconds=60, tmp=MIB)
GPU = "GPU-5eed0000-1111-2222-3333-444444444444"


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    present = os.geteuid() == 0 and shutil.which("dockerd") is not None and shutil.which("ip") is not None
    if not present:
        what = "a second daemon needs root, dockerd and ip"
        if os.environ.get("CI") or os.environ.get("REQUIRE_DOCKER") == "1":
            pytest.fail(what)
        pytest.skip(what)
    made = Daemon()
    try:
        made.make()
        yield made
    finally:
        made.remove()


@pytest.fixture
def engine(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> Iterator[DockerEngine]:
    monkeypatch.setenv("DOCKER_HOST", daemon.host)
    made = DockerEngine(runtime=IMAGE, base=IMAGE, runtime_name="")
    yield made
    made.close()
    gc.collect()


def _job(run: str, script: str, **more: Any) -> Job:
    return Job(run=run, attempt=1, limits=LIMITS, argv=("/bin/sh", "-c", script), **more)


class Watcher(threading.Thread):
    """Waits for a sandbox's end as a judge does, whatever the daemon does meanwhile."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(daemon=True)
        self.sandbox = sandbox
        self.ended: Exit | None = None
        self.error: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            while self.ended is None:
                self.ended = self.sandbox.wait(60)
        except Exception as error:
            self.error = error

    def result(self) -> Exit:
        self.join(45)
        assert self.error is None, self.error
        assert self.ended is not None, "it still waits"
        return self.ended


def _gate(tmp_path: Path) -> Path:
    """A folder that the sandbox sees at /submission: what appears in it lets the script go on."""
    tmp_path.chmod(0o755)
    return tmp_path


WAITS = "echo before; while [ ! -e /submission/go ]; do sleep 0.1; done; echo after; exit 7"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_sandbox_outlives_its_daemon(
    daemon: Daemon, engine: DockerEngine, run_name: str, tmp_path: Path, number: signal.Signals
) -> None:
    sandbox = engine.start(_job(run_name, WAITS, folder=_gate(tmp_path)))
    wait_for(lambda: b"before" in sandbox.logs())
    watcher = Watcher(sandbox)
    daemon.stop(number)
    daemon.start()
    assert sandbox.poll() is None
    (tmp_path / "go").touch()
    assert watcher.result() == Exit(7)
    assert sandbox.logs().split() == [b"before", b"after"]
    sandbox.close()
    assert engine.client.containers(all=True) == []


def test_one_that_ends_while_the_daemon_is_away_is_never_mistaken(
    daemon: Daemon, engine: DockerEngine, run_name: str, tmp_path: Path
) -> None:
    sandbox = engine.start(_job(run_name, WAITS, folder=_gate(tmp_path)))
    wait_for(lambda: b"before" in sandbox.logs())
    pid = engine.client.inspect_container(f"touchstone-{run_name}")["State"]["Pid"]
    watcher = Watcher(sandbox)
    daemon.stop(signal.SIGKILL)
    (tmp_path / "go").touch()
    wait_for(lambda: not Path(f"/proc/{pid}").exists())
    daemon.start()
    ended = watcher.result()
    assert ended.lost or ended == Exit(7), "its own code, or nobody's fault"
    sandbox.close()


def test_a_kill_asked_while_the_daemon_is_away_is_done_when_it_is_back(
    daemon: Daemon, engine: DockerEngine, run_name: str
) -> None:
    sandbox = engine.start(_job(run_name, "sleep 60"))
    daemon.stop(signal.SIGKILL)
    killer = threading.Thread(target=sandbox.close, daemon=True)
    killer.start()
    time.sleep(0.5)  # it is asking
    daemon.start()
    killer.join(40)
    assert not killer.is_alive()
    ended = sandbox.poll()
    assert ended is not None
    assert (ended.killed, ended.lost, ended.timeout) == (True, False, False)
    assert engine.client.containers(all=True) == []


def test_a_daemon_that_comes_back_without_the_container_has_lost_it(
    daemon: Daemon, engine: DockerEngine, run_name: str
) -> None:
    sandbox = engine.start(_job(run_name, "sleep 60"))
    container = engine.client.inspect_container(f"touchstone-{run_name}")["Id"]
    watcher = Watcher(sandbox)
    daemon.stop(signal.SIGKILL)
    daemon.forget(container)
    daemon.start()
    ended = watcher.result()
    assert ended.lost
    assert not ended.memory
    sandbox.close()


def test_a_start_is_not_done_twice(
    daemon: Daemon, engine: DockerEngine, run_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon that starts a container and dies before it says so."""
    real, calls = engine.client.start, []

    def start(container: str) -> None:
        calls.append(container)
        real(container)
        raise ConnectionResetError("the daemon is gone")

    monkeypatch.setattr(engine.client, "start", start)
    sandbox = engine.start(_job(run_name, "echo once"))
    assert sandbox.wait(20) == Exit(0)
    assert len(calls) == 1
    assert sandbox.logs() == b"once\n"
    sandbox.close()


def test_a_device_is_given_by_its_uuid(daemon: Daemon, engine: DockerEngine, run_name: str) -> None:
    """The daemon's own driver for NVIDIA's devices runs; only the hook at its end is ours."""
    sandbox = engine.start(_job(run_name, "echo devices $NVIDIA_VISIBLE_DEVICES", gpus=(GPU,)))
    assert sandbox.wait(20) == Exit(0)
    assert sandbox.logs().split() == [b"devices", GPU.encode()]
    sandbox.close()
    told = [json.loads(line) for line in daemon.hook_log.read_text().splitlines()]
    assert told == [{"arguments": ["prestart"], "devices": GPU}]


def test_without_a_device_the_hook_is_not_called(daemon: Daemon, engine: DockerEngine, run_name: str) -> None:
    daemon.hook_log.unlink(missing_ok=True)
    sandbox = engine.start(_job(run_name, "echo devices $NVIDIA_VISIBLE_DEVICES"))
    assert sandbox.wait(20) == Exit(0)
    assert sandbox.logs().split() == [b"devices"]
    sandbox.close()
    assert not daemon.hook_log.exists()


def _misconfigured(engine: DockerEngine, job: Job) -> str:
    with pytest.raises(RetryableError) as caught:
        engine.start(job)
    assert caught.value.code == "node_misconfigured"
    assert f"/touchstone-{job.run}" not in [c["Names"][0] for c in engine.client.containers(all=True)]
    return caught.value.message


def test_a_device_that_is_not_there_is_the_node_s_fault(engine: DockerEngine, run_name: str) -> None:
    said = _misconfigured(engine, _job(run_name, "echo", gpus=("GPU-0000",)))
    assert "GPU-0000: unknown device" in said


def test_a_node_without_a_driver_is_misconfigured(docker_engine: DockerEngine, run_name: str) -> None:
    """The host's own daemon, which has no hook."""
    if shutil.which("nvidia-container-runtime-hook") is not None:
        pytest.skip("this host has NVIDIA's container toolkit")
    said = _misconfigured(docker_engine, _job(run_name, "echo", gpus=(GPU,)))
    assert "could not select device driver" in said


def test_a_runtime_that_went_away_is_the_node_s_fault(
    docker_engine: DockerEngine, run_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docker_engine, "_found", Runtime("gone"))
    assert "gone" in _misconfigured(docker_engine, _job(run_name, "echo"))


def test_gvisor_without_its_proxy_shows_no_device(gvisor_engine: DockerEngine, run_name: str) -> None:
    assert "--nvproxy" in _misconfigured(gvisor_engine, _job(run_name, "echo", gpus=(GPU,)))
    told = _docker_test._not_enforced(gvisor_engine.container_runtime, gvisor_engine.client.info(), {})
    assert any("GPU" in line for line in told)


def test_a_runtime_that_the_daemon_lacks_is_told_with_the_remedy(daemon: Daemon, engine: DockerEngine) -> None:
    missing = DockerEngine(runtime_name="runsc")
    report = missing.self_test()
    missing.close()
    assert not report.ok
    (problem,) = report.problems
    assert "no runtime 'runsc'" in problem
    assert "daemon.json" in problem
    settings = json.loads(problem[problem.index("{") :])
    assert "--fsgofer-host-uds" in settings["runtimes"]["runsc"]["runtimeArgs"]


def test_a_folder_s_name_is_no_fault_of_the_node(docker_engine: DockerEngine, run_name: str) -> None:
    """Else a participant could have a node taken out of service."""
    client = docker_engine.client
    if not docker_engine.has_image(BASE_IMAGE):
        pytest.skip(f"no image {BASE_IMAGE}; run `make image-base`")
    made = client.create_container(image=BASE_IMAGE, command=["true"])
    tag = f"{run_name}:1"
    client.commit(made["Id"], repository=run_name, tag="1", changes='WORKDIR "/etc/passwd/no space left on device"')
    client.remove_container(made["Id"])
    try:
        with pytest.raises(Exception, match="could not be started") as caught:
            docker_engine.start(Job(run=run_name, attempt=1, limits=LIMITS, image=tag))
        assert type(caught.value).__name__ == "ParticipantFault"
        assert isinstance(caught.value.__cause__, APIError)
    finally:
        client.remove_image(tag, force=True)
