"""An attempt ends in one report, whatever becomes of the judge."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from runners.contract import Lease, RunEvent, RunResult, RunSpec, Verdict
from runners.engines._limits import start_time
from runners.errors import NO_CAPACITY, RetryableError
from tests.factories.node_attempts import CONTENT, Engine, Server, ok


def test_events_and_result_reach_the_server_and_nothing_is_left(attempt_of, tmp_path: Path) -> None:
    def evaluate(*, spec, files, engine, workdir, emit, place):
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


def test_a_long_download_keeps_the_lease(attempt_of, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the server gives the run to somebody else while an image comes, again and again."""
    renewed: list[float] = []

    class Slow(Server):
        def renew(self, spec: RunSpec) -> Lease:
            renewed.append(time.monotonic())
            return super().renew(spec)

        def download(self, url: str, target, *, tick=lambda: None) -> None:
            for _ in range(5):
                time.sleep(0.06)
                tick()
            target.write(CONTENT)

    server = Slow()
    attempt_of(server, lambda *, spec, **_: ok(spec)).perform()

    assert server.results[0].verdict is Verdict.OK
    assert len(renewed) >= 2


def test_cancel_stops_a_download(attempt_of) -> None:
    class Slow(Server):
        def download(self, url: str, target, *, tick=lambda: None) -> None:
            for _ in range(600):
                time.sleep(0.05)
                tick()

    server = Slow(cancel=True)
    started = time.monotonic()
    attempt_of(server, lambda *, spec, **_: ok(spec)).perform()

    assert server.results[0].code == "cancelled"
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (OSError(28, "No space left on device"), "node_disk_full", "No space left on device"),
        (OSError(5, "Input/output error"), "node_failed", "Input/output error"),
        (RuntimeError("GET /secret: HTTP 404"), "internal_error", "in the node"),
    ],
)
def test_whatever_goes_wrong_on_the_node_is_reported(attempt_of, error: Exception, code: str, words: str) -> None:
    """Silence would cost the run its lease, and look like a lost node."""

    class Broken(Server):
        def download(self, url: str, target, *, tick=lambda: None) -> None:
            raise error

    server = Broken()
    attempt_of(server, lambda *, spec, **_: ok(spec)).perform()

    (result,) = server.results
    assert (result.verdict, result.code) == (Verdict.PLATFORM, code)
    assert words in result.message
    assert "secret" not in result.message


def test_a_refused_report_or_event_does_not_silence_the_run(attempt_of) -> None:
    class Picky(Server):
        def events(self, spec: RunSpec, events: list[RunEvent]) -> None:
            raise RuntimeError("HTTP 400")

        def result(self, spec: RunSpec, result: RunResult) -> None:
            if result.verdict is Verdict.OK:
                raise RuntimeError("HTTP 413")
            super().result(spec, result)

    def evaluate(*, spec, emit, **_):
        emit(RunEvent(at="2026-01-01T00:00:00Z", kind="note", message="x"))
        return ok(spec)

    server = Picky()
    attempt_of(server, evaluate).perform()

    assert [(r.verdict, r.code) for r in server.results] == [(Verdict.PLATFORM, "internal_error")]


def test_all_events_are_sent_before_the_result(attempt_of) -> None:
    def evaluate(*, spec, emit, **_):
        for number in range(450):
            emit(RunEvent(at="2026-01-01T00:00:00Z", kind="note", message=str(number)))
        return ok(spec)

    server = Server()
    attempt_of(server, evaluate).perform()

    assert [event.message for event in server.told] == [str(number) for number in range(450)]


@pytest.mark.parametrize(
    ("evaluate", "reaped"),
    [
        (lambda *, spec, **_: ok(spec), False),
        (lambda **_: os.kill(os.getpid(), signal.SIGKILL), True),
        (lambda **_: time.sleep(60), True),
    ],
    ids=["ended", "crashed", "cancelled"],
)
def test_the_sandbox_of_a_judge_that_did_not_end_is_removed(attempt_of, evaluate, reaped: bool) -> None:
    """A container outlives its judge, and would slow the runs that follow."""
    engine = Engine()
    attempt_of(Server(cancel=True) if reaped else Server(), evaluate, engine).perform()

    assert engine.spared == ([[]] if reaped else [])


def test_ctrl_c_in_the_node_s_terminal_does_not_reach_the_judge(attempt_of) -> None:
    def evaluate(*, spec, **_):
        return ok(spec).model_copy(update={"environment": {"group": os.getpgrp()}})

    server = Server()
    attempt_of(server, evaluate).perform()

    assert server.results[0].environment["group"] != os.getpgrp()


def test_a_cluster_without_room_costs_the_run_nothing(attempt_of) -> None:
    def evaluate(**_):
        raise RetryableError("job 7 found no node in 300 s", code=NO_CAPACITY)

    server = Server()
    attempt = attempt_of(server, evaluate)
    attempt.perform()

    assert server.results == []
    assert server.released == [(attempt.spec.run, attempt.spec.attempt, False)]
    assert attempt.fault == ""


def test_a_fenced_attempt_leaves_what_its_live_successor_on_this_node_uses(attempt_of, tmp_path: Path) -> None:
    """The next attempt of the run listens at the same place, whether the fence comes before the judge ends or after."""
    attempt = attempt_of(Server(fenced=True), lambda **_: time.sleep(60), Engine())
    run, parent = attempt.spec.run, os.getppid()
    successor = tmp_path / "runs" / f"{run}~2~{parent}.{start_time(parent)}"
    successor.mkdir(parents=True)
    attempt.lasting = tmp_path / "channels"
    socket = attempt.lasting / run / "run" / "channel.sock"
    socket.parent.mkdir(parents=True)
    socket.touch()
    attempt.perform()

    assert socket.exists()
    assert successor.is_dir()


def test_an_attempt_without_a_successor_leaves_nothing(attempt_of, tmp_path: Path) -> None:
    attempt = attempt_of(Server(fenced=True), lambda **_: time.sleep(60), Engine())
    attempt.lasting = tmp_path / "channels"
    (attempt.lasting / attempt.spec.run / "run").mkdir(parents=True)
    attempt.perform()

    assert list(attempt.lasting.iterdir()) == []
