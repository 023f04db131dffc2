"""The judge's end: a port on which one job's step reports and its sandbox's connections arrive."""

from __future__ import annotations

import errno
import socket
import threading
from pathlib import Path
from typing import Any

from runners.engines import _slurm_link as link
from runners.engines._relay import Pipe, dial_channel
from runners.engines._slurm_job import Report
from runners.errors import RetryableError

_MOST_AT_ONCE = 64
#: Connections that have not yet shown that they know the secret.
_MOST_STRANGERS = 16
_MARGIN = 64 * 1024


class Board:
    """What the step has told so far. Each change wakes `changed`.

    `linked`: its first connection came. `started`: the sandbox runs. `broken`: the connection ended after that,
    or one of the sandbox's did for the network's sake. `apart`: the sandbox's memory is not counted as the job's.
    """

    def __init__(self, *, bind: str, ports: tuple[int, int], secret: str, channel: Path | None, log_limit: int) -> None:
        self.changed = threading.Condition()
        self.linked = self.started = self.broken = self.apart = False
        self.node = ""
        self.report: Report | None = None
        self.refusal: dict[str, Any] | None = None
        self.answer: dict[str, Any] | None = None
        self.peak: int | None = None
        self._log = bytearray()
        self._log_limit = log_limit
        self._secret = secret
        self._channel = channel
        self._control: socket.socket | None = None
        self._pipes: list[Pipe] = []
        self._strangers: list[socket.socket] = []
        self._closed = False
        self._socket = _listen(bind, ports)
        self.port = int(self._socket.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def log(self) -> bytes:
        with self.changed:
            return bytes(self._log)

    def ask_to_end(self) -> None:
        """Tell the step to kill the sandbox and report; nothing where it cannot be reached."""
        control = self._control
        if control is not None:
            try:
                link.send(control, {"kind": "kill"})
            except OSError:  # it went: Slurm is asked to end the job as well
                return

    def close(self) -> None:
        """Stop listening and hang up everything. Safe to repeat."""
        with self.changed:
            self._closed = True
            pipes, self._pipes = self._pipes, []
            strangers, self._strangers = self._strangers, []
            control, self._control = self._control, None
        try:
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread in accept
        except OSError as error:
            if error.errno not in (errno.ENOTCONN, errno.EBADF):
                raise
        self._socket.close()
        for pipe in pipes:
            pipe.hang_up()
        for stranger in strangers:
            _hang_up(stranger)
        if control is not None:
            try:
                control.shutdown(socket.SHUT_RDWR)
            except OSError:  # the step has gone
                return

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:  # closed
                return
            if threading.active_count() > _MOST_AT_ONCE * 3:
                connection.close()
                continue
            self._admit(connection)
            threading.Thread(target=self._greet, args=(connection,), daemon=True).start()

    def _admit(self, connection: socket.socket) -> None:
        """Of too many strangers the one that has been one for longest goes: a step needs no more than a moment."""
        with self.changed:
            self._strangers.append(connection)
            oldest = self._strangers.pop(0) if len(self._strangers) > _MOST_STRANGERS else None
        if oldest is not None:
            _hang_up(oldest)

    def _welcome(self, connection: socket.socket) -> bytes:
        try:
            return link.welcome(connection, self._secret)
        finally:
            with self.changed:
                if connection in self._strangers:
                    self._strangers.remove(connection)

    def _greet(self, connection: socket.socket) -> None:
        try:
            role = self._welcome(connection)
            if role == link.CONTROL:
                self._listen_to(connection)
                return
            if self._channel is None:
                raise link.LinkError("this job has no channel")
            near = dial_channel(self._channel)
        except OSError:  # a stranger, or the judge has stopped listening
            connection.close()
            return
        with self.changed:
            self._pipes = [pipe for pipe in self._pipes if pipe.is_open]
            refused = self._closed or len(self._pipes) >= _MOST_AT_ONCE
            if not refused:
                self._pipes.append(Pipe(near, connection, lost=self._give_up))
        if refused:
            near.close()
            connection.close()

    def _listen_to(self, connection: socket.socket) -> None:
        with connection:
            with self.changed:
                if self._control is not None or self._closed:
                    return
                self._control = connection
                self.linked = True
                self.changed.notify_all()
            try:
                while True:
                    self._take(*link.receive(connection, most=self._log_limit + _MARGIN))
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                return  # it went, or does not speak as agreed: the same to a run
            finally:
                self._control = None
                self._give_up()

    def _give_up(self) -> None:
        with self.changed:
            self.broken = True
            self.changed.notify_all()

    def _take(self, message: dict[str, Any], data: bytes) -> None:
        kind = message.get("kind")
        with self.changed:
            peak = message.get("peak", self.peak)
            self.peak = None if peak is None else int(peak)
            if kind == "up":
                self.node = str(message.get("node", ""))
            elif kind == "started":
                self.started, self.apart = True, bool(message.get("apart"))
            elif kind == "log":
                if message.get("anew"):
                    self._log.clear()
                self._log += data
                del self._log[: max(0, len(self._log) - self._log_limit)]
            elif kind == "ended":
                self.report = Report.model_validate(message["report"])
            elif kind == "refused":
                self.refusal = dict(message["refusal"])
            elif kind == "tested":
                self.answer = message
            self.changed.notify_all()


def _hang_up(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)  # wakes its thread, which closes it
    except OSError:  # it has gone
        return


def _listen(bind: str, ports: tuple[int, int]) -> socket.socket:
    first, last = ports
    problem: OSError | None = None
    for port in range(first, last + 1):
        try:
            return socket.create_server((bind, port), backlog=32)
        except OSError as error:
            problem = error
            if error.errno != errno.EADDRINUSE:
                break
    text = f"no port to listen on for the compute nodes at {bind} ({first}-{last}): {problem}"
    raise RetryableError(f"{text}; see TOUCHSTONE_SLURM_BIND and _PORTS", code="node_misconfigured")
