"""A metric and an attack of an installed package: one file each, found by entry point; and the example of the docs."""

import re
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from runners import registry
from runners.catalogue import catalogue
from runners.measure import measure
from runners.spec.parameters import parameter_problems
from tests.factories.runner_models import Clock, TimedModel, context, linear_model, model_context

DOCS = (Path(__file__).parents[4] / "docs" / "metrics" / "guide.md").read_text(encoding="utf-8")

METRIC = '''
from typing import Annotated

from pydantic import Field

from runners.context import MetricContext
from runners.registry import MetricValue, metric


@metric("acme.weighted_error", title="Weighted error", direction="minimise", range=(0.0, None), needs=("predictions",))
def weighted_error(ctx: MetricContext, *, weight: Annotated[float, Field(gt=0)] = 2.0) -> MetricValue:
    """Wrong answers over items, those about the second class counted `weight` times."""
    wrong = ctx.predictions != ctx.labels
    return MetricValue(float((wrong * (1 + (weight - 1) * ctx.labels)).mean()), n=ctx.n)
'''

ATTACK = '''
import numpy as np

from runners.registry import attack


@attack("acme_corner", title="Corner", requires="queries", norms=("linf",), reference="None", queries=lambda given: 0)
def corner(model, x, y, *, norm, eps, value_range, rng, up: bool = True):
    """Every number as far up, or down, as the budget allows; it asks nothing."""
    return (x + (eps if up else -eps)).astype(np.float32)
'''


@pytest.fixture
def own_registry(monkeypatch):
    """A registry that loads everything anew, and forgets what the test adds."""
    registry.metrics()
    registry.attacks()
    for name in ("_METRICS", "_ATTACKS"):
        monkeypatch.setattr(registry, name, dict(getattr(registry, name)))
    monkeypatch.setattr(registry, "_LOADED", set())


@pytest.fixture
def installed(own_registry, tmp_path, monkeypatch):
    """A package as an installer leaves it: modules, and metadata with entry points."""
    for name, text in (("acme_metric", METRIC), ("acme_attack", ATTACK)):
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.delitem(sys.modules, name, raising=False)
    info = tmp_path / "acme_evaluators-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-evaluators\nVersion: 1.0\n")
    points = """
        [touchstone.metrics]
        acme = acme_metric

        [touchstone.attacks]
        acme = acme_attack
    """
    (info / "entry_points.txt").write_text(textwrap.dedent(points))
    (info / "RECORD").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))


def test_a_metric_of_a_package_is_measured(installed):
    ctx = context([0, 0, 1, 1], [0, 1, 0, 1])
    (result,) = measure("acme.weighted_error", "mine", {"weight": 3.0}, ctx)
    assert (result.key, result.pillar, result.value, result.state) == ("mine", "acme", 1.0, "ok")
    (absent,) = measure("acme.weighted_error", "mine", {}, context([0, 1]))
    assert absent.state == "not_applicable"


def test_it_is_catalogued_and_its_parameters_are_checked(installed):
    entry = catalogue()["metrics"]["acme.weighted_error"]
    assert entry["summary"].startswith("Wrong answers over items")
    problems = parameter_problems(entry["parameters"], {"weight": 0, "wait": 1})
    assert sorted(problem.loc for problem in problems) == [("wait",), ("weight",)]


def test_an_attack_of_a_package_is_used(installed):
    w = np.array([1.0, 1.0, 1.0])
    x = np.full((20, 3), 0.45, dtype=np.float32)
    ctx = model_context(linear_model(w, -1.5), x, [0] * 20)
    found = {
        up: {r.key: r for r in measure("robustness.attack", "a", {"attack": "acme_corner", "eps": 0.1, "up": up}, ctx)}
        for up in (True, False)
    }
    assert found[True]["a.robust_accuracy"].value == 0.0
    assert found[False]["a.robust_accuracy"].value == 1.0


def test_without_the_package_it_is_unknown(own_registry):
    assert not [name for name in (*registry.metrics(), *registry.attacks()) if name.startswith("acme")]


def test_the_metric_of_the_docs_works(own_registry):
    (block,) = (text for text in re.findall(r"```python\n(.*?)```", DOCS, re.DOTALL) if "batching_gain" in text)
    lines = [line for line in block.splitlines() if line.strip() and not line.startswith(("import", "from"))]
    assert len(lines) <= 20
    exec(compile(block, "docs/metrics/guide.md", "exec"), {"__name__": "organisers_own"})
    clock = Clock()
    model = TimedModel(clock, lambda n: 0.004 + 0.001 * n)
    ctx = model_context(model, np.zeros((30, 3), dtype=np.float32), [0, 1] * 15, clock=clock)
    asked = model.queries
    (result,) = measure("efficiency.batching_gain", "gain", {"size": 16}, ctx)
    assert result.value == pytest.approx(16 * 5 / 20)
    info = registry.get_metric("efficiency.batching_gain")
    assert info.queries({"size": 16}, 30).least == model.queries - asked
    clock = Clock()
    still = model_context(TimedModel(clock, lambda n: 0.0), np.zeros((30, 3), dtype=np.float32), [0] * 30, clock=clock)
    (result,) = measure("efficiency.batching_gain", "gain", {}, still)
    assert (result.value, result.state) == (None, "undefined")
