"""The road of the chaos run: messages go twice, files once, and nobody hears of both answers."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from scripts.chaos_doubling import Doubling


@pytest.fixture
def heard() -> list[tuple[str, str, bytes]]:
    return []


@pytest.fixture
def server(heard: list[tuple[str, str, bytes]]) -> Iterator[ThreadingHTTPServer]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            heard.append((self.command, self.headers.get("Authorization", ""), body))
            content = str(len(heard)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = _answer

        def log_message(self, *_: object) -> None: ...

    serving = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=serving.serve_forever, args=(0.01,))
    thread.start()
    yield serving
    serving.shutdown()
    thread.join()
    serving.server_close()


def test_a_message_goes_twice_and_a_file_once(server: ThreadingHTTPServer, heard: list[tuple[str, str, bytes]]) -> None:
    with Doubling(server.server_port, rng=random.Random(1)) as road, httpx.Client(base_url=road.url) as client:
        file = client.get("/file")
        answers = {client.post("/x", content=b"body", headers={"Authorization": "t"}).text for _ in range(10)}

    assert file.text == "1"
    assert heard == [("GET", "", b""), *[("POST", "t", b"body")] * 20]
    assert road.delivered == 10
    assert {int(answer) % 2 for answer in answers} == {0, 1}  # now the first answer was lost, now the second


def test_a_server_that_is_away_is_a_bad_gateway(server: ThreadingHTTPServer) -> None:
    with Doubling(1, rng=random.Random(1)) as road, httpx.Client(base_url=road.url) as client:
        assert client.post("/x").status_code == 502
    assert road.delivered == 0
