"""What was found in the data of a draft, as an organiser reads it: counts, gaps, first items, leaks and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from touchstone.web import charts, present

Text = str | Promise

PARTS: dict[str, Text] = {
    "inputs": gettext_lazy("inputs"),
    "labels": gettext_lazy("labels"),
    "attributes": gettext_lazy("attributes"),
    "clusters": gettext_lazy("clusters"),
}
_INPUT_KINDS: dict[str, Text] = {
    "tabular": gettext_lazy("table"), "image": gettext_lazy("images"), "array": gettext_lazy("arrays"),
}  # fmt: skip
_MOST_CHARTS = 8


@dataclass(frozen=True)
class Leak:
    """Something two splits share. `tone`: error, warn or info."""

    tone: str
    text: str
    examples: str
    advice: str


@dataclass(frozen=True)
class SplitShown:
    """A split with its facts in words, its first items and its defects."""

    name: str
    visibility: str
    n: str
    facts: list[tuple[Text, str]]
    gaps: list[tuple[str, str]]
    heads: list[str]
    rows: list[list[str]]
    more_columns: int
    pictures: list[dict[str, str]]
    columns: list[list[str]]
    defects: list[dict[str, Any]]


def splits_shown(*, report: Mapping[str, Any], visibilities: Mapping[str, str]) -> list[SplitShown]:
    """The splits of a report that the draft still has, in its order."""
    return [
        _split(name, visibilities[name], report["splits"][name]) for name in visibilities if name in report["splits"]
    ]


def found_charts(*, report: Mapping[str, Any], visibilities: Mapping[str, str]) -> list[charts.Chart]:
    """Bars of the classes, of each attribute, and of the classes within each value of an attribute."""
    splits = {name: report["splits"][name] for name in visibilities if name in report["splits"]}
    counts = {name: class_counts(facts) for name, facts in splits.items()}
    made = [charts.share_bars(id="classes", title=_("Classes"), head=_("Class"), counts=counts)]
    names = list(dict.fromkeys(name for facts in splits.values() for name in facts["attributes"]))
    for index, name in enumerate(names[:_MOST_CHARTS]):
        counts = {split: attribute_counts(facts, name) for split, facts in splits.items()}
        title = _("Attribute %(name)s") % {"name": name}
        made.append(charts.share_bars(id=f"attribute-{index}", title=title, head=name, counts=counts))
        title = _("Classes within %(name)s, all splits together") % {"name": name}
        crossed = class_by_value(splits, name)
        made.append(charts.share_bars(id=f"crossing-{index}", title=title, head=_("Class"), counts=crossed))
    return [chart for chart in made if chart is not None]


def class_counts(facts: Mapping[str, Any]) -> dict[str, int]:
    """Class → items of a split; "" is unknown."""
    return _counts(facts.get("classes") or {})


def attribute_counts(facts: Mapping[str, Any], name: str) -> dict[str, int]:
    """Value of an attribute → items of a split; "" is unknown."""
    return _counts(facts["attributes"].get(name) or {})


def class_by_value(splits: Mapping[str, Mapping[str, Any]], name: str) -> dict[str, dict[str, int]]:
    """Value of an attribute → class → items, over all splits."""
    found: dict[str, dict[str, int]] = {}
    for facts in splits.values():
        for value, row in (facts["crossings"].get(name) or {}).get("label") or []:
            held = found.setdefault(str(value), {})
            for label, count in row.items():
                held[label] = held.get(label, 0) + int(count)
    return found


def values_found(splits: Mapping[str, Mapping[str, Any]], name: str) -> dict[str, int]:
    """Value of an attribute → items in all splits, the most frequent first; without the unknown."""
    sums: dict[str, int] = {}
    for facts in splits.values():
        for value, count in attribute_counts(facts, name).items():
            if value:
                sums[value] = sums.get(value, 0) + count
    return dict(sorted(sums.items(), key=lambda item: (-item[1], item[0])))


def leaks_shown(*, report: Mapping[str, Any], visibilities: Mapping[str, str]) -> list[Leak]:
    """What splits of the draft share, the worst first."""
    order = {"error": 0, "warn": 1, "info": 2}
    there = [leak for leak in report["leaks"] if set(leak["splits"]) <= set(visibilities)]
    found = [_leak(leak, visibilities) for leak in there if not leak["chance"]]
    chance = [leak for leak in there if leak["chance"]]
    return sorted(found, key=lambda leak: order[leak.tone]) + ([_by_chance(chance)] if chance else [])


def _by_chance(leaks: Sequence[Mapping[str, Any]]) -> Leak:
    """Equal rows of coarse tables, of all pairs of splits at once."""
    pairs = [f"{' – '.join(leak['splits'])} {present.count(leak['count'])}" for leak in leaks]
    text = _("Some rows have the same values in two splits: %(pairs)s.") % {"pairs": ", ".join(pairs)}
    advice = _(
        "Equal rows are common within each of these splits too, so these may be different items that happen to have "
        "the same values. Look at some of them."
    )
    return Leak("info", text, _examples(leaks[0]["examples"]), advice)


def _leak(leak: Mapping[str, Any], visibilities: Mapping[str, str]) -> Leak:
    a, b = leak["splits"]
    values = {"a": a, "b": b, "name": leak["name"], "n": present.count(leak["count"])}
    open_ = {visibilities[a], visibilities[b]}
    tone = "info" if open_ == {"public"} else "warn"
    if leak["kind"] == "id":
        tone = "error" if open_ == {"public", "hidden"} else tone
        text = ngettext(
            "%(n)s item id stands in both %(a)s and %(b)s.", "%(n)s item ids stand in both %(a)s and %(b)s.",
            leak["count"],
        )  # fmt: skip
        advice = _("The same items: take them out of one split. Different items: give them different ids.")
        if tone == "error":
            advice += " " + _("A competition in which a public and a hidden split share an id cannot be published.")
    elif leak["kind"] == "cluster":
        text = ngettext(
            "%(n)s %(name)s has items in both %(a)s and %(b)s.", "%(n)s different %(name)s values have items in both "
            "%(a)s and %(b)s.", leak["count"],
        )  # fmt: skip
        advice = _(
            "Put all items of one %(name)s into the same split: a model that knows it from one split recognises it in "
            "the other, and its score is too good."
        )
    else:
        tone = "error" if tone == "warn" and "public" in open_ else tone
        text = ngettext(
            "%(n)s input is byte for byte the same in %(a)s and %(b)s.",
            "%(n)s inputs are byte for byte the same in %(a)s and %(b)s.", leak["count"],
        )  # fmt: skip
        advice = _("Take them out of one of the two: who finds the pair knows the answer.")
    return Leak(tone, text % values, _examples(leak["examples"]), advice % values)


def _examples(examples: Sequence[Any]) -> str:
    return ", ".join(" = ".join(entry) if isinstance(entry, list) else str(entry) for entry in examples)


def _counts(found: Mapping[str, Any]) -> dict[str, int]:
    counts = {str(value): int(count) for value, count in found.get("values", [])}
    return counts | ({"": int(found["unknown"])} if found.get("unknown") else {})


def _split(name: str, visibility: str, facts: Mapping[str, Any]) -> SplitShown:
    inputs = facts["inputs"] or {}
    rows = [list(row) for row in inputs.get("rows", [])]
    labels = inputs.get("labels") or []
    columns = inputs.get("columns", [])
    heads = ["id", *(column["name"] for column in columns[: max(0, len(rows[0]) - 1)])] if rows and columns else []
    if heads and len(labels) == len(rows):
        heads.append(_("label"))
        rows = [[*row, label] for row, label in zip(rows, labels, strict=True)]
    pictures = [
        {"sha256": picture["sha256"], "id": picture["id"], "label": label}
        for picture, label in zip(
            inputs.get("pictures", []), labels or [""] * len(inputs.get("pictures", [])), strict=False
        )
        if "sha256" in picture
    ]
    return SplitShown(
        name=name, visibility=visibility, n=present.count(facts["n"]), facts=_facts(facts, inputs),
        gaps=_gaps(facts, inputs), heads=heads, rows=rows if heads else [],
        more_columns=max(0, len(columns) - (len(rows[0]) - 1 if rows else 0)) if columns else 0,
        pictures=pictures, columns=[_column(column) for column in columns[:40]], defects=facts["defects"],
    )  # fmt: skip


def _facts(facts: Mapping[str, Any], inputs: Mapping[str, Any]) -> list[tuple[Text, str]]:
    told: list[tuple[Text, str]] = [(_("Items"), present.count(facts["n"]))]
    told.append((_("Parts"), ", ".join(str(PARTS[part]) for part in facts["parts"]) or "–"))
    if inputs:
        shape = " × ".join(map(str, inputs["shape"])) or "–"
        told.append((_("Inputs"), f"{_INPUT_KINDS[inputs['kind']]}, {shape}, {inputs['dtype'] or '–'}"))
        low, high = inputs["range"]
        if low is not None:
            told.append((_("Range of values"), f"{low:.6g} … {high:.6g}".replace("-", present.MINUS)))
        same = (facts["repeated"] or {}).get("count", 0)
        text = present.count(same)
        if same:
            text += f" ({_examples(facts['repeated']['examples'])})"
        told.append((_("Inputs that repeat another of this split"), text))
    clusters = facts["clusters"]
    if clusters:
        sizes = f"{present.count(clusters['smallest'])} … {present.count(clusters['largest'])}"
        text = _("%(n)s, with %(sizes)s items each") % {"n": present.count(clusters["n"]), "sizes": sizes}
        told.append((_("Clusters (%(name)s)") % {"name": clusters["name"]}, text))
    return told


def _gaps(facts: Mapping[str, Any], inputs: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Where values are missing: (what, how many of how many)."""
    n = facts["n"]
    gaps = [(str(_("inputs")), inputs.get("missing", 0))] if inputs else []
    gaps.append((str(_("labels")), (facts["classes"] or {}).get("unknown", 0)))
    gaps += [(name, counts["unknown"]) for name, counts in facts["attributes"].items()]
    if facts["clusters"]:
        gaps.append((facts["clusters"]["name"], facts["clusters"]["alone"]))
    told = _("%(n)s of %(all)s")
    return [(what, told % {"n": present.count(k), "all": present.count(n)}) for what, k in gaps if k]


def _column(column: Mapping[str, Any]) -> list[str]:
    numbers = [
        "–" if column[k] is None else f"{column[k]:.6g}".replace("-", present.MINUS) for k in ("low", "mean", "high")
    ]
    return [column["name"], *numbers, present.count(column["missing"] + column["wrong"] + column["infinite"])]
