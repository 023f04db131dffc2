"""What the Docker engine makes of a daemon's words, without one."""

from __future__ import annotations

import base64
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
from docker.errors import APIError

from runners.engines import _docker_api, _docker_runtime, _docker_settings
from runners.engines._docker_runtime import Runtime
from runners.engines.base import Job, Limits
from runners.engines.docker import DockerEngine
from runners.errors import ParticipantFault, RetryableError

LIMITS = Limits(memory=2**28, cpus=1.5, seconds=5, tmp=2**20, pids=50)
JOB = Job(run="r", attempt=1, limits=LIMITS, argv=("true",))
RUNC, GVISOR = Runtime("runc"), Runtime("runsc", gvisor=True, gpus=False)


def _error(text: str, status: int = 500) -> APIError:
    response = requests.Response()
    response.status_code = status
    return APIError(str(status), response, text)


class _Client:
    """As much of the client as runtimes and settings ask."""

    def __init__(self, runtimes: dict[str, Any], default: str = "runc") -> None:
        self._info = {"Runtimes": runtimes, "DefaultRuntime": default}

    def info(self) -> dict[str, Any]:
        return self._info

    def version(self) -> dict[str, Any]:
        parts = [
            {"Name": "Engine", "Version": "20"},
            {"Name": "runc", "Version": "1.1.5+ds1", "Details": {"GitCommit": "1.1.5+ds1-1+deb12u1"}},
        ]
        return {"Components": parts}

    def create_host_config(self, **given: Any) -> dict[str, Any]:
        return given


def test_the_runtime_is_the_one_asked_for_or_the_daemon_s_own(tmp_path: Path) -> None:
    tool = tmp_path / "runsc"
    tool.write_text("#!/bin/sh\necho runsc version 2022.1\necho spec: 1")
    tool.chmod(0o755)
    client = _Client({"runc": {"path": "runc"}, "safe": {"path": str(tool), "runtimeArgs": ["--nvproxy"]}})
    assert _docker_runtime.find(client, "") == Runtime("runc", version="1.1.5+ds1-1+deb12u1")
    found = _docker_runtime.find(client, "safe")
    assert found == Runtime("safe", version="2022.1", gvisor=True, gpus=True)
    assert found.isolation == "gVisor (safe 2022.1)"
    away = _Client({"runsc": {"path": "/nowhere/runsc", "runtimeArgs": ["--nvproxy=false"]}}, default="runsc")
    assert _docker_runtime.find(away, "") == Runtime("runsc", version="", gvisor=True, gpus=False)


def test_another_runtime_is_never_taken_instead() -> None:
    with pytest.raises(RetryableError, match=r"no runtime 'runsc'.*it has runc\. Install gVisor") as caught:
        _docker_runtime.find(_Client({"runc": {"path": "runc"}}), "runsc")
    assert caught.value.code == "node_misconfigured"
    with pytest.raises(RetryableError, match=r"no runtime 'kata'.* Name one of these"):
        _docker_runtime.find(_Client({"runc": {"path": "runc"}}), "kata")


def test_the_setting_names_the_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOUCHSTONE_DOCKER_RUNTIME", "runsc ")
    assert DockerEngine()._wanted == "runsc"
    assert DockerEngine(runtime_name="")._wanted == ""
    monkeypatch.delenv("TOUCHSTONE_DOCKER_RUNTIME")
    assert DockerEngine()._wanted == ""


def _settings(job: Job, runtime: Runtime) -> dict[str, Any]:
    return _docker_settings.settings(_Client({}), job, image="i", runtime=runtime)


def test_gvisor_counts_processes_itself_and_has_room_for_its_own() -> None:
    plain, gvisor = (_settings(JOB, runtime)["host_config"] for runtime in (RUNC, GVISOR))
    assert plain["pids_limit"] == 50
    assert gvisor["pids_limit"] >= 512
    assert "nproc" not in {limit.name for limit in plain["ulimits"]}, "runc's is the host's, of all sandboxes together"
    assert {limit.name: limit.hard for limit in gvisor["ulimits"]}["nproc"] == 50
    assert (plain["runtime"], gvisor["runtime"]) == ("runc", "runsc")


def test_a_device_is_asked_for_by_its_uuid() -> None:
    asked = _settings(replace(JOB, gpus=("GPU-1",)), RUNC)["host_config"]["device_requests"]
    assert asked == [{"Driver": "", "Count": 0, "DeviceIDs": ["GPU-1"], "Capabilities": [["gpu"]], "Options": {}}]
    assert "device_requests" not in _settings(JOB, RUNC)["host_config"]
    with pytest.raises(RetryableError) as caught:
        _settings(replace(JOB, gpus=("GPU-1",)), GVISOR)
    assert caught.value.code == "node_misconfigured"


