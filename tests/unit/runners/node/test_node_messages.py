"""What an attempt tells the server and its judge: events in order, once, and before the result."""

import time
from pathlib import Path

import pytest

from runners.contract import Lease, RunEvent, RunResult, RunSpec, Verdict
from runners.errors import RetryableError
from runners.node import attempt
from tests.factories.node_attempts import Server, ok


def test_a_cancelled_run_is_ended_at_the_first_renewal_that_says_so(attempt_of) -> None:
    """With a renewal each second, that is within two seconds."""
    renewals: list[bool] = []

    class Cancelling(Server):
        def renew(self, spec: RunSpec) -> Lease:
            renewals.append(len(renewals) >= 2)
            return Lease(seconds=60, cancel=renewals[-1])

    server = Cancelling()
    attempt_of(server, lambda **_: time.sleep(60)).perform()

    assert server.results[0].code == "cancelled"
    assert renewals == [False, False, True]
    assert attempt._RENEW_S == 0.1


def test_events_are_numbered_and_pieces_of_the_log_that_wait_are_joined(attempt_of) -> None:
    def evaluate(*, spec, emit, **_):
        for number in range(3):
            emit(RunEvent(at="2026-01-01T00:00:00Z", kind="log", message=f"{number}\n", data={"public": True}))
        emit(RunEvent(at="2026-01-01T00:00:00Z", kind="log", message="3\n", data={"public": False}))
        emit(RunEvent(at="2026-01-01T00:00:00Z", kind="note", message="done"))
        return ok(spec)

    server = Server()
    attempt_of(server, evaluate).perform()

    logs = [(e.message, e.data["public"]) for e in server.told if e.kind == "log"]
    assert "".join(text for text, _ in logs) == "0\n1\n2\n3\n"
    assert logs[-1] == ("3\n", False)
    assert [e.data["n"] for e in server.told] == list(range(1, len(server.told) + 1))


def test_what_may_have_been_received_is_not_changed_any_more(attempt_of) -> None:
    """An answer may be lost after the server took the events: they are sent again as they were."""
    event = RunEvent(at="2026-01-01T00:00:00Z", kind="log", message="a\n", data={"public": True})

    class Deaf(Server):
        def events(self, spec: RunSpec, events: list[RunEvent]) -> None:
            super().events(spec, events)
            if len(self.told) == 1:
                raise RetryableError("the answer was lost")

    server = Deaf()
    tried = attempt_of(server, lambda *, spec, **_: ok(spec))
    tried._note(event)
    assert not tried._flush(force=True)
    tried._note(event)
    assert tried._flush(force=True)

    assert [(e.message, e.data["n"]) for e in server.told] == [("a\n", 1), ("a\n", 1), ("a\n", 2)]


def test_events_beyond_what_is_kept_are_counted(attempt_of, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt, "_MOST_EVENTS", 2)
    server = Server()
    tried = attempt_of(server, lambda *, spec, **_: ok(spec))
    for number in range(5):
        tried._note(RunEvent(at="2026-01-01T00:00:00Z", kind="note", message=str(number)))
    tried._tell_dropped()
    tried._flush(force=True)

    assert [e.message for e in server.told][:2] == ["0", "1"]
    assert "3 later events" in server.told[2].message


def test_a_run_waits_for_room_and_keeps_its_lease_meanwhile(attempt_of, tmp_path: Path) -> None:
    class Full:
        """Room at the third question."""

        asked, left = 0, 0

        def admit(self, spec: RunSpec) -> bool:
            self.asked += 1
            return self.asked > 3

        def leave(self) -> None:
            self.left += 1

        def neighbours(self, run: str) -> int:
            return 2

    def evaluate(*, spec, place, **_):
        return ok(spec).model_copy(update={"environment": {"neighbours": place.neighbours()}})

    server = Server()
    waiting = attempt_of(server, evaluate)
    waiting.ledger = Full()
    waiting.perform()

    assert server.results[0].environment == {"neighbours": 2}
    assert "wait" in server.results[0].stages
    assert waiting.ledger.left == 1


def test_devices_and_the_lasting_folder_reach_the_judge_and_the_folder_goes(attempt_of, tmp_path: Path) -> None:
    def evaluate(*, spec, place, **_):
        (place.lasting / spec.run / "run").mkdir(parents=True)
        return ok(spec).model_copy(update={"environment": {"gpus": list(place.gpus)}})

    server = Server()
    tried = attempt_of(server, evaluate)
    tried.lasting, tried.gpus = tmp_path / "channels", ("GPU-1",)
    tried.perform()

    assert server.results[0].environment == {"gpus": ["GPU-1"]}
    assert list((tmp_path / "channels").iterdir()) == []


def test_events_of_a_run_that_ends_while_the_server_is_away_come_before_its_result(attempt_of) -> None:
    class Restarting(Server):
        tries = 0

        def events(self, spec: RunSpec, events: list[RunEvent]) -> None:
            self.tries += 1
            if self.tries < 3:
                raise RetryableError("away")
            super().events(spec, events)

        def result(self, spec: RunSpec, result: RunResult) -> None:
            assert self.told
            super().result(spec, result)

    def evaluate(*, spec, emit, **_):
        emit(RunEvent(at="2026-01-01T00:00:00Z", kind="note", message="x"))
        return ok(spec)

    server = Restarting()
    attempt_of(server, evaluate).perform()

    assert (server.tries, len(server.told), len(server.results)) == (3, 1, 1)


def test_events_that_never_go_through_do_not_keep_the_result(attempt_of, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt, "_EVENTS_PATIENCE_S", 0.3)

    class Deaf(Server):
        def events(self, spec: RunSpec, events: list[RunEvent]) -> None:
            raise RetryableError("away")

    def evaluate(*, spec, emit, **_):
        emit(RunEvent(at="2026-01-01T00:00:00Z", kind="note", message="x"))
        return ok(spec)

    server = Deaf()
    attempt_of(server, evaluate).perform()

    assert [result.verdict for result in server.results] == [Verdict.OK]


def test_a_disk_that_fills_up_under_the_judge_is_the_node_s_fault(attempt_of) -> None:
    def evaluate(**_):
        raise OSError(28, "No space left on device")

    server = Server()
    attempt_of(server, evaluate).perform()

    assert [(r.verdict, r.code) for r in server.results] == [(Verdict.PLATFORM, "node_disk_full")]
