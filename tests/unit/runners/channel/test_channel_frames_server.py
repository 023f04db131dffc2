"""The reference server in frames: what it answers to wrong questions, and the server that the document shows."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runners.channel.frames import ANSWER, ASK, ERROR, MAGIC, PREFIX, FrameConnection
from runners.channel.oip import Expected, frame_head
from touchstone_client import _frames
from touchstone_client.serving import Application

Y = Expected("y", (2, 2), ("FP32", "FP64"))
X = np.arange(6, dtype=np.float32).reshape(2, 3)
HEAD = frame_head("infer", {"x": X}, [Y])


def _soon() -> float:
    return time.monotonic() + 3


def _predict(x: np.ndarray) -> np.ndarray:
    return (x[:, :2] * 3).astype(np.float64)


def _converse(sent: bytes, *, close: bool = True) -> tuple[list[tuple[int, int, bytes]], bool]:
    """Send bytes to the reference server; kind, status and head of what it answers, and its verdict on us."""
    ours, theirs = socket.socketpair()
    ended: list[bool] = []
    answer = Application(_predict).answer
    thread = threading.Thread(target=lambda: ended.append(_frames.serve_frames(theirs, b"", answer)))
    thread.start()
    with ours:
        ours.sendall(sent)
        ours.shutdown(socket.SHUT_WR)
        thread.join(5)
        theirs.close()
        data = b"".join(iter(lambda: ours.recv(65536), b""))
    found = []
    while data:
        _, kind, _, status, _, head, size = PREFIX.unpack(data[: PREFIX.size])
        found.append((kind, status, data[PREFIX.size : PREFIX.size + head]))
        data = data[PREFIX.size + head + size :]
    return found, ended[0]


def _question(head: bytes = HEAD, data: bytes = X.tobytes(), **lies: int) -> bytes:
    sizes = {"head_size": len(head), "data_size": len(data), **lies}
    return PREFIX.pack(MAGIC, ASK, 0, 0, 7, sizes["head_size"], sizes["data_size"]) + head + data


def test_a_wrong_question_is_answered_and_the_next_one_heard() -> None:
    wrong = [
        _question(b"{}"), _question(b"[1]"), _question(b"\xff"), _question(HEAD.replace(b"FP32", b"BYTES")),
        _question(data=bytes(20)), _question(HEAD.replace(b"24", b"20"), bytes(20)),
        _question(HEAD.replace(b"[2,3]", b"[-2,-3]")), _question(b"{}", bytes(300_000)),
    ]  # fmt: skip
    found, hung_up = _converse(b"".join(wrong) + _question())
    assert [(kind, status) for kind, status, _ in found] == [(ERROR, 400)] * len(wrong) + [(ANSWER, 0)]
    assert hung_up


@pytest.mark.parametrize("lie", [{"head_size": 2**20}, {"data_size": 2**40}])
def test_a_question_of_impossible_size_ends_the_conversation(lie: dict[str, int]) -> None:
    found, hung_up = _converse(_question(**lie))
    assert [(kind, status) for kind, status, _ in found] == [(ERROR, 400)]
    assert not hung_up


@pytest.mark.parametrize("cut", [1, 23, 30, len(HEAD) + 23, len(HEAD) + 40])
def test_a_question_that_is_cut_off_is_a_hang_up(cut: int) -> None:
    assert _converse(_question()[:cut]) == ([], True)


@settings(max_examples=150, deadline=None)
@given(sent=st.binary(max_size=100), head=st.binary(max_size=60), data=st.binary(max_size=40))
def test_no_bytes_break_the_server(sent: bytes, head: bytes, data: bytes) -> None:
    found, _ = _converse(_question(head, data) + sent)
    assert found[0][:2] == (ERROR, 400)


DOCUMENT = Path(__file__).parents[4] / "docs" / "protocol.md"


def test_the_document_s_server_is_a_server() -> None:
    code = DOCUMENT.read_text().partition("```python\n")[2].partition("```")[0]
    program: dict[str, Any] = {}
    exec(code, program)
    ours, theirs = socket.socketpair()
    file = theirs.makefile("rwb")
    thread = threading.Thread(target=program["serve_frames"], args=(file, lambda x: x[:, :2] * 3))
    thread.start()
    connection = FrameConnection(ours)
    for _ in range(2):
        found = connection.ask(HEAD, [X], [Y], deadline=_soon())
        np.testing.assert_array_equal(found["y"], X[:, :2] * 3)
    connection.close()
    thread.join(5)
    file.close()
    theirs.close()


def test_the_document_s_bytes_are_a_frame() -> None:
    text = DOCUMENT.read_text()
    head = text.partition("    answer    ")[2].partition("\n")[0].encode()
    printed = bytes.fromhex(
        text.partition("    54 53 46 31")[1].strip() + text.partition("    54 53 46 31")[2].split("\n")[0]
    )
    assert printed == PREFIX.pack(MAGIC, ANSWER, 0, 0, 7, len(head), 8)
