"""Settings of the Slurm engine, from the environment of the node; docs/slurm.md explains them."""

from __future__ import annotations

import os
import re
import shlex
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from runners.engines import _runtime
from runners.errors import UserError
from runners.spec.values import parse_duration, parse_size

#: What a site may add to `sbatch`; nothing of it can come from a participant.
_OPTION = re.compile(
    r"--(partition|account|qos|constraint|reservation|nodelist|exclude|nice|licenses)=[A-Za-z0-9_.,:@&|*\[\]()-]+"
)
_GRES = re.compile(r"[A-Za-z0-9_]+(:[A-Za-z0-9_.-]+)?")
_INNER = ("bubblewrap", "docker")
#: Of this process's environment, what Slurm's commands and the step get. Never the node's token.
_PASSED = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "SLURM_CONF", "LD_LIBRARY_PATH", "DOCKER_HOST")
#: The server gives an attempt ten minutes more than the run's own limits, then looks for another node.
_MOST_PENDING = 540.0
_PASSED_PREFIX = "TOUCHSTONE_DOCKER_"


@dataclass(frozen=True)
class Settings:
    """`pending`: seconds a job may wait in Slurm's queue. `overhead`: bytes for the step beside the sandbox.

    `gpus`: how many devices of the cluster this node's runs may have at once; which, Slurm decides.
    """

    shared: Path
    host: str
    bind: str
    ports: tuple[int, int]
    inner: str
    pending: float
    overhead: int
    gres: str
    gpus: int
    options: tuple[str, ...]
    python: str

    @classmethod
    def read(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """Raises `UserError` naming the setting that is wrong."""

        def get(key: str, default: str = "") -> str:
            return environ.get(f"TOUCHSTONE_SLURM_{key}") or default

        host = get("HOST", socket.gethostname())
        inner = get("ENGINE", "bubblewrap")
        options = tuple(shlex.split(get("OPTIONS")))
        wrong = [option for option in options if not _OPTION.fullmatch(option)]
        if wrong:
            raise _refused("OPTIONS", wrong[0], "give --partition=…, --account=…, --qos=…, each with its =")
        if inner not in _INNER:
            raise _refused("ENGINE", inner, f"choose one of {', '.join(_INNER)}")
        gres = get("GRES", "gpu")
        if not _GRES.fullmatch(gres):
            raise _refused("GRES", gres, "give the site's name of a device, say gpu or gpu:a100")
        pending = _number(parse_duration, "PENDING", get("PENDING", "5m"))
        if not 0 < pending <= _MOST_PENDING:
            raise _refused("PENDING", get("PENDING"), f"at most {_MOST_PENDING:g} s: the platform waits no longer")
        shared = Path(get("SHARED", str(Path.home() / "touchstone-slurm")))
        if not shared.is_absolute() or "\n" in str(shared):
            raise _refused("SHARED", str(shared), "give the absolute path of a folder that all compute nodes see")
        return cls(
            shared=shared, host=host, bind=get("BIND", host), ports=_ports(get("PORTS", "0")), inner=inner,
            pending=pending,
            overhead=int(_number(parse_size, "OVERHEAD", get("OVERHEAD", "256MiB"))),
            gres=gres, gpus=_count("GPUS", get("GPUS", "0")), options=options, python=get("PYTHON", sys.executable),
        )  # fmt: skip


def command_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The whole environment of Slurm's commands, which `sbatch` hands on to the step."""
    kept = {k: v for k, v in environ.items() if k in _PASSED or k.startswith(_PASSED_PREFIX)}
    client = _runtime.client_folder()
    sources = [_runtime.runners_folder().parent, *([client.parent] if client is not None else [])]
    path = f"{kept.get('PATH', '/usr/bin:/bin')}:/usr/local/bin:/usr/sbin:/sbin"
    return {**kept, "PATH": path, "PYTHONPATH": os.pathsep.join(map(str, sources)), "PYTHONUNBUFFERED": "1"}


def _ports(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    if first.isdigit() and (last or first).isdigit() and 0 <= int(first) <= int(last or first) < 65536:
        return int(first), int(last or first)
    raise _refused("PORTS", text, "give a range such as 50000-50100; 0 takes any free port")


def _count(key: str, text: str) -> int:
    if text.isdigit() and int(text) <= 1000:
        return int(text)
    raise _refused(key, text, "give a whole number")


def _number(parse: Callable[[object], object], key: str, text: str) -> float:
    try:
        value = parse(text)
    except ValueError as error:
        raise _refused(key, text, str(error)) from error
    if not isinstance(value, (int, float)):
        raise _refused(key, text, "give a number with a unit, say 10m or 256MiB")
    return float(value)


def _refused(key: str, value: str, advice: str) -> UserError:
    text = f"TOUCHSTONE_SLURM_{key}={value!r} cannot be used"
    return UserError(f"{text}: {advice}.", hint="See docs/slurm.md.", code="node_not_configured")
