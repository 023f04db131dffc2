"""Endpoints through the judge: scored like a container, within their budget, and each failure told for what it is."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import pytest

from runners.judge import Place
from runners.judge.endpoint import drift
from runners.models import _remote
from runners.outbound import Reach
from tests.factories.endpoints import Endpoint, endpoint, linear, told
from tests.factories.https_server import LOOPBACK, Authority, authority, reply
from tests.factories.judge_world import ACCURACY, HSJ, LATENCY, PARITY, PGD, N, World

HERE = Place(reach=Reach(LOOPBACK))


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is waited for that a test does not wait for."""
    monkeypatch.setattr(_remote, "_FIRST_PAUSE_S", 0.01)


def judged(world: World, of: Endpoint, *metrics: Any, place: Place = HERE, **budget: Any) -> Any:
    spec = world.spec("endpoint", *(metrics or (ACCURACY,)), endpoint=told(of, **budget))
    return world.evaluate(spec, place=place)


def by_key(result: Any) -> dict[str, Any]:
    return {found.key: found for found in result.results}


@pytest.mark.parametrize("json_only", [False, True])
def test_an_endpoint_is_scored_like_the_file_of_its_answers(world: World, ca: Authority, json_only: bool) -> None:
    world.predictions()
    expected = world.evaluate(world.spec("predictions", ACCURACY, PARITY))

    with endpoint(linear, tls=ca.context("127.0.0.1"), json_only=json_only) as mine:
        result = judged(world, mine, ACCURACY, PARITY, place=Place(reach=Reach(LOOPBACK, ca.ca)))

    assert result.verdict == "ok"
    assert {k: v.value for k, v in by_key(result).items()} == {k: v.value for k, v in by_key(expected).items()}
    facts = result.environment["endpoint"]
    assert facts["items_asked"] == mine.items == 10 + N + 6 + 32
    assert facts["items_by_stage"] == {"sample": 10, "predict": N + 6, "drift": 32}
    assert facts["availability"] == 1.0
    assert facts["latency"]["n"] == facts["questions"]
    assert facts["connect"]["n"] >= 1
    assert facts["network"]["n"] >= 5
    assert facts["drift"]["differed"] == 0
    assert "flags" not in facts
    assert mine.url not in json.dumps(result.model_dump(mode="json"))


def test_what_cannot_be_known_is_not_applicable_with_the_reason(world: World) -> None:
    with endpoint(linear) as mine:
        result = judged(world, mine, {"use": "efficiency.peak_memory"}, LATENCY, PGD, HSJ, queries_per_item=1000)

    found = by_key(result)
    assert {value.state for key, value in found.items() if key.startswith(("efficiency", "pgd"))} == {"not_applicable"}
    assert "machine that the platform cannot see" in found["efficiency.peak_memory"].reason
    assert "an endpoint gives answers only" in next(v.reason for k, v in found.items() if k.startswith("pgd"))
    assert found["hsj.robust_accuracy"].state == "ok"
    assert result.environment["endpoint"]["items_by_stage"]["metric:hsj"] > 0


def test_a_budget_is_kept_and_what_it_does_not_buy_is_said(world: World) -> None:
    with endpoint(linear) as mine:
        result = judged(world, mine, ACCURACY, HSJ, queries=200)

    found = by_key(result)
    assert result.verdict == "ok"
    assert found["performance.accuracy"].state == "ok"
    assert found["hsj.robust_accuracy"].state == "not_applicable"
    assert "of the 200 that an endpoint may be asked" in found["hsj.robust_accuracy"].reason
    assert mine.items <= 200
    assert result.environment["endpoint"]["drift"]["asked"] == 32


def test_a_budget_that_runs_out_in_the_middle_of_a_metric_ends_that_metric(world: World) -> None:
    with endpoint(linear) as mine:
        result = judged(world, mine, {**HSJ, "queries": 400}, ACCURACY, queries=600, queries_per_item=1000)

    assert result.verdict == "ok"
    assert "600 items in a run of this phase" in by_key(result)["hsj.robust_accuracy"].reason
    assert 300 < mine.items <= 600


def test_a_budget_below_the_split_is_the_organisers_fault_and_nothing_is_asked(world: World) -> None:
    with endpoint(linear) as mine:
        result = judged(world, mine, queries=100)

    assert (result.verdict, result.code) == ("scorer", "endpoint_budget")
    assert mine.seen == []


