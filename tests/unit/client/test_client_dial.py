"""The sandbox's end of the channel: it dials, and dials again where the platform's end was restarted."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from runners.channel.client import OipClient
from runners.channel.errors import ChannelTimeout
from runners.channel.listener import SOCKET_NAME, Listener
from runners.channel.oip import Expected
from touchstone_client.serving import Application, dial

X = np.ones((2, 3), np.float32)


class Dialler:
    """`dial` in a thread. `gate` holds the model's answers back."""

    def __init__(self, path: Path, again: float) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.asked = threading.Event()
        handler = Application(self._predict)
        self.thread = threading.Thread(target=dial, args=(str(path), handler), kwargs={"again": again})
        self.thread.start()

    def _predict(self, x: np.ndarray) -> np.ndarray:
        self.asked.set()
        self.gate.wait(10)
        return x[:, :2]


@pytest.fixture
def diallers() -> Iterator[list[Dialler]]:
    made: list[Dialler] = []
    yield made
    for one in made:
        one.gate.set()
        one.thread.join(10)
        assert not one.thread.is_alive()


def _client(listener: Listener) -> OipClient:
    client = OipClient(listener, alive=lambda: None)
    client.wait_ready(time.monotonic() + 5)
    client.describe(time.monotonic() + 5)
    return client


def _infer(client: OipClient, seconds: float = 5.0) -> None:
    found = client.infer({"x": X}, [Expected("y", (2, 2), ("FP32",))], deadline=time.monotonic() + seconds)
    np.testing.assert_array_equal(found["y"], X[:, :2])


def _vanish(listener: Listener) -> None:
    """As if the process had been killed: the socket's file stays, and nobody listens."""
    listener._socket.close()


@pytest.mark.parametrize("framed", [True, False])
def test_a_restarted_platform_is_dialled_again(tmp_path: Path, diallers: list[Dialler], framed: bool) -> None:
    first = Listener(tmp_path, name="run-1")
    diallers.append(Dialler(first.folder / SOCKET_NAME, again=10.0))
    client = _client(first)
    client.framed = framed
    _infer(client)
    client.close()
    _vanish(first)
    time.sleep(0.12)  # it finds nobody, and tries on
    with Listener(tmp_path, name="run-1") as second:
        assert second.folder == first.folder
        client = _client(second)
        client.framed = framed
        _infer(client)
        client.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("framed", [True, False])
def test_a_platform_killed_while_the_model_computes_is_dialled_again(
    tmp_path: Path, diallers: list[Dialler], framed: bool
) -> None:
    first = Listener(tmp_path, name="run-1")
    diallers.append(Dialler(first.folder / SOCKET_NAME, again=10.0))
    client = _client(first)
    client.framed = framed
    diallers[0].gate.clear()
    with pytest.raises(ChannelTimeout):
        _infer(client, 0.3)
    assert diallers[0].asked.is_set()
    client.close()
    _vanish(first)
    diallers[0].gate.set()  # the answer meets a closed connection
    with Listener(tmp_path, name="run-1") as second:
        client = _client(second)
        _infer(client)
        client.close()


def test_it_ends_at_once_where_the_socket_is_gone(tmp_path: Path, diallers: list[Dialler]) -> None:
    with Listener(tmp_path) as listener:
        diallers.append(Dialler(listener.folder / SOCKET_NAME, again=600.0))
        client = _client(listener)
    client.close()
    diallers[0].thread.join(5)
    assert not diallers[0].thread.is_alive()


def test_it_ends_when_nobody_listens_for_long(tmp_path: Path, diallers: list[Dialler]) -> None:
    listener = Listener(tmp_path, name="run")
    diallers.append(Dialler(listener.folder / SOCKET_NAME, again=0.2))
    client = _client(listener)
    _vanish(listener)
    client.close()
    diallers[0].thread.join(5)
    assert not diallers[0].thread.is_alive()


@pytest.mark.parametrize("said", [b"nonsense\r\n\r\n", b"GET /v2 HTTP/1.1\r\nContent-Length: x\r\n\r\n"])
def test_it_ends_after_a_broken_conversation(tmp_path: Path, diallers: list[Dialler], said: bytes) -> None:
    with Listener(tmp_path) as listener:
        diallers.append(Dialler(listener.folder / SOCKET_NAME, again=600.0))
        connection = listener.accept(5)
        assert connection is not None
        with connection:
            connection.sendall(said)
            assert connection.recv(1000).startswith(b"HTTP/1.1 400")
        diallers[0].thread.join(5)
        assert not diallers[0].thread.is_alive()


def test_nobody_at_the_first_try_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        dial(str(tmp_path / "none"), Application(lambda x: x))
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "dead"))
    with pytest.raises(ConnectionRefusedError):
        dial(str(tmp_path / "dead"), Application(lambda x: x))


def test_an_old_listener_leaves_its_successor_alone(tmp_path: Path) -> None:
    old = Listener(tmp_path, name="run")
    with Listener(tmp_path, name="run") as new:
        old.close()
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(new.folder / SOCKET_NAME))
            accepted = new.accept(5)
            assert accepted is not None
            accepted.close()
        assert new.folder.parent.stat().st_mode & 0o777 == 0o700
    assert list(tmp_path.iterdir()) == []
