"""What the data suggest for task, input, attributes and clusters. A person looks it through and saves it."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

Splits = Mapping[str, Mapping[str, Any]]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_MOST_CLASSES, _MOST_VALUES = 50, 50
#: Names of a class that rates are usually about.
_POSITIVE = ("1", "yes", "true", "positive", "fake", "deepfake", "manipulated", "spam", "fraud", "disease", "sick")


def task_proposal(splits: Splits) -> dict[str, Any]:
    """A body for the task step. `favourable` is left open: what is good for people is no question to data."""
    classes = classes_found(splits)
    task: dict[str, Any] = {"kind": "multiclass" if len(classes) > 2 else "binary", "classes": classes}
    positive = next((name for name in classes if name.lower() in _POSITIVE), None)
    if len(classes) == 2 and positive:
        task["positive"] = positive
    return {
        "task": task, "input": input_proposal(splits), "attributes": attributes_proposal(splits),
        "aggregate": aggregate_proposal(splits),
    }  # fmt: skip


def classes_found(splits: Splits) -> list[str]:
    """The labels of all splits, in order of text, or of number where all are numbers."""
    found = {str(value) for facts in splits.values() for value, _n in (facts.get("classes") or {}).get("values", [])}
    if not found or len(found) > _MOST_CLASSES:
        return []
    numbers = all(re.fullmatch(r"-?\d{1,15}(?:\.\d{1,15})?", value) for value in found)
    return sorted(found, key=float) if numbers else sorted(found)


def input_proposal(splits: Splits) -> dict[str, Any] | None:
    """Kind, shape, range and features that most splits with inputs have."""
    held = [facts["inputs"] for facts in splits.values() if facts.get("inputs") and facts["inputs"]["shape"]]
    if not held:
        return None
    kind, shape = Counter((one["kind"], tuple(one["shape"])) for one in held).most_common(1)[0][0]
    like = [one for one in held if (one["kind"], tuple(one["shape"])) == (kind, shape)]
    made: dict[str, Any] = {"kind": kind, "shape": list(shape), "dtype": "float32", "range": _range(like)}
    if kind == "tabular":
        names = [column["name"] for column in like[0]["columns"]]
        if len(names) != shape[0]:
            return None
        made["features"] = names
    return made


def attributes_proposal(splits: Splits) -> dict[str, dict[str, Any]]:
    """An entry for each column that can be one. `privileged` is left open, as `favourable` is: only people know it."""
    sums: dict[str, Counter[str]] = {}
    for facts in splits.values():
        for name, counts in facts["attributes"].items():
            held = sums.setdefault(name, Counter())
            for value, count in counts["values"]:
                held[str(value)] += int(count)
    return {
        name: {"privileged": "", "protected": True, "minimum": 30}
        for name, counts in sums.items()
        if _NAME.fullmatch(name) and 1 < len(counts) < _MOST_VALUES
    }


def aggregate_proposal(splits: Splits) -> dict[str, Any] | None:
    """One decision a cluster, where items of some split share clusters."""
    for facts in splits.values():
        clusters = facts.get("clusters")
        if clusters and clusters["largest"] > 1 and _NAME.fullmatch(clusters["name"]):
            return {"by": clusters["name"], "rule": "mean"}
    return None


def _range(inputs: list[Mapping[str, Any]]) -> list[float]:
    """[0, 1] for bytes, which are scaled, and for numbers within it; else whole numbers around what was found."""
    ends = [one["range"] for one in inputs if one["range"][0] is not None]
    if all(one["dtype"] == "uint8" for one in inputs) or not ends:
        return [0.0, 1.0]
    low, high = min(end[0] for end in ends), max(end[1] for end in ends)
    if low >= 0 and high <= 1:
        return [0.0, 1.0]
    low, high = float(math.floor(low)), float(math.ceil(high))
    return [low, high if high > low else low + 1.0]
