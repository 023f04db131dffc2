"""What a handler answers. Standard library only."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

JSON_HEADERS = (("Content-Type", "application/json"),)
#: Talks on with the connection, beginning with bytes that came already; says whether the other side hung up.
Continuation = Callable[[socket.socket, bytes], bool]


@dataclass(frozen=True)
class Reply:
    """Status, extra headers and body of an HTTP answer; after one of status 101, `then` has the connection."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    then: Continuation | None = None


def json_reply(content: Any, status: int = 200) -> Reply:
    """A JSON answer."""
    return Reply(status, JSON_HEADERS, json.dumps(content).encode())


def error_reply(message: str, status: int) -> Reply:
    """The protocol's error object."""
    return json_reply({"error": message}, status)
