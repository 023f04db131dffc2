"""The pictures of results: what is drawn, what is said of it, and that odd details are met calmly."""

from __future__ import annotations

from typing import Any

import pytest

from touchstone.evaluations.models import Result
from touchstone.web.charts.results import pictures_of


def drawn(details: Any, metric: str = "fairness.statistical_parity_difference") -> dict[str, Any]:
    result = Result(key=f"{metric}[sex]", metric=metric, title="SPD", direction="zero", details=details)
    return {chart.id: chart for chart in pictures_of(result)}


def group(name: str, rate: float, n: int = 100, **more: Any) -> dict[str, Any]:
    return {"group": name, "n": n, "selection_rate": rate, "tpr": 0.5, "base_rate": 0.4, "accuracy": 0.9, **more}


def test_groups_with_intervals_and_the_worst_in_words() -> None:
    (chart,) = drawn({"groups": [group("f", 0.4), group("m", 0.6)], "clusters": None}).values()
    assert chart.summary == "Selection rate: lowest for f, 0.400; highest for m, 0.600. The gap is 0.200."
    assert chart.table.rows[0] == ["f", "0.400 [0.309, 0.498]"]  # Wilson, n = 100


def test_the_rate_is_that_of_the_metric() -> None:
    details = {"groups": [group("f", 0.4, tpr=0.2), group("m", 0.6, tpr=0.9)], "clusters": None}
    (chart,) = drawn(details, "fairness.equal_opportunity_difference").values()
    assert chart.summary.startswith("True positive rate: lowest for f, 0.200")
    assert chart.table.rows[0][1] == "0.200 [0.105, 0.348]"  # of 100 · 0.4 items


def test_clusters_give_no_interval() -> None:
    (chart,) = drawn({"groups": [group("f", 0.4), group("m", 0.6)], "clusters": 9}).values()
    assert chart.table.rows[0][1] == "0.400"
    assert chart.notes == ("No interval: items share clusters.",)


def test_other_pictures() -> None:
    table = {"severities": [1, 2], "accuracy": [{"kind": "fog", "accuracy": [0.9, 0.5]}]}
    (chart,) = drawn(table, "robustness.corruptions").values()
    assert chart.summary == "Lowest for fog at severity 2: 0.500."
    (chart,) = drawn({"classes": ["a", "b"], "confusion": [[3, 2], [0, 5]]}, "performance.confusion_matrix").values()
    assert chart.summary == "Most often wrong: a taken for b, 2 times."
    (chart,) = drawn(
        {"checkpoints": [{"checkpoint": 1, "accuracy": 0.5}, {"checkpoint": 2, "accuracy": 0.7}]}, "x.y"
    ).values()
    assert chart.summary == "accuracy: from 0.500 to 0.700."
    eps = [{"eps": 0.0, "accuracy": 0.9}, {"eps": 1.0, "accuracy": 0.2}]
    assert "0" in next(iter(drawn({"accuracy_versus_eps": eps}, "robustness.attack").values())).summary


@pytest.mark.parametrize(
    "details",
    [
        None, [], "x", {"groups": "x"}, {"groups": [1, None, {"group": "f"}]}, {"groups": [group("f", float("nan"))]},
        {"groups": [group("f", 0.4), {"group": ["m"], "selection_rate": True}]}, {"severities": [1], "accuracy": {}},
        {"classes": ["a", "b"], "confusion": [[1], [2]]}, {"classes": ["a", "b"], "confusion": [["x", 1], [1, 2]]},
        {"curve": [{"share": "a", "probability": 1}]}, {"diagram": [{"stated": None}]}, {"points": {"n": 1}},
        {"severities": [1], "accuracy": [{"kind": "f", "accuracy": ["x"]}]},
    ],
)  # fmt: skip
def test_what_is_not_understood_is_not_drawn(details: Any) -> None:
    assert drawn(details) == {}
