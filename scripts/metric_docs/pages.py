"""The page of one metric, as Markdown."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any

from runners.registry import Column, MetricInfo, parse_parameters
from scripts.metric_docs import examples, parameters, words
from scripts.metric_docs.results import result_section

NEEDS: Mapping[str, str] = {
    "predictions": "a class for each item",
    "probabilities": "a probability for each class and item",
    "queries": "a submission that can be asked (`model`, `code` or `container`), not a file of answers",
    "gradients": "the model's gradients: a `model` submission",
    "explanations": "attributions by the submission itself",
    "attributes": "an attribute of the split's items",
    "favourable": "a `favourable` class in the task",
    "binary": "a task of two classes",
    "validation": "a labelled `validation` split in the phase, and answers for it",
    "surrogates": "surrogate models of the competition",
}
_END = "[All metrics](../README.md) · [how to read a result](../guide.md) · generated from the registry, `{}`"
#: Items that costs are told for.
_ITEMS = 100


def page(info: MetricInfo, entry: Mapping[str, Any] | None) -> str:
    """All of it. `entry`: the results kept; without them the section on results is left out."""
    parts = [
        f"# {info.title}",
        f"`{info.name}`",
        *text_of(info.function),
        "## Formula",
        f"```\n{info.formula}\n```",
        "## Range and direction",
        f"{_range(info)}",
        *_columns(info),
        "## Interval",
        info.interval,
        "## Needs",
        needs(info),
        "## Cost",
        cost(info),
        "## Parameters",
        "\n".join(
            parameters.table(info.parameters.model_json_schema(), inspect.getdoc(info.function) or "", info.name)
        ),
        "## In competition.yml",
        f"```yaml\n{examples.yaml_of(examples.fragment(info))}```",
        *(result_section(info, entry) if entry else []),
        "## Limits",
        info.limits,
        "## Source",
        f"{info.reference}.",
        _END.format(_place(info)),
    ]
    return "\n\n".join(parts) + "\n"


def text_of(function: Any) -> list[str]:
    """The paragraphs of a docstring, without what it says of arguments, errors and what it returns."""
    doc = inspect.getdoc(function) or ""
    out = []
    for paragraph in re.split(r"\n\s*\n", doc):
        if re.match(r"(Args|Raises|Returns):", paragraph):
            continue
        out.append(" ".join(paragraph.split()).replace("<", "&lt;").replace("*", "\\*"))
    return out


def _range(info: MetricInfo) -> str:
    return (
        f"{words.range_text(info.range).capitalize()}{_unit(info.unit)}; {words.direction(info.direction)}. "
        + _ends(info.range, info.direction)
    )


def _unit(unit: str) -> str:
    return f" {unit}" if unit else ""


def _ends(bounds: tuple[float | None, float | None], direction: str) -> str:
    """What the ends mean."""
    low, high = ("" if end is None else f"{end:g}".replace("-", "−") for end in bounds)
    if direction == "maximise":
        return (f"{low} is the worst" if low else "There is no worst") + (
            f" and {high} the best that there is." if high else ", and there is no best."
        )
    if direction == "minimise":
        return (f"{low} is the best that there is" if low else "There is no best") + (
            f" and {high} the worst." if high else ", and there is no worst."
        )
    if direction in ("zero", "one"):
        ideal = "0" if direction == "zero" else "1"
        ends = [end for end in (low, high) if end and end != ideal]
        return f"{ideal} is the ideal; " + (f"{words.joined(ends)} the farthest from it." if ends else "it has no end.")
    return "The ends are no verdict."


def _columns(info: MetricInfo) -> list[str]:
    """A table of results, where there is more than the metric itself."""
    if info.results == ("",):
        return [f"One result: `{info.name}`."]
    lines = ["| result | meaning | range | direction |", "|---|---|---|---|"]
    for column in info.columns:
        bounds = column.range or info.range
        lines.append(
            f"| `{key_of(info, column)}` | {column.title} | {words.range_text(bounds)}{_unit(column.unit or '')} "
            f"| {words.direction(column.direction or info.direction)} |"
        )
    return ["\n".join(lines)]


def key_of(info: MetricInfo, column: Column) -> str:
    """The key of a result, as leaderboards name it."""
    joint = "" if not column.key or column.key.startswith("[") else "."
    return f"{info.name}{joint}{column.key}"


def needs(info: MetricInfo) -> str:
    """What the submission and the data must offer."""
    if not info.needs:
        return "Nothing of the answers: it is read off the submission itself."
    return "\n".join(f"* `{need}`: {NEEDS.get(need, need)}" for need in info.needs)


def cost(info: MetricInfo) -> str:
    """Items asked at the example's parameters, for a hundred items."""
    if info.queries is None:
        return "None beyond the answers that every metric reads."
    told = info.queries(parse_parameters(info, examples.parameters_of(info)), _ITEMS)
    through = f", {told.backward:,} of them with a gradient" if told.backward else ""
    least = f"at least {told.least:,}" if told.least else "as few as none"
    return (
        f"For {_ITEMS} items and the parameters of the example below the submission is asked about {told.typical:,} "
        f"items{through}; {least}. A phase tells what it will ask before it starts."
    )


def _place(info: MetricInfo) -> str:
    return info.function.__module__.replace(".", "/") + ".py"
