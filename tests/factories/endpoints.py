"""Endpoints of participants on loopback: sound ones, and such as fail in a way of their own."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

import numpy as np

from runners.contract import EndpointRef
from runners.spec.models import EndpointSpec
from tests.factories.https_server import reply, serving
from touchstone_client._http import Request
from touchstone_client.serving import Application

#: Looks at a request to infer before the model does; true where it has answered it itself.
Before = Callable[["Endpoint", BaseHTTPRequestHandler], bool]


@dataclass
class Endpoint:
    """A model behind HTTP. `items`: what its predictions were asked; `infers`: requests of them, answered or not."""

    predict: Callable[[Any], Any]
    before: Before | None = None
    secret: str = ""
    json_only: bool = False
    url: str = ""
    items: int = 0
    infers: int = 0
    seen: list[str] = field(default_factory=list)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """One request."""
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        self.seen.append(f"{request.command} {request.path}")
        if self.secret and request.headers.get("X-Key") != self.secret:
            reply(request, 403)
            return
        if request.path.endswith("/infer"):
            self.infers += 1
            if self.before is not None and self.before(self, request):
                return
        app = Application(self._predict, name="model")
        headers = {name.lower(): value for name, value in request.headers.items()}
        found = app(Request(request.command, request.path.removeprefix("/team"), headers, memoryview(body)))
        content = bytes(found.body)
        if self.json_only:
            content = content.replace(b"binary_tensor_data", b"nothing")
        named = {name.replace("-", "_"): value for name, value in found.headers}
        reply(request, found.status, content, **named)

    def _predict(self, x: Any) -> Any:
        self.items += len(x)
        return self.predict(x)


@contextmanager
def endpoint(predict: Callable[[Any], Any], *, tls: ssl.SSLContext | None = None, **how: Any) -> Iterator[Endpoint]:
    """An endpoint that runs; its address has a path before the protocol's own."""
    made = Endpoint(predict, **how)
    with serving(made.answer, tls=tls) as port:
        made.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}/team"
        yield made


def told(of: Endpoint, **budget: Any) -> EndpointRef:
    """What the server tells a node of it; all splits may leave, and nothing is waited for."""
    quick = EndpointSpec.model_validate({"rate": 1000, "timeout": "2s", "retries": 2, **budget})
    return EndpointRef(url=of.url, splits=("test", "sample", "validation"), budget=quick)


def linear(x: Any) -> Any:
    """The answers of the world's own model: two classes, by the sign of a product."""
    yes = 1 / (1 + np.exp(-(x @ np.array([1.0, -2.0, 0.5]))))
    return np.column_stack([1 - yes, yes])
