"""Waiting with an end: what is awaited is named, and whoever reads a failure sees what the other side said last."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from scripts.processes import tail


def until(
    condition: Callable[[], bool], what: str, *, seconds: float, logs: Iterable[Path] = (), pause: float = 0.1
) -> None:
    """Wait until `condition` holds. Raises `AssertionError` after `seconds`, with the ends of `logs`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come within {seconds:g} s{said(logs)}"
        time.sleep(pause)


def said(logs: Iterable[Path]) -> str:
    """The end of each log, to be put behind a message."""
    return "".join(f"\n{log.name}:\n{tail(log)}" for log in logs)


def joined(threads: Iterable[threading.Thread], what: str, *, seconds: float) -> None:
    """Wait for the ends of threads, `seconds` for all of them. Raises `AssertionError`."""
    deadline = time.monotonic() + seconds
    found = list(threads)
    for thread in found:
        thread.join(max(0.0, deadline - time.monotonic()))
    alive = [thread.name for thread in found if thread.is_alive()]
    assert not alive, f"{what} did not end within {seconds:g} s: {', '.join(alive)}"
