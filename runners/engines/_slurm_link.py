"""The connections between a judge and its step on a compute node: who may speak, and short messages.

Both sides prove that they know the job's secret (HMAC-SHA-256 over two fresh nonces), so that the secret itself never
crosses the network. What follows is not encrypted: the cluster's network carries it as it carries the site's files.
"""

from __future__ import annotations

import hmac
import json
import secrets
import socket
import struct
import time
from typing import Any

from runners.engines._relay import no_delay

#: The first connection of a step, and each connection of its sandbox.
CONTROL, DATA = b"C", b"D"
_NONCE, _PROOF = 16, 32
_SECONDS = 10.0
_HEAD = struct.Struct("!II")
_MOST_TEXT, _MOST_BYTES = 2**20, 2**30


class LinkError(OSError):
    """The other side is not who it should be, or does not speak as agreed."""


def make_secret() -> str:
    """A secret for one job."""
    return secrets.token_hex(32)


def dial(host: str, port: int, secret: str, role: bytes) -> socket.socket:
    """Connect a step to its judge. Raises `OSError`."""
    connection = socket.create_connection((host, port), timeout=_SECONDS)
    try:
        no_delay(connection)
        theirs = _exactly(connection, _NONCE)
        ours = secrets.token_bytes(_NONCE)
        connection.sendall(role + ours + _proof(secret, b"step", role, theirs, ours))
        if not hmac.compare_digest(_exactly(connection, _PROOF), _proof(secret, b"judge", role, theirs, ours)):
            raise LinkError("the judge does not know the job's secret")
        connection.settimeout(None)
    except BaseException:
        connection.close()
        raise
    return connection


def welcome(connection: socket.socket, secret: str) -> bytes:
    """Greet a step; the role of its connection. Raises `OSError` for anybody else."""
    until = time.monotonic() + _SECONDS  # for all of it: a byte now and then buys no more time
    connection.settimeout(_SECONDS)
    no_delay(connection)
    ours = secrets.token_bytes(_NONCE)
    connection.sendall(ours)
    said = _exactly(connection, 1 + _NONCE + _PROOF, until=until)
    role, theirs, proof = said[:1], said[1 : 1 + _NONCE], said[1 + _NONCE :]
    if role not in (CONTROL, DATA) or not hmac.compare_digest(proof, _proof(secret, b"step", role, ours, theirs)):
        raise LinkError("somebody who does not know the job's secret")
    connection.sendall(_proof(secret, b"judge", role, ours, theirs))
    connection.settimeout(None)
    return role


def send(connection: socket.socket, message: dict[str, Any], data: bytes = b"") -> None:
    """One message: JSON, and bytes beside it. Raises `OSError`."""
    text = json.dumps(message).encode()
    connection.sendall(_HEAD.pack(len(text), len(data)) + text + data)


def receive(connection: socket.socket, *, most: int = _MOST_BYTES) -> tuple[dict[str, Any], bytes]:
    """The next message. Raises `OSError` once the other side has gone, or for more than `most` bytes beside the JSON.

    Raises `ValueError` for what is no JSON.
    """
    length, size = _HEAD.unpack(_exactly(connection, _HEAD.size))
    if length > _MOST_TEXT or size > most:
        raise LinkError("a message that is too long")
    message = json.loads(_exactly(connection, length))
    if not isinstance(message, dict):
        raise LinkError("a message that is no object")
    return message, _exactly(connection, size)


def _proof(secret: str, side: bytes, role: bytes, judge: bytes, step: bytes) -> bytes:
    return hmac.digest(secret.encode(), b"touchstone-slurm-1" + side + role + judge + step, "sha256")


def _exactly(connection: socket.socket, count: int, *, until: float | None = None) -> bytes:
    found = bytearray(count)
    view, at = memoryview(found), 0
    while at < count:
        if until is not None:
            connection.settimeout(max(0.001, until - time.monotonic()))
        got = connection.recv_into(view[at:])
        if got == 0:
            raise LinkError("the connection ended")
        at += got
    return bytes(found)
