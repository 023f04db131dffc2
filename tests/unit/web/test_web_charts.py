"""Charts: options, tables and words; what strange details may not do."""

from __future__ import annotations

import json
import re
from html import unescape
from types import SimpleNamespace

import pytest
from django.template.loader import render_to_string

from touchstone.web import charts
from touchstone.web.charts import Axis, Point, Series

CURVE = [{"distance": 0.0, "success_rate": 0.0}, {"distance": 0.5, "success_rate": 0.75}]
BINS = [{"stated": 0.5, "right": 0.4, "low": 0.3, "high": 0.5, "n": 10}, {"stated": 0.9, "right": 0.6, "n": 5}]


def result(key: str = "m", **details: object) -> SimpleNamespace:
    return SimpleNamespace(key=key, title="Metric", metric="m", details=details)


def test_a_chart_is_whole_without_its_picture() -> None:
    points = [Point(0.1, 0.12345, 0.1, 0.2), Point(0.2, -0.5)]
    chart = charts.lines(
        id="one", title="Title <b>", summary="It falls.", x=Axis("Distance", unit="L2"), y=Axis("Rate"),
        series=[Series("A", points), Series("</script>", points)],
    )  # fmt: skip
    html = render_to_string("web/_chart.html", {"chart": chart})
    assert "Title &lt;b&gt;" in html
    assert "It falls." in html
    assert ">Distance (L2)</th>" in html
    assert "0.123" in html
    assert "[0.100, 0.200]" in html
    assert "−0.500" in html
    assert "</script>" not in html
    block = re.search(r'data-options="([^"]*)"', html)
    assert block is not None
    kinds = [series["type"] for series in json.loads(unescape(block[1]))["series"]]
    assert kinds == ["custom", "line", "custom", "line"]


def test_bars_keep_the_order_of_their_categories_and_leave_gaps() -> None:
    chart = charts.bars(
        id="b", title="T", summary="S", categories=["b", "a"], y=Axis("Rate"), head="Group",
        series=[Series("One", [Point("a", 0.5, 0.4, 0.6)]), Series("Two", [Point("b", 0.25)])],
    )  # fmt: skip
    bars = [series for series in chart.options["series"] if series["type"] == "bar"]
    assert [bar["data"][0] and bar["data"][0]["value"] for bar in bars] == [None, 0.25]
    assert list(chart.table.rows) == [["b", "–", "0.250"], ["a", "0.500 [0.400, 0.600]", "–"]]


def test_details_become_pictures_with_words() -> None:
    made = charts.result_charts([
        result(success_versus_distance=CURVE, norm="l2"),
        result("e", accuracy_versus_eps=[{"eps": 0, "accuracy": 0.9}, {"eps": 1, "accuracy": 0.3}]),
        result("c", diagram=BINS),
        result("p", points=[{"n": 1, "median_ms": 2.0}, {"n": 10, "median_ms": 20.0}]),
    ])  # fmt: skip
    said = [chart.summary for chart in made]
    assert said[0].startswith("Within a distance of 0.500, 75 % of the attacked items are fooled.")
    assert said[0].endswith("Half of them are at a distance of 0.500 or less.")
    assert said[1] == "Accuracy falls from 90 % on untouched items to 30 % at a budget of 1.000."
    assert "The largest gap: 0.900 stated, 0.600 right." in said[2]
    assert "from 2.000 ms to 20.000 ms" in said[3]
    assert len({chart.id for chart in made}) == 4


def test_the_same_picture_comes_once() -> None:
    assert len(charts.result_charts([result("a", diagram=BINS), result("b", diagram=BINS)])) == 1


@pytest.mark.parametrize(
    "details",
    [
        {"success_versus_distance": "none"},
        {"success_versus_distance": [1, None, {"distance": "x", "success_rate": 1}]},
        {"accuracy_versus_eps": [{"eps": True, "accuracy": 1}, {"eps": float("nan"), "accuracy": 1}]},
        {"groups": [{"group": {}, "rate": 1}, {"rate": 2}, "a"]},
        {"diagram": [{"stated": None, "right": 1}]},
        {"points": {"n": 1}},
    ],
)
def test_details_that_are_not_understood_are_not_drawn(details: dict[str, object]) -> None:
    assert charts.result_charts([result(**details)]) == []


def test_groups_of_several_need_a_rate_that_all_have() -> None:
    groups = {"groups": [{"group": "a", "tpr": 0.5}, {"group": "b", "tpr": 0.25}]}
    chart = charts.group_chart(name="g", title="Sex", held=[("One", groups), ("Two", groups)])
    assert chart is not None
    assert chart.summary == "One: worst for b (0.250), gap 0.250. Two: worst for b (0.250), gap 0.250."
    assert charts.group_chart(name="g", title="Sex", held=[("One", groups), ("Two", {})]) is None


def test_an_axis_of_counts_has_no_halves() -> None:
    chart = charts.lines(
        id="c", title="T", summary="S", x=Axis("Day", "time"), y=Axis("Sent", low=0, whole=True),
        series=[Series(name, [Point("2026-11-20", 3)]) for name in ("A", "B")],
    )  # fmt: skip
    assert chart.options["yAxis"]["minInterval"] == 1
    assert [row[-1] for row in chart.table.rows] == ["3", "3"]
    assert [each["data"][0]["text"] for each in chart.options["series"]] == [
        "Day: 2026-11-20 · A: 3", "Day: 2026-11-20 · B: 3",
    ]  # fmt: skip
    assert "minInterval" not in Axis("Rate").options()


def test_labels_of_points_give_way_to_each_other() -> None:
    points = [Point(0.5, 0.5, name="Alpha", strong=True), Point(0.501, 0.5, name="Beta", strong=True)]
    chart = charts.scatter(id="p", title="T", summary="S", x=Axis("X"), y=Axis("Y"), series=[Series("All", points)])
    assert [each["labelLayout"] for each in chart.options["series"] if each["type"] == "scatter"] == [
        {"hideOverlap": True}
    ]
