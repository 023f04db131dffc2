"""Retries: what is repeated, for how long, and what never is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from touchstone_client import transport as module
from touchstone_client.errors import ClientError, ConnectionFailed, ExitCode
from touchstone_client.sdk import Client
from touchstone_client.transport import Transport

Answer = httpx.Response | Exception


@pytest.fixture(autouse=True)
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    pauses: list[float] = []
    clock = [0.0]

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        clock[0] += seconds

    monkeypatch.setattr(module.time, "sleep", sleep)
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    return pauses


def _server(*answers: Answer) -> tuple[Transport, list[httpx.Request]]:
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        answer = answers[min(len(seen), len(answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer

    http = Transport(url="https://a.example", token="ts_x", patience=30, transport=httpx.MockTransport(handle))
    return http, seen


def ok() -> httpx.Response:
    return httpx.Response(200, json={"ok": True})


def problem(status: int, code: str, **headers: str) -> httpx.Response:
    body = {"title": "T", "detail": "D", "code": code, "hint": "H", "request_id": "r1", "status": status}
    return httpx.Response(status, json=body, headers=headers)


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_restarting_server_is_survived(status: int) -> None:
    http, seen = _server(httpx.Response(status), httpx.ConnectError("refused"), ok())
    assert http.json("GET", "me") == {"ok": True}
    assert len(seen) == 3
    assert seen[0].headers["authorization"] == "Bearer ts_x"


def test_patience_ends(slept: list[float]) -> None:
    http, _ = _server(httpx.ConnectError("refused"))
    with pytest.raises(ConnectionFailed, match="cannot be reached") as caught:
        http.json("GET", "me")
    assert caught.value.exit_code == ExitCode.UNEXPECTED
    assert 30 <= sum(slept) < 45


@pytest.mark.parametrize("failure", [httpx.ReadTimeout("slow"), httpx.ReadError("cut"), httpx.Response(503)])
def test_what_may_have_been_done_is_not_done_twice(failure: Answer) -> None:
    http, seen = _server(failure, ok())
    with pytest.raises(ClientError):
        http.json("POST", "tokens", json={})
    assert len(seen) == 1


def test_what_was_never_sent_is_sent_again() -> None:
    http, seen = _server(httpx.ConnectError("refused"), ok())
    assert http.json("POST", "tokens", json={}) == {"ok": True}
    assert len(seen) == 2


def test_too_many_requests_waits_as_told(slept: list[float]) -> None:
    http, seen = _server(problem(429, "throttled", **{"retry-after": "7"}), ok())
    assert http.json("POST", "tokens", json={}) == {"ok": True}
    assert slept == [7.0]
    assert len(seen) == 2


def test_a_used_quota_is_not_waited_for() -> None:
    http, seen = _server(problem(429, "over_quota", **{"retry-after": "5"}), ok())
    with pytest.raises(ClientError) as caught:
        http.json("POST", "submissions", json={}, repeat=True)
    assert caught.value.exit_code == ExitCode.QUOTA_OR_CLOSED
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("answer", "exit_code"),
    [
        (problem(401, "bad_token"), ExitCode.AUTH),
        (problem(403, "not_joined"), ExitCode.AUTH),
        (problem(400, "phase_closed"), ExitCode.QUOTA_OR_CLOSED),
        (problem(404, "not_found"), ExitCode.UNEXPECTED),
        (httpx.Response(422, json={"detail": "D", "defects": [{"message": "m", "line": 3}]}), ExitCode.INVALID),
        (httpx.Response(403, text="<html>"), ExitCode.AUTH),
    ],
)
def test_exit_codes_of_problems(answer: httpx.Response, exit_code: ExitCode) -> None:
    http, _ = _server(answer)
    with pytest.raises(ClientError) as caught:
        http.json("GET", "me")
    assert caught.value.exit_code == exit_code


def test_a_problem_keeps_hint_and_request_id() -> None:
    http, _ = _server(problem(404, "not_found"))
    with pytest.raises(ClientError, match="D") as caught:
        http.json("GET", "me")
    assert (caught.value.hint, caught.value.request_id, caught.value.code) == ("H", "r1", "not_found")


def test_an_address_that_is_no_touchstone_is_told() -> None:
    http, _ = _server(httpx.Response(200, text="<html>hello</html>"))
    with pytest.raises(ClientError, match="did not answer with JSON"):
        http.json("GET", "me")


def test_a_redirect_does_not_carry_the_token_away() -> None:
    http, seen = _server(httpx.Response(302, headers={"location": "https://evil.example/"}))
    with pytest.raises(ClientError, match="sends to another address"):
        http.json("GET", "me")
    assert len(seen) == 1


def test_a_damaged_download_leaves_nothing(tmp_path: Path) -> None:
    from touchstone_client.types import SplitFile

    handler: Callable[[httpx.Request], httpx.Response] = lambda request: httpx.Response(200, content=b"damaged")  # noqa: E731
    client = Client("https://a.example", transport=httpx.MockTransport(handler))
    target = tmp_path / "x.csv"
    with pytest.raises(ClientError, match="arrived damaged"):
        client.download("c", "s", SplitFile("x.csv", "0" * 64, 7), target)
    assert list(tmp_path.iterdir()) == []


def test_a_wait_survives_a_restart_of_the_server() -> None:
    page = {"items": [], "next_after": 3, "status": "running", "final": False, "queue_position": None}
    last = {
        "id": "s1", "competition": "c", "phase": "p", "kind": "code", "status": "scored", "final": True,
        "participant": "me", "message": "", "created_at": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    answers: list[Answer] = [
        httpx.Response(200, json=page),
        httpx.ConnectError("refused"),
        httpx.Response(502, text="<html>"),
        httpx.ReadError("cut"),
        httpx.Response(200, json={**page, "final": True}),
        httpx.Response(200, json=last),
    ]
    seen: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    client = Client("https://a.example", transport=httpx.MockTransport(handle))
    assert client.wait("s1", timeout=600).status == "scored"
    assert seen[1].endswith("/submissions/s1/events?after=3")
