"""How a container ended, by a daemon's words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import requests
from docker.errors import APIError

from runners.engines import _docker_sandbox
from runners.engines._docker_sandbox import DockerSandbox
from runners.engines.base import Exit, Limits
from runners.errors import ParticipantFault, RetryableError
from runners.models import _faults
from runners.spec.models import ResourceSpec

LIMITS = Limits(memory=2**27, cpus=1.0, seconds=5, tmp=2**20)


class _Daemon:
    """Answers what a Docker daemon would about one container that has ended."""

    def __init__(
        self, *, code: int | None, events: tuple[str, ...] = ("start",), oom: bool = False, remembered: int = 9
    ) -> None:
        self._remembered = remembered
        self._state = {"Running": False, "ExitCode": code, "OOMKilled": oom, "Pid": 0}
        self._events = events

    def inspect_container(self, _id: str) -> dict[str, Any]:
        if self._state["ExitCode"] is None:
            response = requests.Response()
            response.status_code = 404
            raise APIError("404", response, "no such container")
        return {"State": self._state}

    def events(self, *, filters: dict[str, Any], **_: Any) -> list[dict[str, str]]:
        return [{"Action": name} for name in self._events] if filters else [{"Action": "x"}] * self._remembered

    def logs(self, *_: Any, **__: Any) -> bytes:
        return b""


ENDED = [
    (_Daemon(code=0), False),
    (_Daemon(code=137), False),  # it may kill itself
    (_Daemon(code=137, events=("start", "oom")), False),
    (_Daemon(code=137, oom=True, events=()), False),
    (_Daemon(code=137, events=("start", "kill")), True),
    (_Daemon(code=143, events=()), True),
    (_Daemon(code=137, events=(), remembered=256), False),  # it has seen too much since to remember the start
    (_Daemon(code=None), True),
]


@pytest.mark.parametrize(("daemon", "lost"), ENDED)
def test_a_container_that_is_ended_from_outside_is_the_platform_s_fault(
    daemon: _Daemon, lost: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_docker_sandbox, "_LATE_EVENT", 0.0)
    sandbox = DockerSandbox(daemon, "id", LIMITS, started=0.0)
    ended = sandbox.wait(0)
    assert ended is not None
    assert ended.lost is lost
    fault = _faults.from_exit(ended, ResourceSpec(), queries=3)
    assert isinstance(fault, RetryableError if lost else ParticipantFault)


class _Late(_Daemon):
    """Tells of the kernel's kill for memory after it was asked `asked` times."""

    def __init__(self, asked: int) -> None:
        super().__init__(code=137)
        self._asked = asked

    def events(self, *, filters: dict[str, Any], **more: Any) -> list[dict[str, str]]:
        self._asked -= 1
        self._events = ("start",) if self._asked >= 0 else ("start", "oom")
        return super().events(filters=filters, **more)


def test_a_look_does_not_wait_for_what_the_daemon_tells_late(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(_docker_sandbox.time, "sleep", slept.append)
    sandbox = DockerSandbox(_Late(2), "id", LIMITS, started=0.0)
    assert [sandbox.poll(), sandbox.poll()] == [None, None]
    assert slept == []
    assert sandbox.poll() == Exit(137, memory=True)


@pytest.mark.parametrize("how", ["wait", "kill"])
def test_who_ends_or_awaits_it_gets_to_know_why_it_ended(how: str) -> None:
    sandbox = DockerSandbox(_Late(3), "id", LIMITS, started=0.0)
    assert sandbox.poll() is None
    getattr(sandbox, how)(*([0] if how == "wait" else []))
    assert sandbox.poll() == Exit(137, memory=True), "and not killed by us"


def test_what_the_daemon_never_tells_is_not_awaited_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox = DockerSandbox(_Daemon(code=137), "id", LIMITS, started=0.0)
    assert sandbox.poll() is None
    monkeypatch.setattr(sandbox, "_told_by", 0.0)
    assert sandbox.poll() == Exit(137)


def test_a_kill_of_ours_is_no_loss() -> None:
    class Running(_Daemon):
        def kill(self, _id: str, _signal: str) -> None:
            self._state["Running"] = False

    daemon = Running(code=137, events=("start", "kill"))
    daemon._state["Running"] = True
    sandbox = DockerSandbox(daemon, "id", LIMITS, started=0.0)
    assert sandbox.poll() is None
    sandbox.kill()
    ended = sandbox.poll()
    assert ended is not None
    assert (ended.killed, ended.lost) == (True, False)


@pytest.mark.parametrize(
    ("peak", "events", "memory"),
    [
        (LIMITS.memory, ("start",), True),
        (LIMITS.memory // 2, ("start",), False),
        (LIMITS.memory, ("start", "kill"), False),  # somebody sent it
        (LIMITS.memory, (), False),  # a daemon that died may have
    ],
)
def test_a_full_container_that_nobody_killed_was_killed_for_its_memory(
    peak: int, events: tuple[str, ...], memory: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_docker_sandbox, "_LATE_EVENT", 0.0)
    sandbox = DockerSandbox(_Daemon(code=137, events=events), "id", LIMITS, started=0.0)
    (tmp_path / "peak").write_text(str(peak))
    monkeypatch.setattr(sandbox, "_peak_file", tmp_path / "peak")
    ended = sandbox.wait(0)
    assert ended is not None
    assert ended.memory is memory


class _Reaping(_Daemon):
    """Says of a killed container that it is a zombie, so many times."""

    def __init__(self, times: int, words: str = "PID 16626 is zombie and can not be killed") -> None:
        super().__init__(code=137, events=("start", "kill"))
        self._state["Running"] = True
        self._times, self._words = times, words

    def kill(self, _id: str, _signal: str) -> None:
        self._times -= 1
        self._state["Running"] = self._times >= 0
        if self._times >= 0:
            response = requests.Response()
            response.status_code = 500
            raise APIError("500", response, self._words)


def test_a_killed_container_is_awaited_until_its_supervisor_has_reaped_it() -> None:
    sandbox = DockerSandbox(_Reaping(3), "id", LIMITS, started=0.0)
    sandbox.kill()
    assert sandbox.poll() == Exit(137, killed=True)


def test_another_refusal_to_kill_is_told() -> None:
    with pytest.raises(RetryableError, match="refused"):
        DockerSandbox(_Reaping(3, "no such thing"), "id", LIMITS, started=0.0).kill()
