"""The page on a metric of one's own is true: its package is installed as written, and measured."""

import re
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from runners import registry
from runners.measure import measure
from tests.factories.runner_models import Clock, TimedModel, context, model_context

PAGE = (Path(__file__).parents[4] / "docs" / "extending-metrics.md").read_text(encoding="utf-8")


def block(language):
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return found


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The package of the page as an installer leaves it: its module, and its entry points as metadata."""
    registry.metrics()
    monkeypatch.setattr(registry, "_METRICS", dict(registry._METRICS))
    monkeypatch.setattr(registry, "_LOADED", set())
    project = tomllib.loads(block("toml"))
    ((group, points),) = project["project"]["entry-points"].items()
    (module,) = project["tool"]["setuptools"]["py-modules"]
    (tmp_path / f"{module}.py").write_text(block("python"))
    monkeypatch.delitem(sys.modules, module, raising=False)
    name, version = project["project"]["name"], project["project"]["version"]
    info = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = [f"[{group}]", *(f"{key} = {value}" for key, value in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    (info / "RECORD").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop(module, None)


def asked(cost, **parameters):
    clock = Clock()
    model = TimedModel(clock, cost)
    ctx = model_context(model, np.zeros((200, 3), dtype=np.float32), [0, 1] * 100, clock=clock)
    before = model.queries
    (result,) = measure("acme.best_batch", "mine", parameters, ctx)
    return result, model.queries - before


def test_the_metric_of_the_page_measures(installed):
    """40 ms a question and 1 ms an item: 128 items come at 762 a second, and 64, at 615, are short of 90 % of that."""
    result, _ = asked(lambda n: 0.04 + 0.001 * n, seconds=1e6)
    assert (result.value, result.state, result.unit, result.pillar) == (128.0, "ok", "items", "acme")
    result, _ = asked(lambda n: 0.004 + 0.001 * n, seconds=1e6)
    assert result.value == 32.0  # 889 of 970 a second; 16 would give 800
    assert [point["n"] for point in result.details["points"]][-1] == 128


def test_it_asks_what_it_declares_and_keeps_to_its_time(installed):
    info = registry.get_metric("acme.best_batch")
    _, number = asked(lambda n: 0.004, repeats=5, seconds=1e6)
    assert number == info.queries({"repeats": 5, "seconds": 1e6}, 200).typical
    result, _ = asked(lambda n: 10.0 * n, seconds=30)
    assert result.state == "undefined"
    assert "cannot be told" in result.reason


def test_a_file_of_answers_has_none(installed):
    (result,) = measure("acme.best_batch", "mine", {}, context([0, 1], [0, 1]))
    assert result.state == "not_applicable"


def test_it_is_twenty_lines():
    lines = [line for line in block("python").splitlines() if line.strip()]
    assert len([line for line in lines if not line.startswith(("import", "from"))]) <= 20


def test_the_parts_that_the_page_names_are_there():
    import importlib

    for names, module in re.findall(r"^\| (`[^|]*`) \| `efficiency\.(\w+)` \|", PAGE, re.MULTILINE):
        for name in re.findall(r"`(\w+)\(", names):
            assert hasattr(importlib.import_module(f"runners.metrics.efficiency.{module}"), name), name
