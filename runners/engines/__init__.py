"""Engines: what runs one hostile process. One file an engine, one contract suite for all."""

from __future__ import annotations

from runners.contract import EngineReport
from runners.engines.base import Engine
from runners.errors import UserError

#: Best first.
PREFERENCE = ("docker", "bubblewrap")


def choose_engine(name: str = "auto") -> tuple[Engine | None, list[EngineReport]]:
    """The best engine whose self-test passes, and the reports of all that were tried.

    `name`: `auto` tries Docker, then bubblewrap; any other takes just that one. The engine is None
    if none passed: the node then scores prediction files only, and never runs foreign code bare.
    Raises `UserError` for an unknown name.
    """
    # Later than at import: the registry imports this package to find its engines.
    from runners.registry import engines

    known = engines()
    if name != "auto" and name not in known:
        raise UserError(f"There is no engine named {name!r}.", hint=f"Known: auto, {', '.join(sorted(known))}.")
    reports: list[EngineReport] = []
    for candidate in PREFERENCE if name == "auto" else (name,):
        engine: Engine = known[candidate]()
        report = engine.self_test()
        reports.append(report)
        if report.ok:
            return engine, reports
    return None, reports
