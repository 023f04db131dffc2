"""A road between nodes and server on which every message is delivered twice, and one of the two answers is lost."""

from __future__ import annotations

import contextlib
import http.client
import random
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

#: Status, headers, body.
Answer = tuple[int, dict[str, str], bytes]
_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length"})


class Doubling:
    """Forwards to 127.0.0.1:`port`. `delivered` counts messages that went twice."""

    def __init__(self, port: int, *, rng: random.Random) -> None:
        self.delivered = 0
        self._port = port
        self._rng = rng
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="doubling")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def forward(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        """Once there, or twice for a message; the answer to either. Raises `OSError` where neither came through."""
        if method != "POST":
            return self._once(method, path, headers, body)
        answers: list[Answer] = []
        error: Exception | None = None
        for _ in range(2):
            try:
                answers.append(self._once(method, path, headers, body))
            except (OSError, http.client.HTTPException) as failure:
                error = failure
        if not answers:
            raise ConnectionError(str(error))
        with self._lock:
            self.delivered += len(answers) == 2
            return self._rng.choice(answers)

    def _once(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            connection.request(method, path, body=body or None, headers=headers)
            answer = connection.getresponse()
            kept = {key: value for key, value in answer.getheaders() if key.lower() not in _HOP}
            return answer.status, kept, answer.read()
        finally:
            connection.close()

    def _handler(doubling) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _pass_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {key: value for key, value in self.headers.items() if key.lower() not in _HOP}
                try:
                    status, kept, content = doubling.forward(self.command, self.path, headers, body)
                except (OSError, http.client.HTTPException):
                    status, kept, content = 502, {}, b""
                try:
                    self._answer(status, kept, content)
                except ConnectionError:  # who asked was killed meanwhile
                    self.close_connection = True

            def _answer(self, status: int, kept: dict[str, str], content: bytes) -> None:
                self.send_response(status)
                for key, value in kept.items():
                    self.send_header(key, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def handle(self) -> None:
                with contextlib.suppress(ConnectionError):  # the same between two requests
                    super().handle()

            do_GET = do_POST = _pass_on

            def log_message(self, *_: object) -> None:
                """Says nothing: the server's own log has each request."""

        return Handler
