"""The section of a page on what was measured: the picture, and its numbers in words and as a table.

An entry is what `measured` keeps of a page, with `about` and `lines` of its data.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runners.registry import MetricInfo
from scripts.metric_docs import figure, words

_MOST_ROWS = 24
_IN_PROCESS = " The models ran in the measuring process, without sandbox and protocol: a run's times are longer."


def result_section(info: MetricInfo, entry: Mapping[str, Any], *, picture: str = "") -> list[str]:
    """Heading, picture, what was measured on whom, the numbers."""
    name = picture or info.name
    return [
        "## A result",
        f"![{info.title}](../figures/{name}.svg)",
        measured(entry) + (_IN_PROCESS if info.name.startswith("efficiency.") else ""),
        said(info, entry),
        "\n".join(_table(info, entry)),
    ]


def measured(entry: Mapping[str, Any]) -> str:
    """What was measured on which items and whose answers."""
    given = ", ".join(f"`{key}: {_flow(value)}`" for key, value in entry["parameters"].items())
    with_what = f"with {given}" if given else "with the defaults of its parameters"
    lines = entry["lines"]
    who = [f"`{row['who']}`: {lines[row['who']]}" for row in entry["rows"] if row["who"] in lines]
    names = f" Submissions: {'; '.join(who)}." if who else ""
    return f"Measured on {entry['about']}; {with_what}.{names}"


def _flow(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return "[" + ", ".join(str(entry) for entry in value) + "]"
    return str(value)


def said(info: MetricInfo, entry: Mapping[str, Any]) -> str:
    """The first result of each line in words."""
    key = figure.main_key(info, entry)
    parts = []
    for row in entry["rows"]:
        found = figure.result_of(row, key)
        if found.get("value") is None:
            why = found.get("reason") or "it was not measured"
            parts.append(f"`{row['who']}` has no value ({why})")
        else:
            ends = words.interval(found.get("low"), found.get("high"))
            parts.append(f"`{row['who']}` has {words.number(found['value'])}{ends}")
    title = figure.title_of(info, key)
    return f"{title}: {words.joined(parts)}."


def _table(info: MetricInfo, entry: Mapping[str, Any]) -> list[str]:
    """Every result of every line; nothing where one result a line was told in words already."""
    keys = list(dict.fromkeys(r["key"] for row in entry["rows"] for r in row["results"]))
    if len(keys) == 1:
        return ["In brackets the 95 % interval."]
    names = [row["who"] for row in entry["rows"]]
    lines = [f"| result | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for key in keys[:_MOST_ROWS]:
        cells = [_cell(figure.result_of(row, key)) for row in entry["rows"]]
        if any(cell != "—" for cell in cells):
            lines.append(f"| {figure.title_of(info, key)} | {' | '.join(cells)} |")
    return [*lines, "", "In brackets the 95 % interval; — where there is no value."]


def _cell(found: Mapping[str, Any]) -> str:
    if found.get("value") is None:
        return "—"
    verdict = f", {found['verdict']}" if found.get("verdict") else ""
    return f"{words.number(found['value'])}{words.interval(found.get('low'), found.get('high'))}{verdict}"
