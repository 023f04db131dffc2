"""The page for organisers: its example passes, its defects are real, and it explains every key."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from runners.spec import check_folder, json_schema

PAGE = (Path(__file__).parents[4] / "docs" / "competition-format.md").read_text(encoding="utf-8")


@pytest.fixture
def example(tmp_path: Path) -> Path:
    for name in ("competition.yml", "data/test/labels.csv", "data/test/attributes.csv"):
        block = re.search(rf"^`{re.escape(name)}`:\n\n```\w+\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
        assert block is not None, name
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block[1])
    return tmp_path


def test_the_example_passes(example: Path) -> None:
    assert check_folder(example).defects == []


def test_the_defects_shown_are_those_of_the_check(example: Path) -> None:
    spec = example / "competition.yml"
    spec.write_text(spec.read_text().replace("favourable:", "favorable:").replace("split: test", "split: tset"))
    second = "  - {slug: second, split: test, opens: 2026-02-01T00:00Z}\nmetrics:"
    spec.write_text(spec.read_text().replace("limits: {per_day: 5}}\nmetrics:", "limits: {per_day: 5}}\n" + second))
    labels = example / "data/test/labels.csv"
    labels.write_text(labels.read_text().replace("p2,default", "p2,defualt"))

    told = {defect.text() for defect in check_folder(example).defects}

    shown = PAGE.rpartition("```\n")[0].rpartition("```\n")[2].splitlines()
    assert len(shown) == 4
    assert [line for line in shown if line not in told] == []


def _keys(schema: dict[str, Any]) -> set[str]:
    models = [schema, *schema["$defs"].values()]
    return {key for model in models for key in model.get("properties", {})}


def test_every_key_is_explained() -> None:
    code = set(re.findall(r"`([^`\n]+)`", PAGE)) | {
        word for text in re.findall(r"`\{([^`}]+)\}`", PAGE) for word in text.split(", ")
    }
    assert sorted(_keys(json_schema()) - code) == []
