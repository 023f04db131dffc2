"""The program that brings a TCP server to the platform, and the labels that ask for it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from runners.channel import bridging
from runners.channel.bridging import Bridged, wanted
from runners.channel.client import OipClient
from runners.channel.listener import SOCKET_NAME, Listener
from runners.channel.oip import Expected
from runners.errors import ParticipantFault, RetryableError

CLIENT = Path(__file__).parents[4] / "client"
SERVER = """
import os
assert "TOUCHSTONE_SOCKET" not in os.environ
from touchstone_client import serve
serve(lambda x: x[:, :2] * 2, name="theirs")
"""
COMMAND = ("server", "--flag")


def test_labels_ask_for_it() -> None:
    assert wanted({}, COMMAND) is None
    assert wanted({"org.touchstone.model": "m"}, COMMAND) is None
    assert wanted({"org.touchstone.port": "8000"}, COMMAND) == Bridged(8000, "model")
    found = wanted({"org.touchstone.port": " 65535 ", "org.touchstone.model": "a.b-c_1"}, COMMAND)
    assert found == Bridged(65535, "a.b-c_1")
    assert found.argv(COMMAND) == ("/run/touchstone/bridge", "65535", "--", *COMMAND)


@pytest.mark.parametrize(
    ("port", "model"),
    [("0", "m"), ("65536", "m"), ("-1", "m"), ("8e3", "m"), ("٣", "m"), ("9" * 99, "m"), ("80", ""), ("80", "a b"),
     ("80", "../x"), ("80", "a\r\nX: y"), ("80", "m" * 101)],
)  # fmt: skip
def test_labels_that_make_no_sense_are_refused(port: str, model: str) -> None:
    with pytest.raises(ParticipantFault, match=r"label org\.touchstone\.(port|model) is"):
        wanted({"org.touchstone.port": port, "org.touchstone.model": model}, COMMAND)


def test_an_image_without_a_command_is_refused() -> None:
    with pytest.raises(ParticipantFault, match="no command"):
        wanted({"org.touchstone.port": "8000"}, ())


def test_a_node_without_compiler_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TOUCHSTONE_BRIDGE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RetryableError, match=r"no C compiler.*install gcc, or set TOUCHSTONE_BRIDGE"):
        bridging.program()
    monkeypatch.setenv("TOUCHSTONE_BRIDGE", str(tmp_path / "none"))
    with pytest.raises(RetryableError, match="is no program"):
        bridging.program()
    monkeypatch.setenv("TOUCHSTONE_BRIDGE", "/bin/sh")
    assert bridging.program() == Path("/bin/sh")


def test_a_compiler_that_fails_is_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    failing = tmp_path / "cc"
    failing.write_text("#!/bin/sh\necho 'no libc.a here' >&2\nexit 1\n")
    failing.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(RetryableError, match=r"no libc\.a here"):
        bridging.build(tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cc"]


def test_it_is_built_once_and_shown_to_a_sandbox(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TOUCHSTONE_BRIDGE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    built = bridging.program()
    assert bridging.program() == built
    assert [path.name for path in built.parent.iterdir()] == [built.name]
    bridging.show(tmp_path)
    bridging.show(tmp_path)
    assert (tmp_path / "bridge").stat().st_mode & 0o777 == 0o755
    assert subprocess.run([tmp_path / "bridge"], capture_output=True).returncode == 2


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []

    def run(path: Path, port: int, *command: str) -> subprocess.Popen[bytes]:
        started.append(
            subprocess.Popen(
                [bridging.program(), str(port), "--", *command],
                env={
                    "PATH": os.environ["PATH"], "PYTHONPATH": str(CLIENT), "TOUCHSTONE_SOCKET": str(path),
                    "TOUCHSTONE_PORT": str(port),
                }, stderr=subprocess.PIPE,
            )
        )  # fmt: skip
        return started[-1]

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def _ask(client: OipClient, items: int) -> None:
    deadline = time.monotonic() + 20
    x = np.random.default_rng(items).random((items, 3), dtype=np.float32)
    found = client.infer({"x": x}, [Expected("y", (items, 2), ("FP32",))], deadline=deadline)
    np.testing.assert_array_equal(found["y"], x[:, :2] * 2)


def test_a_server_is_reached_by_its_model_s_name(tmp_path: Path, start: Callable[..., subprocess.Popen[bytes]]) -> None:
    """Frames pass as well as HTTP: it carries bytes. A platform that was restarted is dialled again."""
    port = _free_port()
    listener = Listener(tmp_path, name="run")
    process = start(listener.folder / SOCKET_NAME, port, sys.executable, "-c", SERVER)
    for framed in (True, False):
        client = OipClient(listener, alive=lambda: None, model="theirs")
        client.wait_ready(time.monotonic() + 20)
        assert client.describe(time.monotonic() + 20)["name"] == "theirs"
        assert client.framed
        client.framed = framed
        for items in (1, 7, 400_000):  # the last fills every buffer on the way, in both directions
            _ask(client, items)
        client.close()
        listener._socket.close()  # as if the platform's program had been killed
        listener = Listener(tmp_path, name="run")
    listener.close()
    assert process.wait(10) == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=1)


def test_it_ends_as_its_server_ends(tmp_path: Path, start: Callable[..., subprocess.Popen[bytes]]) -> None:
    path = tmp_path / "none"
    process = start(path, _free_port(), sys.executable, "-c", "raise SystemExit(5)")
    said = process.communicate(timeout=10)[1]
    assert process.returncode == 5
    assert b"ended with code 5 before it listened" in said
    process = start(path, _free_port(), "/no/such/program")
    assert b"cannot start /no/such/program" in process.communicate(timeout=10)[1]
    assert process.returncode == 127
    with Listener(tmp_path) as listener:
        code = "import os, signal, threading; threading.Timer(1, os.kill, (os.getpid(), 9)).start()\n" + SERVER
        process = start(listener.folder / SOCKET_NAME, _free_port(), sys.executable, "-c", code)
        assert process.wait(10) == 128 + signal.SIGKILL


def test_it_passes_a_signal_on_and_ends(tmp_path: Path, start: Callable[..., subprocess.Popen[bytes]]) -> None:
    port = _free_port()
    with Listener(tmp_path) as listener:
        process = start(listener.folder / SOCKET_NAME, port, sys.executable, "-c", SERVER)
        client = OipClient(listener, alive=lambda: None)
        client.wait_ready(time.monotonic() + 20)
        process.terminate()
        assert process.wait(10) in (128 + signal.SIGTERM, 0)
        client.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=1)


def test_nobody_to_dial_is_an_error(tmp_path: Path, start: Callable[..., subprocess.Popen[bytes]]) -> None:
    process = start(tmp_path / "none", _free_port(), sys.executable, "-c", SERVER)
    assert b"platform's socket" in process.communicate(timeout=10)[1]
    assert process.returncode == 1


#: Answers one question, as `how` says, once the bridge and all buffers behind it are full; then tells so by a file.
TALKER = """
import fcntl, os, pathlib, socket, struct, sys, time
port, how, done = int(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3])
listener = socket.create_server(("127.0.0.1", port))
listener.accept()[0].close()  # the bridge looks whether somebody listens
connection = listener.accept()[0]
connection.recv(1)
if how == "exits":
    connection.sendall(b"a" * 3_000_000)
    done.touch()
    os._exit(7)
