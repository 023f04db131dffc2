"""The server's side of Kubernetes' `exec`: a websocket whose frames are those of a program's standard streams."""

from __future__ import annotations

import json
import subprocess
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from typing import Any

from websockets.frames import Opcode
from websockets.server import ServerProtocol


class Stream:
    """One `exec`: the websocket's frames are those of the program's standard streams."""

    def __init__(self, handler: BaseHTTPRequestHandler, protocol: str) -> None:
        self._socket = handler.connection
        self._lock = threading.Lock()
        self._protocol = ServerProtocol(subprotocols=[protocol], max_size=2**22)  # type: ignore[list-item]
        lines = [f"GET {handler.path} HTTP/1.1", *(f"{key}: {value}" for key, value in handler.headers.items())]
        self._protocol.receive_data(("\r\n".join(lines) + "\r\n\r\n").encode())
        request: Any = self._protocol.events_received()[0]
        self._protocol.send_response(self._protocol.accept(request))
        self._flush()

    def run(self, process: subprocess.Popen[bytes]) -> None:
        """Until the client hangs up and the program has ended."""
        outs = [threading.Thread(target=self._out, args=(n, s)) for n, s in ((1, process.stdout), (2, process.stderr))]
        for thread in outs:
            thread.start()
        waiter = threading.Thread(target=self._report, args=(process, outs))
        waiter.start()
        self._in(process)
        with suppress(OSError):
            process.stdin.close()  # type: ignore[union-attr]
        waiter.join()
        for stream in (process.stdout, process.stderr):
            stream.close()  # type: ignore[union-attr]

    def _in(self, process: subprocess.Popen[bytes]) -> None:
        """Until the client hangs up."""
        while True:
            try:
                data = self._socket.recv(65536)
            except OSError:
                return
            if not data:
                return
            with self._lock:
                self._protocol.receive_data(data)
                frames: list[Any] = self._protocol.events_received()
            for frame in frames:
                if frame.opcode is Opcode.CLOSE:
                    with suppress(OSError):
                        self._flush()
                    return
                if frame.opcode is Opcode.BINARY and frame.data[:1] == b"\0":
                    with suppress(OSError):
                        process.stdin.write(frame.data[1:])  # type: ignore[union-attr]
                        process.stdin.flush()  # type: ignore[union-attr]
                elif frame.opcode is Opcode.BINARY and frame.data == b"\xff\0":
                    with suppress(OSError):
                        process.stdin.close()  # type: ignore[union-attr]

    def _out(self, number: int, stream: Any) -> None:
        while data := stream.read1(65536):
            self._frame(bytes([number]) + data)

    def _report(self, process: subprocess.Popen[bytes], outs: list[threading.Thread]) -> None:
        code = process.wait()
        for thread in outs:
            thread.join()
        told = {"status": "Success"} if code == 0 else {"status": "Failure", "message": f"exit code {code}"}
        self._frame(b"\x03" + json.dumps(told).encode())
        with suppress(Exception), self._lock:
            self._protocol.send_close(1000)
            self._flush()

    def _frame(self, data: bytes) -> None:
        with suppress(Exception), self._lock:  # the client may have hung up
            self._protocol.send_binary(data)
            self._flush()

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._socket.sendall(data)
