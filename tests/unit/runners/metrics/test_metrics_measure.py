import json

import numpy as np
import pytest

from runners import registry
from runners.catalogue import PATH, text
from runners.errors import ScorerFault, UserError
from runners.measure import measure
from runners.registry import Column, MetricValue, metric
from tests.factories.runner_models import context


@pytest.fixture
def registered(monkeypatch):
    """Metrics registered in a test are gone after it."""
    registry.metrics()
    monkeypatch.setattr(registry, "_METRICS", dict(registry._METRICS))


def only(ctx, name, **parameters):
    (result,) = measure(name, "x", parameters, ctx)
    return result


def test_committed_catalogue_is_up_to_date():
    assert PATH.read_text(encoding="utf-8") == text(), "run `python -m runners.catalogue`"


def test_catalogue_says_what_each_result_means():
    for name, entry in json.loads(text())["metrics"].items():
        assert set(entry["columns"]) == set(entry["results"]), name
        assert entry["summary"], name
        assert entry["reference"], name
        for column in entry["columns"].values():
            assert column["direction"] in {"maximise", "minimise", "zero", "one", "none"}
            assert len(column["range"]) == 2
    assert json.loads(text())["metrics"]["robustness.attack"]["parameters"]["additionalProperties"] is False


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), np.float64("nan")])
def test_nan_never_leaves(bad):
    @metric("performance.bad", title="Bad", direction="none", range=(None, None))
    def bad_metric(ctx):
        return MetricValue(bad, low=0.0, high=1.0, n=3, details={"inner": [float("nan"), {"x": float("inf")}]})

    result = only(context([0, 1]), "performance.bad")
    assert (result.value, result.low, result.high, result.state) == (None, None, None, "undefined")
    assert result.reason
    assert result.details == {"inner": [None, {"x": None}]}
    json.dumps(result.model_dump(mode="json"), allow_nan=False)


@pytest.mark.usefixtures("registered")
def test_half_an_interval_of_infinity_is_no_interval():
    @metric("performance.half", title="Half", direction="none", range=(None, None))
    def half(ctx):
        return MetricValue(1.0, low=0.0, high=float("inf"))

    result = only(context([0, 1]), "performance.half")
    assert (result.value, result.low, result.high, result.state) == (1.0, None, None, "ok")


@pytest.mark.usefixtures("registered")
def test_columns_give_unit_direction_and_title():
    @metric(
        "performance.two", title="Two", direction="maximise", range=(0.0, 1.0), unit="m",
        results=("", Column("cost", title="Cost", unit="s", direction="minimise"), "[attribute]"),
    )  # fmt: skip
    def two(ctx, *, attribute: str = "sex"):
        return {"": MetricValue(1.0), "cost": MetricValue(2.0), "[sex]": MetricValue(3.0)}

    found = {r.key: r for r in measure("performance.two", "x", {}, context([0, 1]))}
    assert {key: (r.unit, r.direction, r.title) for key, r in found.items()} == {
        "x": ("m", "maximise", "Two"),
        "x.cost": ("s", "minimise", "Cost"),
        "x[sex]": ("m", "maximise", "Two"),
    }
    assert found["x"].parameters == {"attribute": "sex"}


@pytest.mark.usefixtures("registered")
def test_an_undeclared_result_is_a_bug():
    @metric("performance.stray", title="Stray", direction="none", range=(None, None))
    def stray(ctx):
        return {"other": MetricValue(1.0)}

    with pytest.raises(ValueError, match="other"):
        list(measure("performance.stray", "x", {}, context([0, 1])))


@pytest.mark.usefixtures("registered")
def test_a_metric_is_registered_once():
    with pytest.raises(ValueError, match="registered twice"):
        metric("performance.accuracy", title="", direction="none", range=(None, None))(lambda ctx: MetricValue(1.0))


def test_names_are_suggested():
    with pytest.raises(UserError) as error:
        registry.get_metric("performance.acuracy")
    assert "performance.accuracy" in error.value.hint
    with pytest.raises(ScorerFault, match="acuracy"):
        list(measure("performance.acuracy", "x", {}, context([0, 1])))


def test_unknown_parameters_are_named():
    with pytest.raises(ScorerFault, match="epsilon"):
        list(measure("performance.log_loss", "x", {"epsilon": 1}, context([0, 1])))
