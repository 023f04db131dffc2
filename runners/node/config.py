"""A node's settings, read once from the environment."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runners.errors import UserError
from runners.spec.values import parse_size


@dataclass(frozen=True)
class NodeConfig:
    """`directory` holds the cache and the working folders of runs; `judge_memory` is in bytes.

    `slots`: long runs at once. `cpus` and `memory` (bytes): what their sandboxes may use together; None: the machine's.
    `gpu_locks`: folder of this host, by which its nodes tell each other which devices they use.
    """

    url: str
    token: str
    name: str
    directory: Path
    queues: tuple[str, ...]
    engine: str
    judge_memory: int
    cache_bytes: int
    slots: int = 1
    cpus: float | None = None
    memory: int | None = None
    gpu_locks: Path = Path("/run/lock/touchstone")

    @property
    def lasting(self) -> Path:
        """Folder of what a run keeps between its attempts on this node: the channel of its sandbox."""
        return self.directory / "channels"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> NodeConfig:
        """Raises `UserError` naming every variable that is missing."""
        token = setting("TOUCHSTONE_NODE_TOKEN", environ)
        missing = [key for key, value in (("TOUCHSTONE_URL", environ.get("TOUCHSTONE_URL")),
                                          ("TOUCHSTONE_NODE_TOKEN", token)) if not value]  # fmt: skip
        if missing:
            raise UserError(
                f"The node cannot start: {' and '.join(missing)} not set.",
                hint="An operator gets a token with `manage.py node_create NAME` on the server.",
                code="node_not_configured",
            )
        return cls(
            url=environ["TOUCHSTONE_URL"].rstrip("/"),
            token=token,
            name=environ.get("TOUCHSTONE_NODE_NAME") or socket.gethostname(),
            directory=Path(environ.get("TOUCHSTONE_NODE_DIR") or "var/node").resolve(),
            queues=tuple((environ.get("TOUCHSTONE_QUEUES") or "cpu").split(",")),
            engine=environ.get("TOUCHSTONE_ENGINE") or "auto",
            judge_memory=_size(environ.get("TOUCHSTONE_JUDGE_MEMORY") or "16GiB"),
            cache_bytes=_size(environ.get("TOUCHSTONE_CACHE_SIZE") or "20GiB"),
            slots=slots_of(environ),
            cpus=_number(environ, "TOUCHSTONE_CPUS"),
            memory=_size(memory) if (memory := environ.get("TOUCHSTONE_MEMORY")) else None,
            gpu_locks=Path(environ.get("TOUCHSTONE_GPU_LOCKS") or cls.gpu_locks).absolute(),
        )


def slots_of(environ: Mapping[str, str] = os.environ) -> int:
    """`TOUCHSTONE_SLOTS`, from 1 to 256. Raises `UserError`."""
    given = environ.get("TOUCHSTONE_SLOTS") or "1"
    if not given.isdigit() or not 1 <= int(given) <= 256:
        raise UserError(
            f"TOUCHSTONE_SLOTS is {given!r}, which is no number of runs at once.",
            hint="Give a number from 1 to 256, say half of the machine's processors.",
            code="node_not_configured",
        )
    return int(given)


def _number(environ: Mapping[str, str], name: str) -> float | None:
    given = environ.get(name)
    if not given:
        return None
    try:
        value = float(given)
    except ValueError:
        value = 0.0
    if not 0 < value < 10_000:
        raise UserError(
            f"{name} is {given!r}, which is no number of processors.", hint="Give one above 0, or leave it out.",
            code="node_not_configured",
        )  # fmt: skip
    return value


def setting(name: str, environ: Mapping[str, str] = os.environ) -> str:
    """A variable, or where `<name>_FILE` is set the content of that file; "" where neither is. Raises `UserError`."""
    named = environ.get(f"{name}_FILE")
    if not named:
        return environ.get(name, "")
    try:
        return Path(named).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise UserError(
            f"The node cannot start: {name}_FILE names {named}, which cannot be read: {error.strerror}.",
            hint="Make the file readable for the user that runs the node.",
            code="node_not_configured",
        ) from error


def _size(text: str) -> int:
    value = parse_size(text)
    if not isinstance(value, int):
        raise TypeError(f"{text!r} is not a size")
    return value
