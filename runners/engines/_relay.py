"""Carrying the channel between a judge and a sandbox on another machine: bytes, as they come, both ways.

A connection that the sandbox dials becomes one that the judge's `Listener` accepts. Half-closing, and hanging up,
come across; nothing of the content is looked at.
"""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

from runners.channel.listener import SOCKET_NAME

_CHUNK = 256 * 1024
#: Failures of a network, and not of who sits at the other end.
_NETWORK = frozenset({errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTDOWN})


def no_delay(connection: socket.socket) -> None:
    """Send small messages at once, and notice a machine that vanished without a word within half a minute."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, seconds in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 4)):
        connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), seconds)


def dial_channel(folder: Path) -> socket.socket:
    """Connect to the judge's socket in a `Job.channel` folder, as a sandbox on this machine would. Raises `OSError`."""
    connection = socket.socket(socket.AF_UNIX)
    # A socket's path may have 107 bytes, a work folder's may have more: connect relative to the open folder.
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        connection.connect(f"/proc/self/fd/{descriptor}/{SOCKET_NAME}")
    except BaseException:
        connection.close()
        raise
    finally:
        os.close(descriptor)
    return connection


class Pipe:
    """Joins two connected sockets until both directions have ended, then closes them.

    `lost` is called where the network, and neither end, is what broke it.
    """

    def __init__(self, near: socket.socket, far: socket.socket, *, lost: Callable[[], None] = lambda: None) -> None:
        self._ends = (near, far)
        self._lost = lost
        self._open = 2
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._pump, args=ends, daemon=True) for ends in ((near, far), (far, near))
        ]
        for thread in self._threads:
            thread.start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        buffer = memoryview(bytearray(_CHUNK))
        try:
            while count := source.recv_into(buffer):
                target.sendall(buffer[:count])
            target.shutdown(socket.SHUT_WR)
        except OSError as error:
            if error.errno in _NETWORK:
                self._lost()
            self.hang_up()  # one side has gone: the other is told
        with self._lock:
            self._open -= 1
            last = self._open == 0
        if last:
            for end in self._ends:
                end.close()

    @property
    def is_open(self) -> bool:
        """Whether a direction is still open."""
        return self._open > 0

    def hang_up(self) -> None:
        """End both directions now. Safe to repeat."""
        for end in self._ends:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:  # it is closed already
                continue

    def drained(self, seconds: float) -> bool:
        """Wait at most so long until all that `near` sent has gone to `far`; whether it has."""
        self._threads[0].join(seconds)
        return not self._threads[0].is_alive()
