"""Parts of the engines that need no sandbox."""

from __future__ import annotations

import errno
import os
import struct
import sys
from pathlib import Path
from typing import Any

import pytest
import requests
from docker.errors import APIError

from runners.contract import EngineReport, ImagePull, Verdict
from runners.engines import _docker_api, _docker_images, _limits, _runtime, _seccomp, _self_test, choose_engine
from runners.engines._cgroups import Cgroup
from runners.engines.base import Job, Limits
from runners.engines.bubblewrap import BubblewrapEngine
from runners.engines.docker import DockerEngine
from runners.errors import ParticipantFault, RetryableError, UserError

LIMITS = Limits(memory=2**28, cpus=1.5, seconds=5, tmp=2**20)
ALLOW, KILL = 0x7FFF0000, 0x80000000
X86_64 = 0xC000003E


def _verdict(number: int, first: int = 0, arch: int = X86_64) -> int:
    """Carry the filter out as the kernel would: classic BPF over `struct seccomp_data`."""
    program = _seccomp.program()
    steps = [struct.unpack_from("HBBI", program, offset) for offset in range(0, len(program), 8)]
    data = struct.pack("<IIQ6Q", number, arch, 0, first, 0, 0, 0, 0, 0)
    accumulator, at = 0, 0
    while True:
        code, if_true, if_false, operand = steps[at]
        at += 1
        if code == 0x06:
            return int(operand)
        if code == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, operand)
        else:
            holds = {0x15: accumulator == operand, 0x35: accumulator >= operand, 0x45: bool(accumulator & operand)}
            at += if_true if holds[code] else if_false


def test_the_filter_lets_ordinary_calls_pass_and_kills_a_foreign_architecture() -> None:
    for number in (
        0,
        1,
        9,
        59,
        202,
        257,
        42,
        43,
        44,
        45,
    ):  # read write mmap execve futex openat connect accept send recv
        assert _verdict(number) == ALLOW
    assert _verdict(0, arch=0x40000003) == KILL
    assert _verdict(0x40000000 | 1) == 0x50000 | errno.EPERM


@pytest.mark.parametrize("name", sorted(_seccomp.DENIED))
def test_the_filter_refuses(name: str) -> None:
    assert _verdict(_seccomp.DENIED[name]) == 0x50000 | errno.EPERM


@pytest.mark.parametrize("call", [41, 53])
def test_the_filter_allows_unix_sockets_only(call: int) -> None:
    assert _verdict(call, first=1) == ALLOW
    for family in (0, 2, 10, 16, 17, 38, 40):
        assert _verdict(call, first=family) == 0x50000 | errno.EPERM


def test_the_filter_refuses_namespaces_and_hides_clone3() -> None:
    assert _verdict(56, first=0x01200011) == ALLOW  # fork
    assert _verdict(56, first=0x3D0F00) == ALLOW  # pthread_create
    for flag in (0x10000000, 0x20000000, 0x40000000, 0x00020000, 0x04000000, 0x08000000, 0x02000000):
        assert _verdict(56, first=flag | 17) == 0x50000 | errno.EPERM
    assert _verdict(435) == 0x50000 | errno.ENOSYS


def _api_error(text: str) -> APIError:
    response = requests.Response()
    response.status_code = 500
    return APIError("500", response, text)


@pytest.mark.parametrize(
    "text",
    [
        'could not select device driver "" with capabilities: [[gpu]]',
        "Unknown runtime specified nvidia",
        "something nobody has seen",
        'failed to create shim: mkdir: no space left on device: exec: "x": no such file or directory',
    ],
)
def test_faults_of_the_node_are_retried(text: str) -> None:
    assert isinstance(_docker_api.start_fault(_api_error(text), foreign=True), RetryableError)


@pytest.mark.parametrize(
    "text",
    [
        'OCI runtime create failed: exec: "serve": executable file not found in $PATH',
        "exec /app/run: exec format error",
        "No command specified",
    ],
)
def test_faults_of_the_image_are_the_participant_s_unless_the_image_is_ours(text: str) -> None:
    fault = _docker_api.start_fault(_api_error(text), foreign=True)
    assert isinstance(fault, ParticipantFault)
    assert fault.verdict is Verdict.CRASH
    assert text in fault.message
    assert isinstance(_docker_api.start_fault(_api_error(text), foreign=False), RetryableError)


def test_a_lost_daemon_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_docker_api, "_PAUSES", (0.0, 0.0))
    calls = []

    def flaky() -> int:
        calls.append(1)
        if len(calls) < 3:
            raise requests.exceptions.ConnectionError("unexpected EOF")
        return 7

    assert _docker_api.retried(flaky) == 7

    def gone() -> int:
        raise requests.exceptions.ConnectionError("refused")

    with pytest.raises(RetryableError, match="does not answer"):
        _docker_api.retried(gone)


