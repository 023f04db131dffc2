"""Every file under docs/metrics that is generated, and whether what is there is what it should be."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runners import registry
from scripts.metric_docs import figure, measured, other_pages, pages
from scripts.stack import ROOT

FOLDER = ROOT / "docs" / "metrics"
RESULTS = FOLDER / "results.json"
#: Written by people, or measured.
_KEPT = frozenset({"guide.md", "results.json"})


def generated(results: Mapping[str, Any]) -> dict[str, str]:
    """Text by path below docs/metrics, made from the registry and the results kept."""
    out = {"README.md": other_pages.index()}
    for name, metric in registry.metrics().items():
        entry = _entry(results, "metrics", name)
        out[f"{metric.pillar}/{name.partition('.')[2]}.md"] = pages.page(metric, entry)
        out |= _figure(name, metric.title, entry)
    for name, attack in registry.attacks().items():
        entry = _entry(results, "attacks", name)
        out[f"attacks/{name}.md"] = other_pages.attack_page(attack, entry)
        out |= _figure(f"attack.{name}", attack.title, entry)
    for name, defence in registry.defences().items():
        entry = _entry(results, "defences", name)
        out[f"defences/{name}.md"] = other_pages.defence_page(defence, entry)
        out |= _figure(f"defence.{name}", defence.title, entry)
    return out


def _entry(results: Mapping[str, Any], kind: str, name: str) -> dict[str, Any] | None:
    """The results kept of a page, with what they were measured on."""
    found = results.get(kind, {}).get(name)
    return None if found is None else {**found, **results["measured"]["data"][found["data"]]}


def _figure(name: str, title: str, entry: Mapping[str, Any] | None) -> dict[str, str]:
    if entry is None:
        return {}
    return {f"figures/{name}.svg": figure.figure(registry.get_metric(entry["metric"]), entry, title)}


def stale(*, write: bool) -> list[str]:
    """Paths below docs/metrics that are not what they should be, or no longer belong there; with `write` mended."""
    wanted = generated(measured.load(RESULTS))
    found = {path.relative_to(FOLDER).as_posix(): path for path in FOLDER.rglob("*") if path.is_file()}
    wrong = [
        name for name, text in wanted.items()
        if name not in found or found[name].read_text(encoding="utf-8") != text
    ]  # fmt: skip
    left = [name for name in found if name not in wanted and name not in _KEPT]
    if write:
        for name in wrong:
            path: Path = FOLDER / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted[name], encoding="utf-8")
        for name in left:
            found[name].unlink()
    return sorted([*wrong, *left])
