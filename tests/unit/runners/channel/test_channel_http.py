"""The client against a hostile other end: slow, endless, cut off, lying about lengths."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from runners.channel.client import OipClient
from runners.channel.errors import (
    AnswerTooLarge,
    ChannelClosed,
    ChannelError,
    ChannelTimeout,
    ProtocolError,
    ServerError,
)
from runners.channel.http import HttpConnection
from runners.channel.listener import SOCKET_NAME, Listener
from runners.channel.oip import Expected
from touchstone_client._http import serve_connection
from touchstone_client.serving import Application

Pair = tuple[HttpConnection, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    connection = HttpConnection(ours)
    yield connection, theirs
    connection.close()
    theirs.close()


def _ask(pair: Pair, answer: bytes) -> bytes:
    """Answer once the request came: bytes before it are an error of their own."""

    def answerer() -> None:
        pair[1].recv(1000)
        pair[1].sendall(answer)
        pair[1].shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=answerer)
    thread.start()
    try:
        deadline = time.monotonic() + 2
        return bytes(pair[0].exchange(b"GET / HTTP/1.1\r\n\r\n", b"", limit=1000, deadline=deadline).body)
    finally:
        thread.join()


def test_a_plain_answer(pair: Pair) -> None:
    assert _ask(pair, b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc") == b"abc"


def test_a_chunked_answer(pair: Pair) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert _ask(pair, head + b"3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\nTrailer: x\r\n\r\n") == b"abcde"


WRONG: list[tuple[str, bytes, type[ChannelError]]] = [
    ("nothing", b"", ChannelClosed),
    ("half-head", b"HTTP/1.1 200 OK\r\nConte", ChannelClosed),
    ("half-body", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", ChannelClosed),
    ("not-http", b"hello\r\n\r\n", ProtocolError),
    ("status", b"HTTP/1.1 2x0 OK\r\n\r\n", ProtocolError),
    ("long-status", b"HTTP/1.1 " + b"9" * 5000 + b" OK\r\n\r\n", ProtocolError),
    ("short-status", b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n", ProtocolError),
    ("no-length", b"HTTP/1.1 200 OK\r\n\r\nabc", ProtocolError),
    ("two-lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\ncontent-length: 4\r\n\r\nabc", ProtocolError),
    ("negative", b"HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\nabc", ProtocolError),
    ("underscore", b"HTTP/1.1 200 OK\r\nContent-Length: 1_0\r\n\r\nabc", ProtocolError),
    ("no-colon", b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n", ProtocolError),
    ("too-large", b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n", AnswerTooLarge),
    ("absurd", b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", ProtocolError),
    ("endless-head", b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 20000, AnswerTooLarge),
    ("chunk-too-large", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n", AnswerTooLarge),
    ("chunk-size", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", ProtocolError),
    ("chunk-end", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabcd", ProtocolError),
]


@pytest.mark.parametrize(("answer", "kind"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_wrong_answers(pair: Pair, answer: bytes, kind: type[ChannelError]) -> None:
    with pytest.raises(kind):
        _ask(pair, answer)


def test_an_answer_byte_by_byte_gains_no_time(pair: Pair) -> None:
    stop = threading.Event()

    def drip() -> None:
        for byte in b"HTTP/1.1 200 OK\r\nX: " + b"a" * 500:
            if stop.wait(0.02):
                return
            pair[1].sendall(bytes([byte]))

    thread = threading.Thread(target=drip)
    thread.start()
    began = time.monotonic()
    try:
        with pytest.raises(ChannelTimeout):
            pair[0].exchange(b"GET / HTTP/1.1\r\n\r\n", b"", limit=10, deadline=began + 0.4)
    finally:
        stop.set()
        thread.join()
    assert 0.3 < time.monotonic() - began < 1.5


def test_a_request_nobody_reads_ends_at_the_deadline(pair: Pair) -> None:
    with pytest.raises(ChannelTimeout):
        pair[0].exchange(b"POST / HTTP/1.1\r\n\r\n", bytes(32 * 2**20), limit=10, deadline=time.monotonic() + 0.3)


def test_bytes_before_the_next_question_are_an_error(pair: Pair) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"
    assert _ask(pair, answer + b"HTTP/1.1 200 OK\r\n") == b"a"
    with pytest.raises(ProtocolError, match="before anything was asked"):
        pair[0].exchange(b"GET / HTTP/1.1\r\n\r\n", b"", limit=10, deadline=time.monotonic() + 1)


def test_an_answer_that_waits_before_its_question_is_an_error(pair: Pair) -> None:
    """Else a server that answers ahead would be timed as one that takes no time."""
    pair[1].sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na")
    with pytest.raises(ProtocolError, match="39 bytes came before anything was asked"):
        pair[0].exchange(b"GET / HTTP/1.1\r\n\r\n", b"", limit=10, deadline=time.monotonic() + 1)


def test_a_flood_of_interim_answers_ends_at_once(pair: Pair) -> None:
    with pytest.raises(ProtocolError, match="no Content-Length"):
        _ask(pair, b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)


Y = Expected("y", (2, 2), ("FP32", "FP64"))
X = np.ones((2, 3), np.float32)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Callable[..., OipClient]]:
    """Serve an application from a thread that dials."""
    listener = Listener(tmp_path)
    clients: list[OipClient] = []
    threads: list[threading.Thread] = []

    def dial(handler: Application) -> None:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(listener.folder / SOCKET_NAME))
            serve_connection(connection, handler)

    def make(handler: Application) -> OipClient:
        threads.append(threading.Thread(target=dial, args=(handler,)))
        threads[-1].start()
        clients.append(OipClient(listener, alive=lambda: None))
        return clients[-1]

    yield make
    for client in clients:
        client.close()
    listener.close()
    for thread in threads:
        thread.join(5)


def _soon() -> float:
    return time.monotonic() + 3


def test_ready_metadata_and_questions_on_one_connection(served: Callable[..., OipClient]) -> None:
    client = served(Application(lambda x: x[:, :2] * 2))
    client.wait_ready(_soon())
    assert client.describe(_soon())["inputs"][0]["name"] == "x"
    assert client.binary
    for _ in range(3):
        found = client.infer({"x": X}, [Y], deadline=_soon())
        np.testing.assert_array_equal(found["y"], np.full((2, 2), 2.0))


@pytest.mark.parametrize("polite", [True, False])
def test_a_server_without_keep_alive_dials_for_each_request(tmp_path: Path, polite: bool) -> None:
    """`polite` announces with `Connection: close` that it hangs up; the other one just does."""
    content = b'{"outputs": [{"name": "y", "datatype": "FP32", "shape": [2, 2], "data": [1, 0, 0, 1]}]}'
    close = b"Connection: close\r\n" if polite else b""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n%s" % (len(content), close, content)
    asked = []

    def one_by_one(path: Path) -> None:
        for _ in range(3):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(path))
                asked.append(connection.recv(65536))
                connection.sendall(answer)

    with Listener(tmp_path) as listener:
        thread = threading.Thread(target=one_by_one, args=(listener.folder / SOCKET_NAME,))
        thread.start()
        client = OipClient(listener, alive=lambda: None)
        for _ in range(3):
            np.testing.assert_array_equal(client.infer({"x": X}, [Y], deadline=_soon())["y"], np.eye(2))
        thread.join()
        client.close()
    assert len(asked) == 3


def test_an_exception_in_predict_is_told_and_the_connection_lives(
    served: Callable[..., OipClient], capsys: pytest.CaptureFixture[str]
) -> None:
    def predict(x: np.ndarray) -> np.ndarray:
        if x.sum() > 100:
            raise RuntimeError("too much")
        return x[:, :2]

    client = served(Application(predict))
    with pytest.raises(ServerError, match="RuntimeError: too much") as caught:
        client.infer({"x": X * 100}, [Y], deadline=_soon())
    assert caught.value.status == 500
    assert "Traceback" in capsys.readouterr().err
    assert client.infer({"x": X}, [Y], deadline=_soon())["y"].shape == (2, 2)


def test_a_dead_sandbox_is_noticed_while_waiting(tmp_path: Path) -> None:
    def dead() -> None:
        raise RuntimeError("it ended")

    with Listener(tmp_path) as listener, pytest.raises(RuntimeError, match="it ended"):
        OipClient(listener, alive=dead).connect(_soon())


def test_the_socket_s_folder_is_closed_to_other_users(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    with Listener(deep) as listener:
        assert listener.folder.parent.stat().st_mode & 0o777 == 0o700
        assert (listener.folder / SOCKET_NAME).stat().st_mode & 0o777 == 0o666
        assert listener.accept(0.01) is None
    assert list(deep.iterdir()) == []