def test_statuses_that_mean_it_is_done_already() -> None:
    response = requests.Response()
    response.status_code = 404

    def missing() -> None:
        raise APIError("404", response, "no such container")

    assert _docker_api.settled(missing, fine=(404,)) is None
    with pytest.raises(RetryableError, match="no such container"):
        _docker_api.settled(missing, fine=(409,))


def test_the_environment_is_made_not_inherited(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SECRET", "x")
    job = Job(run="r", attempt=1, limits=LIMITS, channel=tmp_path, env={"A": "b"})
    found = _limits.environment(job)
    assert found["A"] == "b"
    assert found["OMP_NUM_THREADS"] == "2"
    assert found["TOUCHSTONE_SOCKET"] == "/run/touchstone/channel.sock"
    assert "SECRET" not in found


def test_a_worker_is_known_by_its_start_time() -> None:
    mine = _limits.worker_id()
    assert not _limits.is_gone(mine)
    host, pid, started = mine.rsplit(":", 2)
    assert _limits.is_gone(f"{host}:{pid}:{int(started) + 1}")
    assert _limits.is_gone(f"{host}:{2**22 + 1}:1")
    assert not _limits.is_gone(f"another-host:{pid}:1")
    assert not _limits.is_gone("")


def test_bubblewrap_has_no_images(tmp_path: Path) -> None:
    engine = BubblewrapEngine()
    assert not engine.has_image("sha256:1")
    # Another node may have an engine for them: never the participant's fault.
    with pytest.raises(RetryableError, match="no container engine"):
        engine.start(Job(run="r", attempt=1, limits=LIMITS, image="sha256:1"))
    with pytest.raises(RetryableError, match="no container engine"):
        engine.load_image(tmp_path / "a.tar", limit=1)
    pull = ImagePull(reference=f"registry.test/c/ann/net@sha256:{'0' * 64}")
    with pytest.raises(RetryableError, match=r"cannot pull registry\.test/c/ann/net") as caught:
        engine.pull_image(pull, limit=1)
    assert caught.value.code == "engine_use"
    with pytest.raises(RetryableError, match="no GPU"):
        engine.start(Job(run="r", attempt=1, limits=LIMITS, argv=("true",), gpus=("GPU-1",)))
    assert not engine.takes_images
    assert engine.adopt(Job(run="r", attempt=1, limits=LIMITS)) is None


def test_the_runtime_shows_sources_at_neutral_places() -> None:
    found = _runtime.describe()
    assert "/opt/touchstone/lib/runners" in found.binds.values()
    assert "/opt/touchstone/lib/touchstone_client" in found.binds.values()
    assert str(Path(sys.base_prefix)) not in " ".join([found.python, *found.env.values()]) or sys.base_prefix == "/usr"
    assert Path.home().as_posix() not in " ".join(found.env.values()) or os.geteuid() != 0


#: What a probe finds in a tight sandbox.
TIGHT: dict[str, Any] = {
    "uid": 65534, "capabilities": "0", "no_new_privileges": True, "interfaces": ["lo"], "connects": False,
    "writable": [], "tmp": True, "host_root": False, "docker_socket": False, "processes": 2,
    "mounts": False, "user_namespace": False, "environment": ["PATH"], "channel": True, "kernel": "4.4.0",
}  # fmt: skip


@pytest.mark.parametrize(
    ("finding", "text"),
    [
        ({"uid": 0}, "runs as user 0"), ({"capabilities": "3fff"}, "capabilities"),
        ({"interfaces": ["lo", "eth0"]}, "eth0"),
        ({"no_new_privileges": False}, "no-new-privileges"), ({"connects": True}, "network address"),
        ({"writable": ["/usr/x"]}, "/usr/x"), ({"tmp": False}, "/tmp"), ({"host_root": True}, "/root"),
        ({"docker_socket": True}, "Docker socket"), ({"processes": 200}, "200 processes"), ({"mounts": True}, "mount"),
        ({"user_namespace": True}, "user namespaces"), ({"environment": ["TOUCHSTONE_NODE_TOKEN"]}, "secrets"),
        ({"channel": False}, "cannot reach the platform's socket"),
    ],
)  # fmt: skip
def test_each_breach_is_named(finding: dict[str, Any], text: str) -> None:
    assert _self_test.judge(TIGHT) == []
    (problem,) = _self_test.judge({**TIGHT, **finding})
    assert text in problem


def test_a_kernel_of_its_own_must_be_one() -> None:
    assert _self_test.judge({**TIGHT, "user_namespace": True}, own_kernel=True) == []
    (problem,) = _self_test.judge({**TIGHT, "kernel": os.uname().release}, own_kernel=True)
    assert "kernel of the host" in problem
    (problem,) = _self_test.judge({**TIGHT, "channel": False}, own_kernel=True)
    assert "--fsgofer-host-uds" in problem


class _Fake:
    ok = True

    def __init__(self) -> None:
        self.name = type(self).__name__

    def self_test(self) -> EngineReport:
        return EngineReport(name=self.name, ok=self.ok)


class _Broken(_Fake):
    ok = False


def _choose(
    monkeypatch: pytest.MonkeyPatch, docker: type, bubblewrap: type, name: str = "auto"
) -> tuple[Any, list[str]]:
    monkeypatch.setattr("runners.registry.engines", lambda: {"docker": docker, "bubblewrap": bubblewrap})
    engine, reports = choose_engine(name)
    return engine, [report.name for report in reports]


def test_the_best_engine_that_passes_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, tried = _choose(monkeypatch, _Fake, _Broken)
    assert isinstance(engine, _Fake)
    assert len(tried) == 1
    engine, tried = _choose(monkeypatch, _Broken, _Fake)
    assert engine.ok
    assert len(tried) == 2
    assert _choose(monkeypatch, _Broken, _Broken)[0] is None
    assert _choose(monkeypatch, _Broken, _Fake, "docker")[0] is None
    with pytest.raises(UserError, match="no engine named 'podman'"):
        _choose(monkeypatch, _Fake, _Fake, "podman")


def test_who_asks_for_gvisor_never_gets_less(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOUCHSTONE_DOCKER_RUNTIME", "runsc")
    engine, tried = _choose(monkeypatch, _Broken, _Fake)
    assert engine is None
    assert tried == ["_Broken"]
    assert isinstance(_choose(monkeypatch, _Broken, _Fake, "bubblewrap")[0], _Fake), "it was asked for by name"
    monkeypatch.setenv("TOUCHSTONE_DOCKER_RUNTIME", " ")
    assert isinstance(_choose(monkeypatch, _Broken, _Fake)[0], _Fake)


def test_each_process_has_a_connection_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A judge that is forked from a node must not speak on the node's connection to the daemon."""
    monkeypatch.setattr("runners.engines.docker.APIClient", lambda **_: object())
    engine = DockerEngine()
    mine = engine.client
    assert engine.client is mine
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert engine.client is not mine


@pytest.mark.parametrize(("peak", "full"), [("500", True), ("1000", False)])
def test_a_full_host_is_told_from_a_full_sandbox(tmp_path: Path, peak: str, full: bool) -> None:
    (tmp_path / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 1\n")
    (tmp_path / "memory.max_usage_in_bytes").write_text(peak)
    (tmp_path / "memory.limit_in_bytes").write_text("1000")
    group = Cgroup({"memory": tmp_path, "pids": tmp_path, "cpu": tmp_path})
    assert (group.host_out_of_memory(), group.out_of_memory()) == (full, not full)


@pytest.mark.parametrize(("events", "full"), [("max 0\noom 1\noom_kill 1", True), ("max 9\noom_kill 1", False)])
def test_a_full_host_is_told_from_a_full_sandbox_v2(tmp_path: Path, events: str, full: bool) -> None:
    (tmp_path / "memory.events").write_text(events)
    group = Cgroup({"": tmp_path})
    assert (group.host_out_of_memory(), group.out_of_memory()) == (full, not full)


def test_nothing_but_visible_processes_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process of another pid namespace shows as 0, which to kill(2) is the caller's own group."""
    (tmp_path / "cgroup.procs").write_text("0\n")
    killed: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, _signal: killed.append(pid))
    assert not Cgroup({"": tmp_path}).kill(seconds=0.02)
    assert killed == []


class _Loader:
    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def load_image(self, _file: Any, quiet: bool) -> list[dict[str, str]]:
        if isinstance(self._answer, Exception):
            raise self._answer
        return [{"error": self._answer}]


@pytest.mark.parametrize(
    "answer",
    [
        "write /x: no space left on device", _api_error("write /y: no space left on device"),
        requests.exceptions.ConnectionError("refused"),
    ],
)  # fmt: skip
def test_a_node_that_cannot_take_an_image_does_not_blame_it(answer: Any, tmp_path: Path) -> None:
    with pytest.raises(RetryableError):
        _docker_images._send(_Loader(answer), None)
    with pytest.raises(UserError, match="Docker refuses"):
        _docker_images._send(_Loader(_api_error("invalid tar header")), None)
