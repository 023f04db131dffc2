"""Pictures of results: where things are drawn, and that the same numbers give the same bytes."""

import xml.etree.ElementTree as ET

import pytest

from scripts.metric_docs.draw import curves, dots, matrix
from scripts.metric_docs.draw.axes import Axis, fitted, tick_text
from scripts.metric_docs.draw.canvas import Canvas

SVG = "{http://www.w3.org/2000/svg}"


def test_axis_places_numbers_and_stops_at_its_ends():
    axis = Axis(-1.0, 1.0, 100.0, 500.0)
    assert [axis.at(v) for v in (-2.0, -1.0, 0.0, 0.5)] == [100.0, 100.0, 300.0, 400.0]
    assert axis.ticks() == [-1.0, -0.5, 0.0, 0.5, 1.0]
    assert [tick_text(t, axis) for t in axis.ticks()] == ["−1.0", "−0.5", "0.0", "0.5", "1.0"]
    large = Axis(450e6, 575e6, 0.0, 100.0)
    assert [tick_text(t, large) for t in large.ticks()][:2] == ["450 M", "475 M"]
    log = Axis(1.0, 1000.0, 0.0, 300.0, log=True)
    assert [log.at(v) for v in (1.0, 10.0, 1000.0)] == pytest.approx([0.0, 100.0, 300.0])
    assert log.ticks() == [1.0, 10.0, 100.0, 1000.0]


def test_axis_is_the_whole_range_where_it_is_filled_and_a_window_elsewhere():
    assert fitted([0.2, 0.7], (0.0, 1.0), None, 0, 1) == Axis(0.0, 1.0, 0, 1)
    part = fitted([0.68, 0.70], (0.0, 1.0), None, 0, 1)
    assert 0.6 < part.low < 0.68
    assert 0.70 < part.high < 0.8
    held = fitted([0.02, 0.03], (-1.0, 1.0), 0.0, 0, 1)
    assert held.low < 0.0 < 0.03 < held.high
    far = fitted([3.0, 4000.0], (0.0, None), None, 0, 1)
    assert (far.low, far.high, far.log) == (1.0, 10000.0, True)
    assert fitted([], (0.0, None), None, 0, 1).high > 0
    same = fitted([5.0, 5.0], (0.0, None), None, 0, 1)
    assert same.low < 5.0 < same.high


def panel(**more):
    rows = [
        dots.Row("one", (dots.Dot(0, 0.5, 0.25, 0.75),)),
        dots.Row("two", (dots.Dot(1, None, missing="classes only"),)),
    ]
    return dots.Panel(title="Accuracy", rows=rows, bounds=(0.0, 1.0), **more)


def drawn(*draws):
    canvas = Canvas("A <title>")
    for draw, what in draws:
        draw(canvas, what)
    return canvas.svg()


def test_dot_lies_on_its_number_between_the_ends_of_its_interval():
    root = ET.fromstring(drawn((dots.draw, panel())))
    (circle,) = root.iter(f"{SVG}circle")
    middle = (120 + 516) / 2
    assert float(circle.get("cx")) == middle
    wide = [line for line in root.iter(f"{SVG}line") if line.get("stroke-width") == "2"]
    assert [(float(w.get("x1")), float(w.get("x2"))) for w in wide] == [(219, 417)]
    said = [text.text for text in root.iter(f"{SVG}text")]
    assert "0.500 (0.250 to 0.750)" in said
    assert "no value: classes only" in said


def test_same_numbers_same_bytes_and_text_is_escaped():
    assert drawn((dots.draw, panel())) == drawn((dots.draw, panel()))
    assert "<title>A &lt;title&gt;</title>" in drawn((dots.draw, panel()))
    assert "prefers-color-scheme:dark" in drawn((dots.draw, panel()))


def test_what_was_before_is_hollow():
    row = dots.Row("one", (dots.Dot(0, 0.1, before=0.9),))
    root = ET.fromstring(drawn((dots.draw, dots.Panel(title="t", rows=[row], bounds=(0.0, 1.0)))))
    hollow, full = root.iter(f"{SVG}circle")
    assert float(hollow.get("cx")) > float(full.get("cx"))
    assert "paper" in hollow.get("class")


def test_chart_draws_each_line_and_marks_what_was_measured():
    lines = [curves.Line(0, [(0.0, 1.0), (1.0, 0.0)]), curves.Line(1, [(0.0, 0.5), (1.0, 0.5)], dashed=True)]
    chart = curves.Chart("t", "eps", "accuracy", lines, (0.0, 1.0))
    root = ET.fromstring(drawn((curves.draw, [chart, chart])))
    assert len(list(root.iter(f"{SVG}polyline"))) == 4
    assert len(list(root.iter(f"{SVG}circle"))) == 4
    first = next(root.iter(f"{SVG}polyline")).get("points").split()
    (left, top), (right, bottom) = (tuple(map(float, pair.split(","))) for pair in first)
    assert left < right
    assert bottom - top == 210


def test_table_has_a_cell_for_each_number():
    table = matrix.Table("m", 0, ["a", "b"], ["x", "y"], [["1", "2"], ["3", "4"]], [[0.0, 1.0], [0.5, 0.5]], x="p")
    root = ET.fromstring(drawn((matrix.draw, [table])))
    said = [text.text for text in root.iter(f"{SVG}text")]
    assert [t for t in said if t in "1234"] == ["1", "2", "3", "4"]
    shades = [float(r.get("fill-opacity")) for r in root.iter(f"{SVG}rect") if r.get("fill-opacity")]
    assert shades == [0.06, 0.56, 0.31, 0.31]


def test_legend_goes_on_below_where_it_is_long():
    short, long = Canvas("t"), Canvas("t")
    short.legend(["a"])
    long.legend(["a submission with a long name"] * 6)
    assert long.y > short.y
