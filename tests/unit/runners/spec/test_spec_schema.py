"""The published schema is the one of the models, and the package stays light."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from runners.spec import json_schema
from runners.spec.schema import schema_text

PUBLISHED = Path(__file__).parents[4] / "docs" / "competition.schema.json"


def test_the_published_schema_is_up_to_date() -> None:
    hint = "run: python -m runners.spec schema > docs/competition.schema.json"
    assert PUBLISHED.read_text(encoding="utf-8") == schema_text(), hint


def test_shorthands_are_in_the_schema() -> None:
    definitions = json_schema()["$defs"]
    memory = definitions["ResourceSpec"]["properties"]["memory"]
    assert {kind["type"] for kind in memory["anyOf"]} == {"integer", "string"}
    assert "as" in definitions["MetricUse"]["properties"]
    assert json_schema()["additionalProperties"] is False


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = "numpy", "pyarrow", "PIL", "torch", "django"
    code = f"import runners.spec, sys; print([name for name in {heavy} if name in sys.modules])"
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PUBLISHED.parents[1]
    )
    assert ended.stdout.strip() == "[]"