@pytest.mark.parametrize("part", ["test", "sample"])
def test_only_splits_that_may_leave_do(world: World, part: str) -> None:
    with endpoint(linear) as mine:
        at = told(mine)
        at = at.model_copy(update={"splits": tuple(name for name in at.splits if name != part)})
        result = world.evaluate(world.spec("endpoint", ACCURACY, endpoint=at), place=HERE)

    if part == "test":
        assert (result.verdict, result.code, mine.seen) == ("scorer", "endpoint_split", [])
    else:
        assert result.verdict == "ok"
        assert "sample" not in result.environment["endpoint"]["items_by_stage"]


def nonsense(change: Any) -> Any:
    """Right answers to the sample and the first batch, then this."""
    asked = 0

    def predict(x: Any) -> Any:
        nonlocal asked
        asked += 1
        return linear(x) if asked < 3 else change(linear(x))

    return predict


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: p[:, :1], "has shape"), (lambda p: p[:-1], "has shape"), (lambda p: p * np.nan, "is not finite"),
        (lambda p: p * 0.7, "does not sum to 1"), (lambda p: p * 9 - 4, "expects probabilities, not logits"),
        (lambda p: p.astype(int), "does not sum to 1"),
    ],
)  # fmt: skip
def test_a_lying_endpoint_is_invalid(world: World, change: Any, words: str) -> None:
    with endpoint(nonsense(change)) as mine:
        result = judged(world, mine)

    assert result.verdict == "invalid_output"
    assert words in result.message
    assert mine.items <= 2 * N


def test_a_slow_endpoint_is_given_up_on_within_its_tries(world: World) -> None:
    def slow(of: Endpoint, request: Any) -> bool:
        if of.infers > 1:
            time.sleep(0.6)
        return False

    with endpoint(linear, before=slow) as mine:
        result = judged(world, mine, timeout="0.3s", retries=1)

    assert (result.verdict, result.code) == ("timeout", "endpoint_timeout")
    assert "no whole answer came within 0.3 s" in result.message
    assert mine.infers == 3
    assert result.environment["endpoint"]["availability"] < 1


def refuse(status: int, *, after: int = 1, times: int = 10**6, **headers: str) -> Any:
    def before(of: Endpoint, request: Any) -> bool:
        if not after < of.infers <= after + times:
            return False
        reply(request, status, b'{"error": "x"}', **headers)
        return True

    return before


def test_a_rate_limit_that_says_when_is_waited_for_and_counted(world: World) -> None:
    with endpoint(linear, before=refuse(429, times=2, Retry_After="0.3")) as mine:
        began = time.monotonic()
        result = judged(world, mine, queries=300)
        took = time.monotonic() - began

    facts = result.environment["endpoint"]
    assert result.verdict == "ok"
    assert facts["repeats"] == {"it answered with status 429": 2}
    assert facts["waited_seconds"] == 0.6
    assert facts["answered_at_once"] == facts["questions"] - 1
    assert facts["requests"] == facts["questions"] + 2
    assert took >= 0.6
    assert facts["items_asked"] == mine.items + 2 * 16 <= 300
    assert "429; asked again after 0.30 s" in result.log


@pytest.mark.parametrize(
    ("before", "verdict", "code"),
    [
        (refuse(429), "timeout", "endpoint_rate_limited"), (refuse(503), "crash", "endpoint_error"),
        (refuse(500), "crash", "endpoint_error"), (refuse(422), "crash", "server_error"),
        (refuse(403), "crash", "endpoint_denied"),
        (refuse(307, Location="http://169.254.169.254/"), "invalid_output", "endpoint_redirect"),
    ],
)  # fmt: skip
def test_each_refusal_has_its_own_verdict(world: World, before: Any, verdict: str, code: str) -> None:
    with endpoint(linear, before=before) as mine:
        result = judged(world, mine)

    assert (result.verdict, result.code) == (verdict, code)
    assert "after 10 answered items" in result.message
    assert result.hint
    assert mine.infers <= 1 + 3


def test_questions_asked_again_count_and_end_a_run_that_cannot_afford_them(world: World) -> None:
    with endpoint(linear, before=refuse(503, after=4)) as mine:
        result = judged(world, mine, queries=N + 60, retries=10)

    assert (result.verdict, result.code) == ("crash", "endpoint_budget")
    assert result.environment["endpoint"]["items_asked"] <= N + 60
    assert mine.items <= N + 60


