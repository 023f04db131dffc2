"""The engine of a node: tested when it starts, and looked for again where there was none then."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from runners.contract import EngineReport
from runners.engines.base import Engine
from runners.node.locks import engine_lock, held

Chosen = tuple[Engine | None, tuple[EngineReport, ...]]


class EngineChoice:
    """One for a process; what was chosen before a fork stays. `choose` tests the engines, which takes seconds.

    A daemon that was being restarted when the node started must not cost it its containers for good: the keeper
    looks again, and a file below `directory` tells the pool's processes that there is an engine by now.
    """

    def __init__(self, choose: Callable[[], Chosen], directory: Path) -> None:
        self._choose = choose
        self._directory = directory
        self._marker = directory / "engine.found"
        self._chosen: Chosen | None = None
        self._seen = 0.0

    def get(self) -> Chosen:
        """The best engine whose self-test passed, and the report of each."""
        if self._chosen is None or (self._chosen[0] is None and self._found_at() > self._seen):
            self._test()
        assert self._chosen is not None
        return self._chosen

    def look_again(self) -> None:
        """Where there was no engine: test once more, and tell the others."""
        if self.get()[0] is not None:
            return
        self._test()
        if self._chosen is not None and self._chosen[0] is not None:
            self._marker.touch()

    def _test(self) -> None:
        self._seen = self._found_at()
        with held(engine_lock(self._directory), wait=True):
            self._chosen = self._choose()

    def _found_at(self) -> float:
        try:
            return self._marker.stat().st_mtime
        except FileNotFoundError:
            return 0.0
