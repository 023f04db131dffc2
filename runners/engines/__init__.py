"""Engines: what runs one hostile process. One file an engine, one contract suite for all."""

from __future__ import annotations

import os

from runners.contract import EngineReport
from runners.engines.base import Engine
from runners.errors import UserError

#: Best first.
PREFERENCE = ("docker", "bubblewrap")
#: Names what the Docker daemon starts containers with: `runc`, `runsc` (gVisor), or another it knows.
RUNTIME_SETTING = "TOUCHSTONE_DOCKER_RUNTIME"


def choose_engine(name: str = "auto") -> tuple[Engine | None, list[EngineReport]]:
    """The best engine whose self-test passes, and the reports of all that were tried.

    `name`: `auto` tries Docker, then bubblewrap; any other takes just that one. Where TOUCHSTONE_DOCKER_RUNTIME
    is set, `auto` tries Docker alone: who asks for gVisor never gets less. The engine is None if none passed: the
    node then scores prediction files only, and never runs foreign code bare. Raises `UserError` for an unknown name.
    """
    # Later than at import: the registry imports this package to find its engines.
    from runners.registry import engines

    known = engines()
    if name != "auto" and name not in known:
        raise UserError(f"There is no engine named {name!r}.", hint=f"Known: auto, {', '.join(sorted(known))}.")
    reports: list[EngineReport] = []
    automatic = PREFERENCE[:1] if os.environ.get(RUNTIME_SETTING, "").strip() else PREFERENCE
    for candidate in automatic if name == "auto" else (name,):
        engine: Engine = known[candidate]()
        report = engine.self_test()
        reports.append(report)
        if report.ok:
            return engine, reports
    return None, reports
