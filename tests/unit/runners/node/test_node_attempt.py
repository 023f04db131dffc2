"""An attempt ends in one report, whatever becomes of the judge."""

import hashlib
import os
import signal
import threading
import time
from pathlib import Path

import pytest

import runners.judge
from runners.contract import FileRef, Lease, RunEvent, RunResult, RunSpec, Verdict
from runners.errors import RetryableError
from runners.node.attempt import Attempt
from runners.node.cache import Cache
from runners.node.client import Fenced

CONTENT = b"x"


class Server:
    """Stands in for the node client: keeps what it is told."""

    def __init__(self, *, cancel: bool = False, fenced: bool = False, away: bool = False) -> None:
        self.cancel, self.fenced, self.away = cancel, fenced, away
        self.results: list[RunResult] = []
        self.told: list[RunEvent] = []

    def renew(self, spec: RunSpec) -> Lease:
        if self.fenced:
            raise Fenced("superseded")
        if self.away:
            raise RetryableError("away")
        return Lease(seconds=60, cancel=self.cancel)

    def events(self, spec: RunSpec, events: list[RunEvent]) -> None:
        self.told += events

    def result(self, spec: RunSpec, result: RunResult) -> None:
        self.results.append(result)

    def download(self, url: str, target) -> None:
        target.write(CONTENT)


@pytest.fixture
def attempt_of(tmp_path: Path, run_spec: RunSpec, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("runners.node.attempt._RENEW_S", 0.1)
    file = FileRef(name="labels.csv", sha256=hashlib.sha256(CONTENT).hexdigest(), size=1, url="u")
    spec = run_spec.model_copy(
        update={
            "split": run_spec.split.model_copy(update={"files": (file,)}),
            "submission": run_spec.submission.model_copy(update={"files": (file,)}),
        }
    )

    def make(server: Server, evaluate) -> Attempt:
        monkeypatch.setattr(runners.judge, "evaluate", evaluate)
        return Attempt(
            spec=spec, client=server, engine=None, report=None, cache=Cache(tmp_path / "cache", limit=10**9),
            directory=tmp_path / "runs", judge_memory=2**35,
        )  # fmt: skip

    return make


def ok(spec: RunSpec) -> RunResult:
    return RunResult(run=spec.run, attempt=spec.attempt, verdict=Verdict.OK, stages={"judge": 1.0})


def test_events_and_result_reach_the_server_and_nothing_is_left(attempt_of, tmp_path: Path) -> None:
    def evaluate(*, spec, files, engine, workdir, emit):
        assert (files.split / "labels.csv").read_bytes() == CONTENT
        emit(RunEvent(at="2026-01-01T00:00:00Z", kind="stage", message="predict"))
        return ok(spec)

    server = Server()
    attempt_of(server, evaluate).perform()

    assert [event.message for event in server.told] == ["predict"]
    assert [result.verdict for result in server.results] == [Verdict.OK]
    assert set(server.results[0].stages) == {"fetch", "judge"}
    assert list((tmp_path / "runs").iterdir()) == []


@pytest.mark.parametrize(
    ("number", "words"), [(signal.SIGKILL, "killed by SIGKILL"), (signal.SIGTERM, "killed by SIGTERM")]
)
def test_a_judge_that_dies_is_a_platform_fault(attempt_of, number: int, words: str) -> None:
    server = Server()
    attempt_of(server, lambda **_: os.kill(os.getpid(), number)).perform()

    (result,) = server.results
    assert (result.verdict, result.code) == (Verdict.PLATFORM, "judge_crashed")
    assert words in result.message


def test_a_bug_is_reported_by_a_number_and_not_by_its_text(attempt_of) -> None:
    def evaluate(**_):
        raise ValueError("secret label 42")

    server = Server()
    attempt_of(server, evaluate).perform()

    (result,) = server.results
    assert (result.verdict, result.code) == (Verdict.PLATFORM, "internal_error")
    assert "secret" not in result.message
    assert result.message.startswith("Internal error ")


def test_memory_of_the_judge_is_limited(attempt_of) -> None:
    server = Server()
    attempt = attempt_of(server, lambda **_: bytearray(2**36))
    attempt.perform()

    assert server.results[0].code == "judge_memory"


def test_cancel_stops_the_judge(attempt_of) -> None:
    server = Server(cancel=True)
    started = time.monotonic()
    attempt_of(server, lambda **_: time.sleep(60)).perform()

    assert server.results[0].code == "cancelled"
    assert time.monotonic() - started < 30


def test_a_fenced_attempt_reports_nothing(attempt_of) -> None:
    server = Server(fenced=True)
    attempt_of(server, lambda **_: time.sleep(60)).perform()

    assert server.results == []


def test_a_server_that_is_away_does_not_stop_the_judge(attempt_of) -> None:
    server = Server(away=True)

    def evaluate(*, spec, **_):
        threading.Event().wait(1.0)
        return ok(spec)

    attempt_of(server, evaluate).perform()

    assert server.results[0].verdict is Verdict.OK
