"""What the numbers were measured on."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from runners.judge.environment import environment

_PACKAGES = ("Django", "gunicorn", "celery", "psycopg", "numpy", "torch", "onnxruntime", "touchstone")


def machine() -> dict[str, Any]:
    """Processor, memory, versions and load. Names nothing that tells one machine from another of its kind."""
    told = environment(seed=0, engine="")
    return {
        "processor": told["processor"],
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": told["system"],
        "python": platform.python_version(),
        "packages": {name: found for name in _PACKAGES if (found := _version(name)) is not None},
        "docker": _docker(),
        "commit": _commit(),
    }


def load() -> float:
    """Processes that wanted a core in the last minute, on average: above `cores`, times are too long."""
    return round(os.getloadavg()[0], 2)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _docker() -> str | None:
    """Version of the Docker engine that answers, or None."""
    if shutil.which("docker") is None:
        return None
    return _said(["docker", "version", "--format", "{{.Server.Version}}"])


def _commit() -> str | None:
    return _said(["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"])


def _said(argv: list[str]) -> str | None:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
