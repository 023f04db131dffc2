"""Which curves a page shows, from the details of its results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from scripts.metric_docs.draw.canvas import COLOURS
from scripts.metric_docs.draw.curves import Chart, Line

Entry = Mapping[str, Any]
#: Attacks whose examples use the whole budget: below it their curve would say nothing.
_ON_THE_EDGE = frozenset({"fgsm", "square", "universal", "autoattack"})


def charts_of(name: str, entry: Entry) -> list[Chart]:
    """Curves of the first kind that the results have."""
    for find in _KINDS:
        found = find(name, entry)
        if found:
            return found
    return []


def _lines(entry: Entry, pick: Callable[[Mapping[str, Any]], Any], x: str, y: str) -> list[Line]:
    """One line a submission, from the first result whose details `pick` finds a list in."""
    out = []
    for series, row in enumerate(entry["rows"]):
        points = next((p for r in row["results"] if (p := pick(r.get("details", {})))), None)
        if points:
            out.append(Line(series % COLOURS, [(p[x], p[y]) for p in points if p[x] is not None]))
    return out


def _eps(name: str, entry: Entry) -> list[Chart]:
    lines = _lines(entry, lambda d: d.get("accuracy_versus_eps"), "eps", "accuracy")
    if not lines or name == "robustness.bias" or entry["parameters"].get("attack") in _ON_THE_EDGE:
        return []
    norm = entry["parameters"].get("norm", "linf")
    most = max(x for line in lines for x, _ in line.points)
    title = "Accuracy left, by the budget of the attack"
    return [Chart(title, f"eps ({norm})", "robust accuracy", lines, (0.0, most))]


def _diagram(_name: str, entry: Entry) -> list[Chart]:
    lines = _lines(entry, lambda d: d.get("diagram"), "stated", "right")
    if not lines:
        return []
    title = "Reliability diagram"
    return [Chart(title, "mean probability stated", "share that was right", lines, (0.0, 1.0), diagonal=True)]


def _growth(name: str, entry: Entry) -> list[Chart]:
    lines = _lines(entry, lambda d: d.get("points") if isinstance(d.get("points"), list) else None, "n", "min_ms")
    if not lines:
        return []
    ends = [y for line in lines for _, y in line.points]
    sizes = [x for line in lines for x, _ in line.points]
    low, high = 10 ** _floor(min(ends)), 10 ** (_floor(max(ends)) + 1)
    what = "tokens" if name.endswith("per_token") else "items"
    return [Chart(f"Time of a question, by its {what}", f"{what} in a question", "least ms", lines,
                  (max(1.0, min(sizes)), max(sizes)), (low, high), (True, True))]  # fmt: skip


def _floor(value: float) -> int:
    import math

    return math.floor(math.log10(value))


def _removal(name: str, entry: Entry) -> list[Chart]:
    if name != "explainability.deletion_insertion":
        return []
    out = []
    for key, x in (("deletion", "share removed"), ("insertion", "share put back")):
        lines = []
        for series, row in enumerate(entry["rows"]):
            points = next((r["details"]["curve"] for r in row["results"] if r["key"] == key and "details" in r), [])
            lines.append(Line(series, [(p["share"], p["probability"]) for p in points], marks=False))
            lines.append(Line(series, [(p["share"], p["random_map"]) for p in points], dashed=True))
        out.append(Chart(f"{key.capitalize()} (dashed: random map)", x, "probability", lines, (0.0, 1.0)))
    return out


def _membership(_name: str, entry: Entry) -> list[Chart]:
    def rates(details: Mapping[str, Any]) -> Any:
        points = details.get("curve")
        return points if isinstance(points, list) and points and "fpr" in points[0] else None

    lines = _lines(entry, rates, "fpr", "tpr")
    if not lines:
        return []
    low = min(x for line in lines for x, _ in line.points)
    shown = [Line(line.series, [p for p in line.points if p[1] >= low]) for line in lines]
    return [Chart("Members found, by non-members wrongly accused", "false positive rate", "true positive rate", shown,
                  (low, 1.0), (low, 1.0), (True, True), diagonal=True)]  # fmt: skip


def _levels(_name: str, entry: Entry) -> list[Chart]:
    """Accuracy at finite levels of epsilon."""

    def levels(details: Mapping[str, Any]) -> Any:
        points = details.get("curve")
        if not isinstance(points, list) or not points or "epsilon" not in points[0]:
            return None
        return [p for p in points if isinstance(p["epsilon"], int | float)]

    lines = _lines(entry, levels, "epsilon", "accuracy")
    if not lines:
        return []
    sizes = [x for line in lines for x, _ in line.points]
    heights = [y for line in lines for _, y in line.points]
    return [Chart("Accuracy, by the level of privacy", "epsilon", "accuracy", lines, (min(sizes), max(sizes)),
                  (max(0.0, min(heights) - 0.03), min(1.0, max(heights) + 0.03)), (True, False))]  # fmt: skip


def _own(_name: str, entry: Entry) -> list[Chart]:
    """Curves that were measured beside the results."""
    for key, title, x, y in (
        ("roc", "ROC", "false positive rate", "true positive rate"),
        ("pr", "Precision and recall", "recall", "precision"),
    ):
        if all(key in row for row in entry["rows"]):
            lines = [
                Line(i, [(a, b) for a, b in row[key]], marks=False) for i, row in enumerate(entry["rows"])
            ]  # fmt: skip
            return [Chart(title, x, y, lines, (0.0, 1.0), diagonal=key == "roc")]
    return []


def _training(_name: str, entry: Entry) -> list[Chart]:
    lines = _lines(entry, lambda d: d.get("checkpoints"), "checkpoint", "accuracy")
    if not lines:
        return []
    most = max(x for line in lines for x, _ in line.points)
    heights = [y for line in lines for _, y in line.points]
    low, high = max(0.0, min(heights) - 0.05), min(1.0, max(heights) + 0.05)
    return [Chart("Accuracy under attack, by epoch", "epoch", "accuracy", lines, (0.0, most), (low, high))]


_KINDS = (_own, _eps, _diagram, _growth, _removal, _membership, _levels, _training)
