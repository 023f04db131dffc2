"""An attempt ends in one report, whatever becomes of the judge."""

import os
import signal
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from runners.contract import Lease, RunEvent, RunResult, RunSpec, Verdict
from runners.engines._limits import start_time
from runners.errors import NO_CAPACITY, RetryableError
from runners.node import attempt as attempt_module
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


class _Full:
    """A ledger without room, or with room after some questions."""

    def __init__(self, refusals: int = 10**9) -> None:
        self.refusals, self.left = refusals, 0

    def admit(self, spec: RunSpec) -> bool:
        self.refusals -= 1
        return self.refusals < 0

    def leave(self) -> None:
        self.left += 1

    def neighbours(self, run: str) -> int:
        return 0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock of the node's own, which its waits move on."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(attempt_module, "time", clock)
    clock.monotonic = lambda: clock.now
    clock.sleep = lambda seconds: setattr(clock, "now", clock.now + seconds)
    return clock


def test_a_node_without_room_gives_the_run_back_in_time_and_it_costs_nothing(attempt_of, clock) -> None:
    renewed: list[float] = []

    class Counting(Server):
        def renew(self, spec: RunSpec) -> Lease:
            renewed.append(clock.now)
            return super().renew(spec)

    server = Counting()
    attempt = attempt_of(server, lambda *, spec, **_: ok(spec))
    attempt._claimed, attempt._renewed, attempt.ledger = clock.now, clock.now, _Full()
    attempt.perform()

    assert server.results == []
    assert server.released == [(attempt.spec.run, attempt.spec.attempt, False)]
    assert attempt.fault == ""
    assert [event.kind for event in server.told] == ["note"]
    assert "no room" in server.told[0].message
    assert attempt_module._ROOM_PATIENCE_S <= clock.now - 1000 <= 61
    assert len(renewed) > 50
    assert attempt.ledger.left == 0  # it keeps its place among the runs of this node


def test_a_slow_fetch_leaves_less_time_to_wait_for_room(attempt_of, clock) -> None:
    class Slow(Server):
        def download(self, url: str, target, *, tick=lambda: None) -> None:
            clock.now += 300
            super().download(url, target, tick=tick)

    server = Slow()
    attempt = attempt_of(server, lambda *, spec, **_: ok(spec))
    attempt._claimed, attempt.ledger = clock.now, _Full()
    attempt.perform()

    assert server.released == [(attempt.spec.run, attempt.spec.attempt, False)]
    assert clock.now - 1000 <= 301


def test_room_that_comes_in_time_is_taken(attempt_of, clock) -> None:
    server = Server()
    attempt = attempt_of(server, lambda *, spec, **_: ok(spec))
    attempt._claimed, attempt.ledger = clock.now, _Full(refusals=40)
    attempt.perform()

    assert [result.verdict for result in server.results] == [Verdict.OK]
    assert server.results[0].stages["wait"] == pytest.approx(9.75)
    assert attempt.ledger.left == 1


@pytest.mark.parametrize(("fetch", "patience"), [(0.0, 0.0), (550.0, 0.0), (100.0, 300.0)])
def test_an_attempt_ends_before_the_server_gives_it_up(attempt_of, clock, monkeypatch, fetch, patience) -> None:
    """However long it fetched, waited for room, and may wait for a cluster."""
    running = threading.Event()

    class Slow(Server):
        def download(self, url: str, target, *, tick=lambda: None) -> None:
            clock.now += fetch
            super().download(url, target, tick=tick)

    class Hung:
        def __init__(self, **_) -> None: ...

        def receive(self, seconds: float) -> None:
            running.set()
            clock.now += seconds

        def kill(self) -> None: ...

    server, engine = Slow(), Engine()
    engine.patience = patience
    monkeypatch.setattr(attempt_module, "JudgeProcess", Hung)
    attempt = attempt_of(server, lambda **_: None, engine)
    attempt._claimed, attempt._renewed, attempt.ledger = clock.now, clock.now, _Full(refusals=40)
    attempt.perform()

    limit = attempt.spec.resources.time + attempt.spec.resources.start
    if running.is_set():
        assert [result.code for result in server.results] == ["judge_timeout"]
        assert clock.now - 1000 > limit
    else:
        assert len(server.released) == 1
    assert clock.now - 1000 < limit + 600
