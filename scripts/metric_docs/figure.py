"""From the results kept of one page to its picture: which kind fits, and its parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile
from typing import Any

from runners.registry import MetricInfo
from scripts.metric_docs import words
from scripts.metric_docs.charts import charts_of
from scripts.metric_docs.draw import curves, dots, matrix
from scripts.metric_docs.draw.canvas import COLOURS, Canvas
from scripts.metric_docs.tables import tables_of

_IDEAL = {"zero": 0.0, "one": 1.0}
#: More results than this make a picture nobody reads: those of one kind are shown.
_MOST_ROWS = 12
#: Letters that titles have to share before they are told once.
_LEAST_SHARED = 6
#: Results that a picture shows where a metric gives many.
_SHOWN: Mapping[str, Callable[[str], bool]] = {
    "robustness.attack": lambda key: key in ("robust_accuracy", "success_rate"),
    "robustness.worst_case": lambda key: key == "robust_accuracy",
    "robustness.conditions": lambda key: key.endswith("balanced_accuracy") and "delta" not in key,
    "robustness.bias": lambda key: "[" in key,
    "robustness.mitigated_bias": lambda key: key.endswith(("spd", "spd[race]")),
    "robustness.corruptions": lambda key: key in ("", "clean_accuracy"),
    "fairness.intersectional_gap": lambda key: key in ("", "raw"),
    "efficiency.energy": lambda key: key == "estimated",
    "efficiency.latency": lambda key: key in ("", "p95", "throughput"),
    "explainability.average_drop": lambda key: key != "queries",
}


def figure(info: MetricInfo, entry: Mapping[str, Any], title: str) -> str:
    """The picture of one page as SVG."""
    canvas = Canvas(title)
    names = [row["who"] for row in entry["rows"]]
    charts, tables = charts_of(info.name, entry), tables_of(info.name, entry)
    canvas.y = 4
    if _several(info, entry) or charts:
        canvas.legend(names[:COLOURS])
    if charts:
        curves.draw(canvas, charts)
    if tables:
        matrix.draw(canvas, tables)
    if not (tables and info.name == "performance.confusion_matrix"):
        for panel in panels(info, entry):
            dots.draw(canvas, panel)
    return canvas.svg()


def _several(info: MetricInfo, entry: Mapping[str, Any]) -> bool:
    """Whether the colours stand for submissions, and not the rows."""
    return any(len(row.dots) > 1 for panel in panels(info, entry) for row in panel.rows)


def main_key(info: MetricInfo, entry: Mapping[str, Any]) -> str:
    """The first result that the picture shows."""
    return _keys(info, entry)[0]


def title_of(info: MetricInfo, key: str) -> str:
    """What a result is, with its group where it is of one."""
    title = info.column(key).title or info.title
    return f"{title}, {_group(key)}" if "=" in key else title


def panels(info: MetricInfo, entry: Mapping[str, Any]) -> list[dots.Panel]:
    """One panel for results of one meaning: range, unit and direction."""
    keys = _keys(info, entry)
    groups: dict[tuple[Any, ...], list[str]] = {}
    for key in keys:
        column = info.column(key)
        groups.setdefault((column.range, _unit(info, entry, key), column.direction), []).append(key)
    return [_panel(info, entry, found, unit) for (_, unit, _), found in groups.items()]


def _keys(info: MetricInfo, entry: Mapping[str, Any]) -> list[str]:
    """Result keys in the order of their first occurrence, those that `_SHOWN` names where there are many."""
    found = dict.fromkeys(r["key"] for row in entry["rows"] for r in row["results"])
    wanted = _SHOWN.get(info.name)
    keys = [key for key in found if wanted is None or wanted(key)]
    if any(key.startswith("before[") for key in keys):
        keys = [key for key in keys if key.startswith("[")]
    valued = [key for key in keys if any(result_of(row, key).get("value") is not None for row in entry["rows"])]
    return (valued or keys)[:_MOST_ROWS]


def result_of(row: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The result with this key, or an empty one."""
    found: Mapping[str, Any] = next((r for r in row["results"] if r["key"] == key), {})
    return found


def _unit(info: MetricInfo, entry: Mapping[str, Any], key: str) -> str:
    told = next((u for row in entry["rows"] if (u := result_of(row, key).get("unit"))), None)
    return str(told or info.column(key).unit or "")


def _panel(info: MetricInfo, entry: Mapping[str, Any], keys: Sequence[str], unit: str) -> dots.Panel:
    column = info.column(keys[0])
    rows = entry["rows"]
    if len(keys) == 1:
        lines = [dots.Row(row["who"], (_dot(place, row, keys[0]),)) for place, row in enumerate(rows)]
        if len(rows) > COLOURS:
            lines = lines[:COLOURS]
        title = column.title or info.title
    else:
        title, names = _labels(info, keys)
        lines = [
            dots.Row(name, tuple(_dot(i, row, key) for i, row in enumerate(rows)))
            for name, key in zip(names, keys, strict=True)
        ]
    direction, bounds = column.direction or info.direction, column.range or info.range
    better = f"{_hollow(keys, rows)}{words.direction(direction)} · range {words.range_text(bounds)}"
    return dots.Panel(title, lines, bounds=bounds, ideal=_IDEAL.get(direction), unit=unit, better=better)


def _hollow(keys: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """What a hollow mark means, where there are any."""
    return "hollow: before · " if any(result_of(row, f"before{keys[0]}") for row in rows) else ""


def _dot(series: int, row: Mapping[str, Any], key: str) -> dots.Dot:
    found = result_of(row, key)
    before = result_of(row, f"before{key}") if key.startswith("[") else {}
    missing = str(found.get("reason") or found.get("state") or "none")
    return dots.Dot(
        series % COLOURS, found.get("value"), found.get("low"), found.get("high"), before.get("value"), missing
    )


def _group(key: str) -> str:
    """`Caucasian` of `[race=Caucasian]`, `accuracy: mlp` of `accuracy[source=mlp]`."""
    part, _, inside = key.partition("[")
    group = inside.removesuffix("]").partition("=")[2]
    return f"{part.replace('_', ' ')}: {group}" if part else group


def _labels(info: MetricInfo, keys: Sequence[str]) -> tuple[str, list[str]]:
    """The title of a panel and the names of its rows: groups, or the titles of results without what they share."""
    titles = [info.column(key).title or info.title for key in keys]
    if all("=" in key for key in keys):
        return titles[0], [_group(key) for key in keys]
    shared = "".join(
        letters[0] for letters in takewhile(lambda found: len(set(found)) == 1, zip(*titles, strict=False))
    )
    start = shared[: max(shared.rfind(" (") + 2, shared.rfind(": ") + 2)]
    if len(start) > _LEAST_SHARED and not any("=" in key for key in keys):
        ends = [title.removeprefix(start) for title in titles]
        return start.rstrip(" (:"), [end.removesuffix(")") if start.endswith("(") else end for end in ends]
    return info.title, [_group(key) if "=" in key else title for key, title in zip(keys, titles, strict=True)]
