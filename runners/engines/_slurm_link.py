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
    connection.settimeout(_SECONDS)
    no_delay(connection)
    ours = secrets.token_bytes(_NONCE)
    connection.sendall(ours)
    role = _exactly(connection, 1)
    theirs = _exactly(connection, _NONCE)
    proof = _exactly(connection, _PROOF)
    if role not in (CONTROL, DATA) or not hmac.compare_digest(proof, _proof(secret, b"step", role, ours, theirs)):
        raise LinkError("somebody who does not know the job's secret")
    connection.sendall(_proof(secret, b"judge", role, ours, theirs))
    connection.settimeout(None)
    return role


def send(connection: socket.socket, message: dict[str, Any], data: bytes = b"") -> None:
    """One message: JSON, and bytes beside it. Raises `OSError`."""
    text = json.dumps(message).encode()
    connection.sendall(_HEAD.pack(len(text), len(data)) + text + data)


def receive(connection: socket.socket) -> tuple[dict[str, Any], bytes]:
    """The next message. Raises `OSError` once the other side has gone."""
    length, size = _HEAD.unpack(_exactly(connection, _HEAD.size))
    if length > _MOST_TEXT or size > _MOST_BYTES:
        raise LinkError("a message that is too long")
    message: dict[str, Any] = json.loads(_exactly(connection, length))
    return message, _exactly(connection, size)


def _proof(secret: str, side: bytes, role: bytes, judge: bytes, step: bytes) -> bytes:
    return hmac.digest(secret.encode(), b"touchstone-slurm-1" + side + role + judge + step, "sha256")


def _exactly(connection: socket.socket, count: int) -> bytes:
    found = bytearray(count)
    view, at = memoryview(found), 0
    while at < count:
        got = connection.recv_into(view[at:])
        if got == 0:
            raise LinkError("the connection ended")
        at += got
    return bytes(found)