def test_every_label_is_set_over_those_of_an_image(tmp_path: Path) -> None:
    labels = _settings(replace(JOB, labels={"touchstone.run": "forged", "mine": "1"}), RUNC)["labels"]
    assert labels["touchstone.run"] == "r"
    assert labels["mine"] == "1"
    assert {"attempt", "deadline", "started", "worker", "node", "job"} < {name.partition(".")[2] for name in labels}


def test_a_job_s_fingerprint_is_that_of_what_would_run(tmp_path: Path) -> None:
    def told(job: Job, runtime: Runtime = RUNC) -> str:
        made = _docker_settings.fingerprint(_Client({}), job, image="i", runtime=runtime)
        assert made == _settings(job, runtime)["labels"]["touchstone.job"]
        return made

    later = replace(JOB, run="s", attempt=2, labels={"a": "b"}, limits=replace(LIMITS, seconds=9))
    assert told(JOB) == told(later)
    assert told(JOB) != told(JOB, GVISOR)
    folder = replace(JOB, folder=tmp_path)
    before = told(folder)
    assert told(folder) == before != told(JOB)


@pytest.mark.parametrize(
    "text",
    [
        'could not select device driver "" with capabilities: [[gpu]]', "Unknown runtime specified runsc",
        "OCI runtime create failed: nvidia-container-cli: initialization error: driver error",
    ],
)  # fmt: skip
@pytest.mark.parametrize("foreign", [False, True])
def test_a_node_that_lacks_what_it_promises_is_misconfigured(text: str, foreign: bool) -> None:
    fault = _docker_api.start_fault(_error(text), foreign=foreign)
    assert isinstance(fault, RetryableError)
    assert fault.code == "node_misconfigured"


def test_words_of_an_image_are_no_fault_of_the_node() -> None:
    folder = '/x/could not select device driver "y"'
    text = f"chdir to cwd ({folder!r}) set in config.json failed: not a directory"
    quoted = text.replace('"', '\\"')
    for said in (text, quoted):
        assert isinstance(_docker_api.start_fault(_error(said), foreign=True, words=[folder, "x"]), ParticipantFault)
    assert isinstance(_docker_api.start_fault(_error(text), foreign=True), RetryableError)


class _Daemon(_Client):
    """Starts what is not in `refused`: by image, what it says each time, until it has said it all."""

    base_url, api_version, timeout = "http+docker://x", "1.41", 5

    def __init__(self, files: dict[str, tuple[int, str]] | None = None, **refused: list[str]) -> None:
        super().__init__({"runc": {"path": "runc"}})
        self.files = files or {}
        self.started: list[str] = []
        self.refused = refused
        self.made: list[dict[str, Any]] = []
        self.there: dict[str, str] = {}

    def inspect_image(self, image: str) -> dict[str, Any]:
        return {"Id": image, "Config": {}}

    def create_container(self, **given: Any) -> dict[str, Any]:
        assert given["name"] not in self.there, "what did not start is removed"
        self.made.append(given)
        self.there[given["name"]] = given["image"]
        return {"Id": given["name"]}

    def head(self, url: str, *, params: dict[str, str], timeout: float) -> requests.Response:
        answer = requests.Response()
        mode, link = self.files.get(params["path"], (404, ""))
        answer.status_code = mode if mode in (404, 500) else 200
        told = json.dumps({"name": "x", "mode": mode, "linkTarget": link}).encode()
        answer.headers["X-Docker-Container-Path-Stat"] = base64.b64encode(told).decode()
        return answer

    def start(self, container: str) -> None:
        self.started.append(container)
        if said := self.refused.get(self.there[container], []):
            raise _error(said.pop(0))

    def remove_container(self, container: str, **_: Any) -> None:
        del self.there[container]


def _engine(daemon: _Daemon) -> DockerEngine:
    engine = DockerEngine(runtime="ours", runtime_name="runc")
    engine._api, engine._owner = daemon, os.getpid()  # type: ignore[assignment]
    return engine


UNKNOWN = ("something that nobody foresaw", "mkdir merged/dev/shm: read-only file system", "/cgroup: too many links")


@pytest.mark.parametrize("text", UNKNOWN)
def test_an_image_that_fails_where_another_starts_is_at_fault(text: str) -> None:
    """Else each such image would cost three attempts, and nodes their place."""
    daemon = _Daemon(theirs=[text] * 2)
    with pytest.raises(ParticipantFault, match="could not be started") as caught:
        _engine(daemon).start(replace(JOB, image="theirs"))
    assert text in caught.value.message
    assert caught.value.hint.startswith("Other images start on this node")
    theirs, probe, again = daemon.made
    assert probe["image"] == "ours"
    assert probe["host_config"] == theirs["host_config"] == again["host_config"]
    assert daemon.there == {}