def test_an_endpoint_that_dies_in_the_middle_is_a_crash(world: World) -> None:
    def die(of: Endpoint, request: Any) -> bool:
        if of.infers > 2:
            request.close_connection = True
            request.connection.close()
        return of.infers > 2

    with endpoint(linear, before=die) as mine:
        result = judged(world, mine)

    assert (result.verdict, result.code) == ("crash", "endpoint_unreachable")
    assert "closed the connection without a whole answer" in result.message


def test_a_huge_reply_is_cut_off(world: World) -> None:
    with endpoint(linear, before=refuse(200, Junk="x")) as mine:
        mine.before = lambda of, request: bool(reply(request, 200, b"x" * 2**20) or True)
        result = judged(world, mine)

    assert result.verdict == "output_limit"
    assert "too large" in result.message


@pytest.mark.parametrize("how", ["name", "private", "gone", "nobody"])
def test_what_is_never_asked_is_told_before_anything_was_sent(world: World, ca: Authority, how: str) -> None:
    place = {"private": Place(), "name": Place(reach=Reach(LOOPBACK, ca.ca))}.get(how, HERE)
    codes = {
        "name": ("invalid_output", "endpoint_tls"), "private": ("invalid_output", "endpoint_address"),
        "gone": ("crash", "endpoint_credential"), "nobody": ("crash", "endpoint_unreachable"),
    }  # fmt: skip
    with endpoint(linear, tls=ca.context("other.example.org")) as mine:
        at = told(mine)
        if how == "gone":
            at = at.model_copy(update={"credential_gone": True})
        if how == "nobody":
            at = at.model_copy(update={"url": "http://127.0.0.1:1/x"})
        result = world.evaluate(world.spec("endpoint", ACCURACY, endpoint=at), place=place)

    assert (result.verdict, result.code) == codes[how]
    assert mine.seen == []
    assert result.environment["endpoint"]["items_asked"] == 0


def test_a_credential_is_sent_and_stands_nowhere_else(world: World) -> None:
    def echo(of: Endpoint, request: Any) -> bool:
        reply(request, 400, json.dumps({"error": f"you sent {request.headers['X-Key']}"}).encode())
        return True

    with endpoint(linear, secret="s3cr3t-of-mine", before=echo) as mine:
        at = told(mine).model_copy(update={"header": "X-Key", "secret": "s3cr3t-of-mine"})
        result = world.evaluate(world.spec("endpoint", ACCURACY, endpoint=at), place=HERE)

    assert mine.infers == 1
    assert result.code == "server_error"
    events = json.dumps([event.model_dump(mode="json") for event in world.events])
    assert "s3cr3t" not in events + json.dumps(result.model_dump(mode="json")) + repr(at)


def test_an_endpoint_that_changes_during_the_run_is_flagged(world: World) -> None:
    asked = 0

    def predict(x: Any) -> Any:
        nonlocal asked
        asked += len(x)
        return linear(x)[:, :: 1 if asked <= 10 + N + 6 else -1]

    with endpoint(predict) as mine:
        result = judged(world, mine)

    facts = result.environment["endpoint"]
    assert result.verdict == "ok"
    assert facts["flags"] == ["endpoint_drift"]
    assert facts["drift"]["share"] > 0.8
    assert 0 < facts["drift"]["low"] < facts["drift"]["share"] <= facts["drift"]["high"]
    assert any("changed during the run" in event.message for event in world.events)


def test_one_answer_that_moved_is_told_and_not_flagged() -> None:
    before = np.tile([0.4, 0.6], (32, 1))
    after = before.copy()
    after[0] = 0.5

    assert drift(before, after)["flagged"] is False
    assert drift(before, after)["differed"] == 1
    after[:3] = 0.5
    assert drift(before, after)["flagged"] is True


def test_an_endpoint_that_dies_before_the_drift_check_keeps_its_results(world: World) -> None:
    def end(of: Endpoint, request: Any) -> bool:
        if of.items >= 10 + N + 6:
            reply(request, 503)
        return of.items >= 10 + N + 6

    with endpoint(linear, before=end) as mine:
        result = judged(world, mine)

    assert result.verdict == "ok"
    assert result.results[0].state == "ok"
    assert result.environment["endpoint"]["drift"]["asked"] == 0
