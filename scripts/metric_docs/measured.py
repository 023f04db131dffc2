"""The results kept in docs/metrics/results.json: one file that pages and figures are made from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def load(path: Path) -> dict[str, Any]:
    """The results kept, or nothing."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def save(path: Path, results: Mapping[str, Any]) -> None:
    """One line for each page, so that a change shows where it is."""
    parts = []
    for kind, entries in results.items():
        if kind == "measured":
            parts.append(f'"{kind}": {json.dumps(entries, ensure_ascii=False)}')
            continue
        lines = ",\n".join(f"{json.dumps(name)}: {_compact(entry)}" for name, entry in entries.items())
        parts.append(f'"{kind}": {{\n{lines}\n}}')
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


def _compact(entry: Any) -> str:
    return json.dumps(entry, ensure_ascii=False, separators=(",", ":"))
