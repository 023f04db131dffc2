"""Where a result came about: what reproducing it needs to know."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pydantic import JsonValue

_PACKAGES = (
    "touchstone",
    "numpy",
    "scipy",
    "torch",
    "onnxruntime",
    "aif360",
    "adversarial-robustness-toolbox",
)


def environment(*, seed: int, engine: str, neighbours: int = 0, gpus: tuple[str, ...] = ()) -> dict[str, JsonValue]:
    """Versions, processor, load and seed. `commit` is there where the installation names one.

    `neighbours`: other runs that shared the machine; timings of a run that had some are not comparable.
    """
    found: dict[str, JsonValue] = {
        "python": platform.python_version(),
        "packages": {name: known for name in _PACKAGES if (known := _version(name)) is not None},
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "load_average": [round(value, 2) for value in os.getloadavg()],
        "threads": _threads(),
        "seed": seed,
        "engine": engine,
        "neighbours": neighbours,
    }
    if gpus:
        found["gpus"] = list(gpus)
    commit = os.environ.get("TOUCHSTONE_COMMIT", "")
    return found | ({"commit": commit} if commit else {})


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    """The processor's name; Linux tells it in /proc, elsewhere Python's own answer has to do."""
    path = Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _threads() -> int | None:
    """Threads that numeric libraries of the judge may use, where that was set."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdigit() else None
