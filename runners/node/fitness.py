"""Whether this node may take runs now: a node that is broken says so and takes none, instead of failing them all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import structlog

from runners.engines.base import Engine
from runners.errors import RetryableError
from runners.node.locks import engine_lock, held

log = structlog.get_logger(__name__)

#: Free bytes below which a node takes nothing: results, logs and images need some.
_LEAST_FREE = 2**30
#: Faults that an engine which works does not make.
_OF_THE_ENGINE = frozenset({"no_engine", "no_container_engine", "runtime_missing"})


class Fitness:
    """One for a node: its processes share a file below `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / "unfit.json"
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def engine_problem(self) -> str:
        """Why no foreign code is run here now, or nothing."""
        try:
            found: dict[str, Any] = json.loads(self._path.read_text())
            return str(found.get("problem", ""))
        except FileNotFoundError:
            return ""
        except ValueError:
            return "the engine is being tested again"

    def node_problem(self) -> str:
        """Why nothing at all is taken now, or nothing."""
        free = shutil.disk_usage(self._directory).free
        if free >= _LEAST_FREE:
            return ""
        return f"the disk of {self._directory} is full: {free} bytes are free, {_LEAST_FREE} are needed"

    def after(self, code: str, engine: Engine | None) -> None:
        """Test the engine again where a run ended with a fault that may be its own."""
        if engine is not None and (code in _OF_THE_ENGINE or code.startswith("engine_")):
            self.test(engine)

    def test(self, engine: Engine) -> str:
        """Test the engine, and remember for all processes of the node; why it is unfit, or nothing."""
        try:
            with held(engine_lock(self._directory), wait=True):
                report = engine.self_test()
            problem = "" if report.ok else "; ".join(report.problems) or "its self-test failed"
        except RetryableError as error:
            problem = error.message
        if problem:
            log.error("the engine fails its self-test; no foreign code is run here for now", problem=problem)
            part = self._path.with_name(f".{self._path.name}.part")
            part.write_text(json.dumps({"problem": problem}))
            part.replace(self._path)
        else:
            self._path.unlink(missing_ok=True)
        return problem

    def forget(self) -> None:
        """A node that starts has just tested its engine."""
        self._path.unlink(missing_ok=True)
