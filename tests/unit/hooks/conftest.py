"""A receiver on loopback with a certificate of a local authority, as outside programs have one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from tests.factories.https_server import LOOPBACK, Authority, authority, reply, serving


@dataclass
class Receiver:
    """What arrived, and what is answered: a status, or a function of the request."""

    url: str = ""
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answer: int | Callable[[BaseHTTPRequestHandler], None] = 204

    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.got]

    def types(self) -> list[str]:
        return [body["type"] for body in self.bodies()]

    def __call__(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["Content-Length"]))
        self.got.append(({name.lower(): value for name, value in request.headers.items()}, body))
        if callable(self.answer):
            self.answer(request)
        else:
            reply(request, self.answer, b"thank you\x1b[31m\n<script>")


@pytest.fixture(scope="session")
def local_authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def receiver(local_authority: Authority, settings: Any) -> Iterator[Receiver]:
    settings.TOUCHSTONE_OUTBOUND_ALLOW = LOOPBACK
    settings.TOUCHSTONE_OUTBOUND_CA = Path(local_authority.ca)
    found = Receiver()
    with serving(found, tls=local_authority.context("127.0.0.1")) as port:
        found.url = f"https://127.0.0.1:{port}/hook"
        yield found
