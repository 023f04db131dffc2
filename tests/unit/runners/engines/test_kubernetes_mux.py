"""Carrying connections over one stream: what is left open once the stream has ended."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from runners.engines._kubernetes_mux import _DATA, _HEAD, _OPEN, _SHUT, Mux
from tests.factories.kubernetes_fake import until


def _reader(stream: bytes) -> Callable[[int], bytes]:
    left = [stream]

    def read(size: int) -> bytes:
        taken, left[0] = left[0][:size], left[0][size:]
        if len(taken) < size:
            raise ConnectionResetError("the stream ended")
        return taken

    return read


def _broken(_: bytes) -> None:
    raise BrokenPipeError("the stream ended")


@pytest.mark.parametrize("write", [lambda _: None, _broken], ids=["whole", "broken"])
@pytest.mark.parametrize("frames", [b"", _HEAD.pack(1, _DATA, 2) + b"hi", _HEAD.pack(1, _SHUT, 0)])
def test_the_end_of_the_stream_closes_every_connection(frames: bytes, write: Callable[[bytes], None]) -> None:
    near, far = socket.socketpair()
    mux = Mux(_reader(_HEAD.pack(1, _OPEN, 0) + frames), write, dial=lambda: near)
    with far, pytest.raises(OSError, match="the stream ended"):
        mux.serve()
    until(lambda: near.fileno() == -1)


@pytest.mark.parametrize("write", [lambda _: None, _broken], ids=["whole", "broken"])
def test_a_connection_that_had_ended_one_way_is_closed_too(write: Callable[[bytes], None]) -> None:
    near, far = socket.socketpair()
    far.shutdown(socket.SHUT_WR)
    mux = Mux(_reader(_HEAD.pack(1, _OPEN, 0)), write, dial=lambda: near)
    with far, pytest.raises(OSError, match="the stream ended"):
        mux.serve()
    until(lambda: near.fileno() == -1)


def test_after_the_end_no_connection_is_taken() -> None:
    mux = Mux(_reader(b""), lambda _: None)
    with pytest.raises(OSError, match="the stream ended"):
        mux.serve()
    near, far = socket.socketpair()
    with far:
        mux.add(near)
        assert near.fileno() == -1
