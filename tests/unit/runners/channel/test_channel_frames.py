"""The framed form of the protocol: the same answers as by HTTP, and the same errors from a hostile other end."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runners.channel import frames
from runners.channel.client import OipClient
from runners.channel.errors import (
    AnswerTooLarge,
    ChannelClosed,
    ChannelError,
    ChannelTimeout,
    ProtocolError,
    ServerError,
)
from runners.channel.frames import ANSWER, ASK, ERROR, MAGIC, PREFIX, FrameConnection
from runners.channel.listener import SOCKET_NAME, Listener
from runners.channel.oip import Expected, frame_head
from touchstone_client import _frames
from touchstone_client._http import serve_connection
from touchstone_client._reply import Reply, json_reply
from touchstone_client.serving import Application

Y = Expected("y", (2, 2), ("FP32", "FP64"))
X = np.arange(6, dtype=np.float32).reshape(2, 3)
HEAD = frame_head("infer", {"x": X}, [Y])
SHORT = struct.Struct("<4sBBHI")


def _soon(seconds: float = 3.0) -> float:
    return time.monotonic() + seconds


def test_both_sides_mean_the_same() -> None:
    names = ("EXTENSION", "PROTOCOL", "MAGIC", "ASK", "ANSWER", "ERROR", "HEAD_LIMIT")
    assert [getattr(frames, name) for name in names] == [getattr(_frames, name) for name in names]
    assert frames.PREFIX.format == _frames.PREFIX.format
    assert PREFIX.size == 24


class Peer:
    """The other end: answers each question with `answer(number)`, one after the other."""

    def __init__(self, *answers: Callable[[int], bytes], close: bool = True) -> None:
        ours, self.socket = socket.socketpair()
        self.connection = FrameConnection(ours)
        self.asked: list[tuple[Any, ...]] = []
        self._answers, self._close = answers, close
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        for answer in self._answers:
            question = self.socket.recv(65536)
            self.asked.append(PREFIX.unpack(question[: PREFIX.size]))
            self.socket.sendall(answer(self.asked[-1][4]))
        if self._close:
            self.socket.shutdown(socket.SHUT_WR)

    def ask(self, deadline: float | None = None) -> np.ndarray:
        return self.connection.ask(HEAD, [X], [Y], deadline=deadline or _soon())["y"]

    def end(self) -> None:
        self._thread.join()
        self.connection.close()
        self.socket.close()


@pytest.fixture
def peer() -> Iterator[Callable[..., Peer]]:
    made: list[Peer] = []

    def make(*answers: Callable[[int], bytes], **options: bool) -> Peer:
        made.append(Peer(*answers, **options))
        return made[-1]

    yield make
    for one in made:
        one.end()


def _described(**changes: Any) -> dict[str, Any]:
    return {"name": "y", "datatype": "FP32", "shape": [2, 2], "parameters": {"binary_data_size": 16}, **changes}


def _frame(
    number: int, *outputs: dict[str, Any], data: bytes = bytes(16), kind: int = ANSWER, status: int = 0, **lies: int
) -> bytes:
    head = json.dumps({"outputs": list(outputs or (_described(),))}).encode()
    sizes = {"head_size": len(head), "data_size": len(data), **lies}
    return PREFIX.pack(MAGIC, kind, 0, status, number, sizes["head_size"], sizes["data_size"]) + head + data


def _error(number: int, status: int, head: bytes, size: int = 0) -> bytes:
    return PREFIX.pack(MAGIC, ERROR, 0, status, number, len(head), size) + head


def test_answers_on_one_connection_and_numbers_nobody_can_guess(peer: Callable[..., Peer]) -> None:
    one = np.array([[1, 2], [3, 4]], "<f4")
    two = one.astype("<f8")
    described = _described(datatype="FP64", parameters={"binary_data_size": 32})
    other = peer(
        lambda number: _frame(number, data=one.tobytes()), lambda number: _frame(number, described, data=two.tobytes()),
        *[lambda number: _frame(number, data=one.tobytes())] * 20,
    )  # fmt: skip
    for _ in range(22):
        np.testing.assert_array_equal(other.ask(), one)
    numbers = [asked[4] for asked in other.asked]
    assert len(set(numbers)) == 22
    assert len({b - a for a, b in pairwise(numbers)}) > 15
    assert {asked[:4] + asked[5:] for asked in other.asked} == {(MAGIC, ASK, 0, 0, len(HEAD), 24)}


#: name, answer to a number, error, part of its text
WRONG: list[tuple[str, Callable[[int], bytes], type[ChannelError], str]] = [
    ("nothing", lambda n: b"", ChannelClosed, "without an answer"),
    ("half-prefix", lambda n: _frame(n)[:10], ChannelClosed, "middle of an answer"),
    ("half-head", lambda n: _frame(n)[:40], ChannelClosed, "middle of an answer"),
    ("half-data", lambda n: _frame(n)[:-1], ChannelClosed, "middle of an answer"),
    ("http", lambda n: b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", ProtocolError, "prefix"),
    ("magic", lambda n: b"TSF2" + _frame(n)[4:], ProtocolError, "prefix"),
    ("kind", lambda n: _frame(n, kind=ASK), ProtocolError, "prefix"),
    ("reserved", lambda n: SHORT.pack(MAGIC, ANSWER, 1, 0, n) + _frame(n)[12:], ProtocolError, "prefix"),
    ("number", lambda n: _frame(n ^ 1), ProtocolError, "number"),
    ("status", lambda n: _frame(n, status=200), ProtocolError, "status"),
    ("head-lie", lambda n: _frame(n, head_size=2**32 - 1), AnswerTooLarge, "head"),
    ("data-lie", lambda n: _frame(n, data_size=2**63), AnswerTooLarge, "at most"),
    ("too-large", lambda n: PREFIX.pack(MAGIC, ANSWER, 0, 0, n, 9, 70_000), AnswerTooLarge, "at most 65696"),
    ("rest", lambda n: _frame(n) + b"x", ProtocolError, "1 bytes follow"),
    ("more-data-than-told", lambda n: _frame(n, data=bytes(20)), ProtocolError, "4 bytes of the answer belong to no"),
    ("less-data-than-told", lambda n: _frame(n, data=bytes(12)), ProtocolError, "binary_data_size is no number"),
    ("shape", lambda n: _frame(n, _described(shape=[4])), ProtocolError, r"shape \[4\], expected \[2, 2\]"),
    ("datatype", lambda n: _frame(n, _described(datatype="INT32")), ProtocolError, "datatype INT32, expected FP32"),
    ("json-data", lambda n: _frame(n, _described(parameters={}, data=[0] * 4), data=b""), ProtocolError, "no binary"),
    ("no-json", lambda n: PREFIX.pack(MAGIC, ANSWER, 0, 0, n, 3, 0) + b"abc", ProtocolError, "not JSON"),
    ("name", lambda n: _frame(n, _described(name="z")), ProtocolError, "no output 'y'"),
    ("error-without-status", lambda n: _error(n, 0, b"{}"), ProtocolError, "status"),
    ("error-with-tensors", lambda n: _error(n, 500, b"{}", 16), ProtocolError, "status"),
    ("error", lambda n: _error(n, 503, b'{"error": "MemoryError: no"}'), ServerError, "MemoryError: no"),
    ("error-no-json", lambda n: _error(n, 400, b"\xff???"), ServerError, r"\?\?\?"),
]


@pytest.mark.parametrize(("answer", "kind", "text"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_wrong_answers(
    peer: Callable[..., Peer], answer: Callable[[int], bytes], kind: type[ChannelError], text: str
) -> None:
    with pytest.raises(kind, match=text) as caught:
        peer(answer).ask()
    assert type(caught.value) is kind


def test_after_an_error_the_connection_goes_on(peer: Callable[..., Peer]) -> None:
    other = peer(lambda number: _error(number, 500, b'{"error": "once"}'), lambda number: _frame(number))
    with pytest.raises(ServerError, match="once"):
        other.ask()
    assert other.ask().shape == (2, 2)


def test_an_answer_ahead_of_its_question_is_an_error(peer: Callable[..., Peer]) -> None:
    """A server that knows what comes next must not be timed as one that needs no time."""
    other = peer(lambda number: _frame(number), close=False)
    other.ask()
    other.socket.sendall(_frame(other.asked[0][4] + 1))
    with pytest.raises(ProtocolError, match="number"):
        other.ask()


def test_an_answer_byte_by_byte_gains_no_time(peer: Callable[..., Peer]) -> None:
    stop = threading.Event()
    other = peer(close=False)

    def drip() -> None:
        other.socket.recv(65536)
        for byte in MAGIC + bytes(20):
            if stop.wait(0.03):
                return
            other.socket.sendall(bytes([byte]))

    thread = threading.Thread(target=drip)
    thread.start()
    began = time.monotonic()
    try:
        with pytest.raises(ChannelTimeout):
            other.ask(began + 0.3)
    finally:
        stop.set()
        thread.join()
    assert time.monotonic() - began >= 0.3


def test_a_question_nobody_reads_ends_at_the_deadline(peer: Callable[..., Peer]) -> None:
    big = np.zeros(2**23, np.float32)
    with pytest.raises(ChannelTimeout, match="did not take"):
        peer().connection.ask(b"{}", [big], [Y], deadline=_soon(0.2))


def test_the_deadline_was_over_before(peer: Callable[..., Peer]) -> None:
    with pytest.raises(ChannelTimeout):
        peer().ask(time.monotonic() - 1)


@settings(max_examples=150, deadline=None)
@given(answer=st.binary(max_size=120), number=st.booleans())
def test_no_bytes_bring_anything_but_a_channel_error(answer: bytes, number: bool) -> None:
    """With `number`, what comes is made a frame up to its sizes, so that the rest is reached."""
    other = Peer(lambda n: (PREFIX.pack(MAGIC, ANSWER, 0, 0, n, *_sizes(answer)) if number else b"") + answer)
    try:
        with pytest.raises(ChannelError):
            other.ask()
    finally:
        other.end()


def _sizes(answer: bytes) -> tuple[int, int]:
    return (answer[0] % (len(answer) + 1), len(answer)) if answer else (0, 0)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Callable[..., OipClient]]:
    """Serve a handler from a thread that dials, as often as told."""
    listener = Listener(tmp_path)
    clients: list[OipClient] = []
    threads: list[threading.Thread] = []

    def dial(handler: Callable[..., Reply], times: int) -> None:
        for _ in range(times):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(listener.folder / SOCKET_NAME))
                serve_connection(connection, handler)

    def make(handler: Callable[..., Reply], times: int = 1) -> OipClient:
        threads.append(threading.Thread(target=dial, args=(handler, times)))
        threads[-1].start()
        clients.append(OipClient(listener, alive=lambda: None))
        return clients[-1]

    yield make
    for client in clients:
        client.close()
    listener.close()
    for thread in threads:
        thread.join(5)


def _predict(x: np.ndarray) -> np.ndarray:
    if not x.flags.writeable or not x.flags.aligned:
        raise AssertionError("the function may write into what it is given")
    if x.sum() < 0:
        raise RuntimeError("negative")
    return (x[:, :2] * 3).astype(np.float64)


def _differentiate(x: np.ndarray, y: np.ndarray, loss: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return y.astype(np.float64), x * len(loss), x[:, :2].astype(np.float64)


def test_the_client_switches_and_hears_the_same(served: Callable[..., OipClient]) -> None:
    client = served(Application(_predict, gradient=_differentiate))
    client.wait_ready(_soon())
    client.describe(_soon())
    assert client.framed
    for n in (1, 2, 40_000):  # beyond what a socket's buffer holds, in both directions
        x = np.random.default_rng(n).random((n, 3), dtype=np.float32)
        found = client.infer({"x": x}, [Expected("y", (n, 2))], deadline=_soon())
        np.testing.assert_array_equal(found["y"], (x[:, :2] * 3).astype(np.float64))
    for _ in range(2):
        found = client.infer({"x": X}, [Expected("", (2, 2))], deadline=_soon())
        np.testing.assert_array_equal(found[""], X[:, :2] * 3)
    expected = [Expected("loss", (2,)), Expected("gradient", (2, 3)), Expected("logits", (2, 2))]
    given = {"x": X, "y": np.array([3, 4])}
    for loss in ("margin", "cross_entropy"):
        found = client.infer(given, expected, deadline=_soon(), action="gradient", parameters={"loss": loss})
        np.testing.assert_array_equal(found["gradient"], X * len(loss))
        np.testing.assert_array_equal(found["loss"], [3.0, 4.0])


@pytest.mark.parametrize("framed", [True, False])
def test_errors_are_told_alike(
    served: Callable[..., OipClient], framed: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    client = served(Application(_predict))
    client.describe(_soon())
    client.framed = framed
    for inputs, status, text in (
        ({"x": -X - 1}, 500, "RuntimeError: negative"),
        ({"z": X}, 400, "input 'x' is missing; given: z"),
    ):
        with pytest.raises(ServerError, match=text) as caught:
            client.infer(inputs, [Y], deadline=_soon())
        assert caught.value.status == status
    with pytest.raises(ServerError, match="no output 'q'"):
        client.infer({"x": X}, [Expected("q", (2, 2))], deadline=_soon())
    with pytest.raises(ServerError):
        client.infer({"x": X}, [Y], deadline=_soon(), action="gradient")
    with pytest.raises(ProtocolError, match=r"shape \[2, 2\], expected \[2, 5\]"):
        client.infer({"x": X}, [Expected("y", (2, 5))], deadline=_soon())
    assert "Traceback" in capsys.readouterr().err


def test_a_second_connection_begins_with_http_again(served: Callable[..., OipClient]) -> None:
    client = served(Application(_predict), times=3)
    client.describe(_soon())
    for _ in range(2):
        assert client.infer({"x": X}, [Y], deadline=_soon())["y"].shape == (2, 2)
        client.close()
    assert client.describe(_soon())["name"] == "model"


@pytest.mark.parametrize("answer", [200, 404, 501])
def test_a_server_that_will_not_switch_is_asked_by_http(served: Callable[..., OipClient], answer: int) -> None:
    real = Application(_predict)

    def handler(request: Any) -> Reply:
        return json_reply({}, answer) if "upgrade" in request.headers else real(request)

    client = served(handler)
    client.describe(_soon())
    np.testing.assert_array_equal(client.infer({"x": X}, [Y], deadline=_soon())["y"], X[:, :2] * 3)
    assert not client.framed
    assert client.binary


def test_a_switch_to_something_else_is_an_error(served: Callable[..., OipClient]) -> None:
    real = Application(_predict)

    def handler(request: Any) -> Reply:
        if "upgrade" not in request.headers:
            return real(request)
        return Reply(101, (("Upgrade", "websocket"),), b"", lambda connection, begun: False)

    client = served(handler)
    client.describe(_soon())
    with pytest.raises(ProtocolError, match="another protocol"):
        client.infer({"x": X}, [Y], deadline=_soon())