@pytest.mark.parametrize("text", [*UNKNOWN, "Unknown runtime specified runc"])
def test_where_nothing_starts_the_node_is_at_fault(text: str) -> None:
    daemon = _Daemon(theirs=[text] * 9, ours=["out of something"] * 9)
    with pytest.raises(RetryableError) as caught:
        _engine(daemon).start(replace(JOB, image="theirs"))
    assert text in caught.value.message
    assert len(daemon.made) == 2
    assert daemon.there == {}


def test_a_node_s_trouble_that_is_over_is_nobody_s_fault() -> None:
    daemon = _Daemon(theirs=["no space left on device"])
    _engine(daemon).start(replace(JOB, image="theirs"))
    assert list(daemon.there.values()) == ["theirs"]


def test_what_is_known_needs_no_other_image() -> None:
    for job, kind in ((replace(JOB, image="theirs"), ParticipantFault), (JOB, RetryableError)):
        daemon = _Daemon(theirs=["exec format error"], ours=["exec format error"])
        with pytest.raises(kind):
            _engine(daemon).start(job)
        assert len(daemon.made) == 1


PLAIN, PIPE, DEVICE, LINK = 0o644, 1 << 25, 1 << 26 | 1 << 21, 1 << 27
HOSTILE: dict[str, dict[str, tuple[int, str]]] = {
    "pipe": {"/etc/passwd": (PIPE | 0o644, "")}, "group": {"/etc/group": (PIPE, "")},
    "device": {"/etc/passwd": (DEVICE | 0o666, "")}, "folder": {"/etc/passwd": (1 << 31 | 0o755, "")},
    "link": {"/etc/passwd": (LINK | 0o777, "/x"), "/x": (PIPE, "")}, "nowhere": {"/etc/passwd": (LINK, "/x")},
    # A plain file in the image, and something else once its container runs.
    "proc": {"/etc/passwd": (LINK, "/proc/self/fd/3"), "/proc/self/fd/3": (PLAIN, "")},
    "untold": {"/etc/passwd": (500, "")},
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_what_the_daemon_would_open_as_root_is_looked_at_first(name: str) -> None:
    """A pipe would keep the daemon waiting for ever, and the container could not even be removed."""
    daemon = _Daemon(HOSTILE[name])
    with pytest.raises(ParticipantFault, match=r"/etc/(passwd|group) ") as caught:
        _engine(daemon).start(replace(JOB, image="theirs"))
    assert (caught.value.code, bool(caught.value.hint)) == ("image_start", True)
    assert "touchstone-r" not in daemon.started
    assert daemon.there == {}


@pytest.mark.parametrize("link", ["", "/nix/store/passwd"])
def test_plain_files_of_accounts_are_fine(link: str) -> None:
    files = {"/etc/passwd": (LINK if link else PLAIN, link), link: (PLAIN, "")}
    daemon = _Daemon(files)
    _engine(daemon).start(replace(JOB, image="theirs"))
    assert daemon.started == ["touchstone-r"]


@pytest.mark.parametrize("text", ["transport is closing", "connection error: dial unix /run/containerd.sock: refused"])
def test_a_daemon_that_is_just_ending_is_asked_again(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_docker_api, "_PAUSES", (0.0, 0.0))
    answers: list[Any] = [_error(text), _error(text), 7]

    def call() -> int:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return int(answer)

    assert _docker_api.retried(call) == 7
    answers[:] = [_error(text)] * 3
    with pytest.raises(APIError):
        _docker_api.retried(call)
    answers[:] = [_error(text, 400), 7]
    with pytest.raises(APIError):
        _docker_api.retried(call)
    assert answers == [7], "a refusal is no restart"


def test_a_daemon_that_answered_before_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A judge is forked while the daemon is restarted: its first connection must not fail the run."""
    monkeypatch.setattr(_docker_api, "_PAUSES", (0.0, 0.0))
    tried: list[int] = []

    def connect(**_: Any) -> object:
        tried.append(1)
        if len(tried) < 3:
            raise requests.exceptions.ConnectionError("refused")
        return object()

    monkeypatch.setattr("runners.engines.docker.APIClient", connect)
    engine = DockerEngine()
    with pytest.raises(RetryableError, match="does not answer"):
        engine.client  # noqa: B018
    assert len(tried) == 1, "where none ever answered there is nothing to wait for"
    engine._found, tried[:] = RUNC, []
    assert engine.client is not None
    assert len(tried) == 3
    assert os.getpid() == engine._owner
