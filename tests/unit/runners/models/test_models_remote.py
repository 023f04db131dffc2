"""Endpoints at the edges: services that wake up, clocks that run out, and headers that no calendar has."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

import httpx
import pytest

from runners.channel.errors import ChannelTimeout
from runners.contract import EndpointRef
from runners.models import _remote
from runners.models._remote import RemoteClient, Trouble
from runners.models._usage import Usage
from runners.outbound import Reach
from runners.spec.models import EndpointSpec
from tests.factories.https_server import LOOPBACK, reply, serving


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_remote, "_FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(_remote, "_READY_PAUSE_S", 0.01)


@contextmanager
def client(port: int, **budget: object) -> Iterator[RemoteClient]:
    told = EndpointSpec.model_validate({"rate": 1000, "timeout": "2s", "retries": 1, **budget})
    at = EndpointRef(url=f"http://127.0.0.1:{port}", budget=told)
    made = RemoteClient(at, Usage(most=100), Reach(LOOPBACK))
    try:
        yield made
    finally:
        made.close()


def test_a_service_that_wakes_up_is_waited_for_longer_than_a_request_is_repeated() -> None:
    asked: list[str] = []

    def waking(request: BaseHTTPRequestHandler) -> None:
        asked.append(request.path)
        reply(request, 503 if len(asked) <= 5 else 200)

    with serving(waking) as port, client(port) as asking:
        asking.wait_ready(time.monotonic() + 10)
    assert len(asked) == 6


def test_a_service_that_never_wakes_up_is_late() -> None:
    with (
        serving(lambda request: reply(request, 503)) as port, client(port) as asking,
        pytest.raises(ChannelTimeout, match="never answered 200"),
    ):  # fmt: skip
        asking.wait_ready(time.monotonic() + 0.3)


def test_a_ping_for_which_no_time_is_left_tells_nothing() -> None:
    with serving(lambda request: reply(request, 200)) as port, client(port, rate=0.1) as asking:
        asking.ping(time.monotonic() + 5)
        asking.ping(time.monotonic() + 5)  # its turn would come in ten seconds


@pytest.mark.parametrize(
    "text",
    ["Mon, 01 Jan 99999999999999999999 00:00:00 GMT", "Mon, 01 Jan 2029 00:00:00 +99999999999999", "nan", "soon"],
)
def test_a_pause_that_no_clock_can_hold_is_none(text: str) -> None:
    assert _remote._asked_pause(text) is None


def test_an_answer_that_breaks_off_is_asked_again() -> None:
    asked: list[str] = []

    def broken(request: BaseHTTPRequestHandler) -> None:
        asked.append(request.path)
        request.send_response(200)
        request.send_header("Content-Length", "100")
        request.end_headers()
        request.wfile.write(b"half")
        request.close_connection = True

    with (
        serving(broken) as port, client(port) as asking,
        pytest.raises(Trouble, match="without a whole answer") as caught,
    ):  # fmt: skip
        asking.describe(time.monotonic() + 5)
    assert caught.value.code == "endpoint_unreachable"
    assert len(asked) == 2


def test_time_that_is_over_before_the_look_up_is_an_error_of_time() -> None:
    with _remote.outbound_client(timeout=1e-9, max_bytes=10) as hurried, pytest.raises(httpx.TimeoutException):
        hurried.get("https://models.example.org/")