connection.sendall(b"a" * 400_000)
while struct.unpack("i", fcntl.ioctl(connection, 0x5411, b"    "))[0]:  # SIOCOUTQ: what the other end has not
    time.sleep(0.01)
connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
connection.close()  # a reset: it reads no more
done.touch()
time.sleep(60)
"""
Talk = Callable[[str, bytes], tuple[subprocess.Popen[bytes], socket.socket]]


@pytest.fixture
def talk(tmp_path: Path, start: Callable[..., subprocess.Popen[bytes]]) -> Iterator[Talk]:
    """A server that ends its conversation while the platform has yet to read its answer; program and connection."""
    listener = Listener(tmp_path)
    opened: list[socket.socket] = []

    def run(how: str, question: bytes) -> tuple[subprocess.Popen[bytes], socket.socket]:
        port, done = _free_port(), tmp_path / "done"
        process = start(listener.folder / SOCKET_NAME, port, sys.executable, "-c", TALKER, str(port), how, str(done))
        connection = listener.accept(20)
        assert connection is not None
        opened.append(connection)
        connection.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while question:
                question = question[connection.send(question) :]
        deadline = time.monotonic() + 20
        while not done.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        connection.settimeout(20)
        return process, connection

    yield run
    for connection in opened:
        connection.close()
    listener.close()


def _read_all(connection: socket.socket) -> bytes:
    found = bytearray()
    with contextlib.suppress(ConnectionResetError):  # it hung up while there was a question to read
        while data := connection.recv(2**20):
            found += data
    return bytes(found)


def test_it_rests_while_nobody_reads_the_last_words_of_a_server(talk: Talk) -> None:
    process, connection = talk("resets", b"q")
    watched = psutil.Process(process.pid)
    end = time.monotonic() + 1.0
    before = sum(watched.cpu_times()[:2])
    while (used := sum(watched.cpu_times()[:2]) - before) < 0.2 and time.monotonic() < end:
        time.sleep(0.02)
    assert used < 0.2, "it looks at a hang-up again and again"
    assert _read_all(connection) == b"a" * 400_000


def test_the_last_words_of_a_server_that_reads_no_more_are_delivered(talk: Talk) -> None:
    _, connection = talk("resets", b"q" * 20_000_000)
    time.sleep(0.3)  # it has tried to send on, and failed
    assert _read_all(connection) == b"a" * 400_000


def test_the_last_words_of_a_server_that_ended_are_delivered(talk: Talk) -> None:
    process, connection = talk("exits", b"q")
    time.sleep(0.5)  # it has seen that end
    assert _read_all(connection) == b"a" * 3_000_000
    assert process.wait(10) == 7
