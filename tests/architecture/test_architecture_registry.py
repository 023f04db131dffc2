"""Every metric and attack is catalogued, documented and tested by name."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from runners import registry
from runners.catalogue import catalogue

ROOT = Path(__file__).resolve().parents[2]


@cache
def _test_texts() -> str:
    return "\n".join(path.read_text() for path in sorted((ROOT / "tests" / "unit").rglob("test_*.py")))


@cache
def _catalogue() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "runners" / "spec" / "catalogue.json").read_text())
    return found


def test_committed_catalogue_is_the_registry() -> None:
    assert _catalogue() == json.loads(json.dumps(catalogue())), "run `make schemas`"


@pytest.mark.parametrize("name", list(registry.metrics()))
def test_metric_is_documented_and_tested(name: str) -> None:
    info = registry.get_metric(name)

    assert info.summary, f"{name} has no docstring"
    assert info.reference, f"{name} names no source of its definition"
    assert name in _test_texts(), f"no unit test mentions {name}"


@pytest.mark.parametrize("name", list(registry.attacks()))
def test_attack_is_documented_and_tested(name: str) -> None:
    info = registry.get_attack(name)

    assert (info.function.__doc__ or "").strip(), f"{name} has no docstring"
    assert info.reference, f"{name} names no source of its definition"
    assert name in _test_texts(), f"no unit test mentions {name}"
