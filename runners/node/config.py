"""A node's settings, read once from the environment."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runners.errors import UserError
from runners.spec.models import parse_size


@dataclass(frozen=True)
class NodeConfig:
    """`directory` holds the cache and the working folders of runs; `judge_memory` is in bytes."""

    url: str
    token: str
    name: str
    directory: Path
    queues: tuple[str, ...]
    engine: str
    judge_memory: int
    cache_bytes: int

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> NodeConfig:
        """Raises `UserError` naming every variable that is missing."""
        missing = [key for key in ("TOUCHSTONE_URL", "TOUCHSTONE_NODE_TOKEN") if not environ.get(key)]
        if missing:
            raise UserError(
                f"The node cannot start: {' and '.join(missing)} not set.",
                hint="An operator gets a token with `manage.py node_create NAME` on the server.",
                code="node_not_configured",
            )
        return cls(
            url=environ["TOUCHSTONE_URL"].rstrip("/"),
            token=environ["TOUCHSTONE_NODE_TOKEN"],
            name=environ.get("TOUCHSTONE_NODE_NAME") or socket.gethostname(),
            directory=Path(environ.get("TOUCHSTONE_NODE_DIR") or "var/node").resolve(),
            queues=tuple((environ.get("TOUCHSTONE_QUEUES") or "cpu").split(",")),
            engine=environ.get("TOUCHSTONE_ENGINE") or "auto",
            judge_memory=_size(environ.get("TOUCHSTONE_JUDGE_MEMORY") or "16GiB"),
            cache_bytes=_size(environ.get("TOUCHSTONE_CACHE_SIZE") or "20GiB"),
        )


def _size(text: str) -> int:
    value = parse_size(text)
    if not isinstance(value, int):
        raise TypeError(f"{text!r} is not a size")
    return value
