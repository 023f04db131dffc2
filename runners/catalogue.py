"""Write the committed catalogue: `python -m runners.catalogue`.

The server and the client read `runners/spec/catalogue.json`; they never import a metric. A test
compares the file with the registry.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from runners import registry

PATH = Path(__file__).parent / "spec" / "catalogue.json"


def catalogue() -> dict[str, Any]:
    """Metrics, attacks and defences as JSON: what they mean, need and take."""
    return {
        "metrics": {
            name: {
                "title": m.title, "pillar": m.pillar, "summary": m.summary, "direction": m.direction,
                "range": list(m.range), "unit": m.unit, "needs": list(m.needs), "results": list(m.results),
                "formula": m.formula, "interval": m.interval,
                "limits": m.limits, "reference": m.reference, "parameters": m.parameters.model_json_schema(),
                "columns": {
                    c.key: {"title": c.title, "unit": c.unit, "direction": c.direction, "range": list(c.range or ())}
                    for c in m.columns
                },
            }
            for name, m in registry.metrics().items()
        },
        "attacks": {
            name: {
                "title": a.title, "requires": a.requires, "norms": list(a.norms), "reference": a.reference,
                "summary": a.summary, "limits": a.limits,
                "parameters": a.parameters.model_json_schema(),
            }
            for name, a in registry.attacks().items()
        },
        "defences": {
            name: {
                "title": d.title, "path": d.path, "reference": d.reference, "summary": d.summary,
                "limits": d.limits,
                "parameters": d.parameters.model_json_schema(),
            }
            for name, d in registry.defences().items()
        },
    }  # fmt: skip


def text() -> str:
    """The catalogue as canonical JSON text."""
    return json.dumps(catalogue(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> int:
    """Write the file and say where."""
    PATH.write_text(text(), encoding="utf-8")
    sys.stdout.write(f"wrote {PATH}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
