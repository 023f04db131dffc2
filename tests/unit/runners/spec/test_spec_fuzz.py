"""Whatever stands in a competition.yml, the check answers with defects and never breaks."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runners.spec import check_folder
from runners.spec.yamlfile import parse_yaml

VALUES: list[Any] = [
    None, True, 0, -1, 2.5, 10**17, "", "x", "a: b", "../x", "/", ".", "\\", [], {}, [None], {"x": None}, [[1]],
    "2026-01-01T00:00Z", "[race]", "trust", "x[race=]", "abs() <= 1", "é" * 300,
]  # fmt: skip
SCALARS = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(-1e6, 1e6) | st.text(max_size=8)
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
SECTIONS = dict.fromkeys(("task", "input", "data", "phases", "metrics", "leaderboards"), TREES)


def _places(data: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a tree."""
    if not isinstance(data, (dict, list)):
        return []
    keys = list(data) if isinstance(data, dict) else list(range(len(data)))
    return [(data, key) for key in keys] + [place for key in keys for place in _places(data[key])]


def _check(folder: Path, data: Any) -> None:
    (folder / "competition.yml").write_text(json.dumps(data), encoding="utf-8")
    report = check_folder(folder)
    assert (report.spec is None) == bool(report.defects)
    for defect in report.defects:
        assert defect.message
        assert defect.text()


@pytest.mark.parametrize("seed", range(150))
def test_one_changed_value_is_answered(sound: Path, seed: int) -> None:
    chance = random.Random(seed)
    data = parse_yaml((sound / "competition.yml").read_text(), file="f").data
    for _ in range(chance.choice([1, 1, 3])):
        container, key = chance.choice(_places(data))
        if chance.random() < 0.2:
            del container[key]
        else:
            container[key] = chance.choice(VALUES)
    _check(sound, data)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.fixed_dictionaries({}, optional=SECTIONS))
def test_any_tree_is_answered(sound: Path, data: dict[str, Any]) -> None:
    _check(sound, data)
