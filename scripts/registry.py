"""The platform's own registry of images on this machine: Debian's `docker-registry`, where it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from scripts.processes import spawn, tail
from scripts.services import ServiceError

PORT = 5000
_BINARY = "docker-registry"
_START_SECONDS = 20.0


class RegistryError(ServiceError):
    """The registry cannot be started; the message says why and what to do."""


def wanted(environ: Mapping[str, str]) -> bool:
    """Whether a registry is to be started here.

    TOUCHSTONE_REGISTRY: `auto` (where `docker-registry` is installed), `1` or `0`. One that
    TOUCHSTONE_REGISTRY_HOST names is somebody else's to start. Raises `RegistryError`.
    """
    asked = environ.get("TOUCHSTONE_REGISTRY", "auto").lower()
    if asked not in ("auto", "1", "0"):
        raise RegistryError(f"TOUCHSTONE_REGISTRY is {asked!r}; it is one of auto, 1 and 0.")
    if asked == "0" or environ.get("TOUCHSTONE_REGISTRY_HOST"):
        return False
    found = shutil.which(_BINARY) is not None
    if asked == "1" and not found:
        raise RegistryError(
            "TOUCHSTONE_REGISTRY=1, but there is no docker-registry on PATH. Install it (Debian: apt-get install "
            "docker-registry), or leave the setting out: images are then submitted as archives."
        )
    return found


def start(config: Path, *, port: int, log: Path) -> subprocess.Popen[bytes]:
    """Start the registry and wait until it answers. Raises `RegistryError`."""
    # Its environment could override the configuration.
    child = spawn([_BINARY, "serve", config], log=log, env={"PATH": os.environ.get("PATH", os.defpath)}, cwd=Path("/"))
    deadline = time.monotonic() + _START_SECONDS
    while not answers(f"http://127.0.0.1:{port}/v2/"):
        if child.poll() is not None:
            raise RegistryError(f"The registry ended with status {child.returncode}; the end of {log}:\n{tail(log)}")
        if time.monotonic() > deadline:
            raise RegistryError(f"The registry did not answer within {_START_SECONDS:.0f} s; see {log}:\n{tail(log)}")
        time.sleep(0.05)
    return child


def answers(url: str) -> bool:
    """Whether a registry asks for a token there."""
    try:
        with urllib.request.urlopen(url, timeout=5):
            return False  # it lets anybody in: not ours
    except urllib.error.HTTPError as error:
        with error:
            return error.code == 401
    except OSError:
        return False
