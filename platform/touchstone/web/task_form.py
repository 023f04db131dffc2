"""The form of the task step: fields of task, input and clusters, and a row for each attribute."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import QueryDict
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from runners.spec import Defect
from touchstone.web import present
from touchstone.web.found import class_by_value, values_found
from touchstone.web.meanings import Meaning, attribute_meanings
from touchstone.web.views.wizard.fields import Input, errors_at, number, words

Splits = Mapping[str, Mapping[str, Any]]

_ATTRIBUTE = re.compile(r"attributes\.([A-Za-z_][A-Za-z0-9_]{0,63})\.(?:use|there)")
_MOST_ATTRIBUTES = 40
#: Kinds of tasks and of inputs, as they are read.
TASK_KINDS: dict[str, str | Promise] = {
    "binary": gettext_lazy("two classes"),
    "multiclass": gettext_lazy("more than two classes"),
}
INPUT_KINDS: dict[str, str | Promise] = {
    "tabular": gettext_lazy("a row of a table"),
    "image": gettext_lazy("an image"),
    "array": gettext_lazy("an array of numbers"),
}


@dataclass(frozen=True)
class AttributeRow:
    """An attribute: its fields, the values found with their counts, and what metrics will mean by it.

    `values`: (value, items in words, whether it is compared). `declared`: it is in the draft, not only in the data.
    """

    name: str
    place: str
    declared: bool
    fields: list[Input]
    values: list[tuple[str, str, bool]]
    small: list[str]
    meanings: list[Meaning]
    outcomes: list[tuple[str, str]]

    @property
    def main(self) -> list[Meaning]:
        return [one for one in self.meanings if one.main]

    @property
    def others(self) -> list[Meaning]:
        return [one for one in self.meanings if not one.main]


def task_inputs(body: Mapping[str, Any], defects: Sequence[Defect], proposal: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of task, input and aggregate, in three lists."""
    task, held, aggregate = body.get("task") or {}, body.get("input") or {}, body.get("aggregate") or {}
    classes = [str(name) for name in task.get("classes") or []]

    def made(name: str, label: str, value: Any, **more: Any) -> Input:
        return Input(name, label, value, errors=errors_at(defects, name), **more)

    named = [(name, name) for name in classes]
    return {
        "task": [
            made("task.kind", _("Kind"), task.get("kind", "binary"), kind="select", choices=_kinds(),
                 help=_("Two classes have more metrics: rates of the positive class, ROC, thresholds.")),
            made("task.classes", _("Classes"), "\n".join(classes), kind="area", wide=True,
                 rows=max(3, min(10, len(classes) + 1)),
                 help=_found(_("One a line, in the order of a model's outputs."), proposal["task"]["classes"])),
            made("task.positive", _("Positive class"), task.get("positive") or "", kind="select", optional=True,
                 choices=[("", _("the last one")), *named],
                 help=_("Two classes only: the class that true and false positive rates and ROC AUC are about.")),
            made("task.favourable", _("Favourable outcome"), task.get("favourable") or "", kind="select", optional=True,
                 choices=[("", _("none")), *named],
                 help=_("The class that is good for the person it is said of. Fairness metrics compare who gets it.")),
        ],
        "input": [
            made("input.kind", _("What a model gets"), held.get("kind") or "", kind="select", choices=_input_kinds(),
                 help=_("Needed as soon as models, code or containers may be submitted.")),
            made("input.shape", _("Shape of one item"), _list_text(held.get("shape")), optional=True,
                 help=_("A table: the number of features. Images: channels, height, width.")),
            made("input.range[0]", _("Smallest value"), _end(held, 0), kind="number", optional=True,
                 help=_("Attacks stay inside the range. Bytes (images, uint8) are scaled into it.")),
            made("input.range[1]", _("Largest value"), _end(held, 1), kind="number", optional=True),
            made("input.output", _("What it answers"), held.get("output") or "probabilities", kind="select",
                 choices=[("probabilities", _("probabilities")), ("logits", _("logits"))],
                 help=_("Files of predictions always hold probabilities.")),
            made("input.features", _("Features"), "\n".join(map(str, held.get("features") or [])), kind="area", rows=4,
                 wide=True, optional=True, help=_("Tables only: the columns of the inputs, one a line, in order.")),
        ],
        "aggregate": [
            made("aggregate.by", _("Column of the clusters"), aggregate.get("by") or "", optional=True,
                 help=_("Where items belong together, such as frames of a video: their answers become one. Empty: "
                        "each item counts by itself.")),
            made("aggregate.rule", _("How answers become one"), aggregate.get("rule") or "mean", kind="select",
                 choices=[("mean", _("mean")), ("median", _("median")), ("max", _("largest"))]),
        ],
    }  # fmt: skip


def attribute_rows(body: Mapping[str, Any], defects: Sequence[Defect], splits: Splits) -> list[AttributeRow]:
    """A row for each declared attribute, and for each column that was found and is none yet."""
    declared = body.get("attributes") or {}
    columns = [name for facts in splits.values() for name in facts["attributes"]]
    names = [*declared, *(name for name in dict.fromkeys(columns) if name not in declared)]
    favourable = (body.get("task") or {}).get("favourable")
    known = [name for name in names if _ATTRIBUTE.fullmatch(f"attributes.{name}.use")]
    return [_row(name, declared, defects, splits, favourable) for name in known[:_MOST_ATTRIBUTES]]


def task_body(post: QueryDict, old: Mapping[str, Any]) -> dict[str, Any]:
    """The body that a form says; keys that the form has no field for stay."""
    text = {key: str(post.get(key, "")).replace("\r\n", "\n").strip() for key in post}
    task = {
        **(old.get("task") or {}),
        "kind": text.get("task.kind", ""),
        "classes": words(text.get("task.classes", "")),
    }
    _set(task, "positive", text.get("task.positive", ""))
    _set(task, "favourable", text.get("task.favourable", ""))
    aggregate = (
        {"by": text["aggregate.by"], "rule": text.get("aggregate.rule", "")} if text.get("aggregate.by") else None
    )
    return {
        **old, "task": task, "input": _input(text, old.get("input") or {}), "aggregate": aggregate,
        "attributes": _attributes(post, text, old.get("attributes") or {}),
    }  # fmt: skip


def _input(text: Mapping[str, str], old: Mapping[str, Any]) -> dict[str, Any] | None:
    kind = text.get("input.kind", "")
    if not kind:
        return None
    made = {
        **old,
        "kind": kind,
        "shape": [number(part) for part in words(text.get("input.shape", "").replace("×", ","))],
    }
    ends = [number(text.get(f"input.range[{index}]", "")) for index in (0, 1)]
    _set(
        made,
        "range",
        ends if None not in ends else "" if ends == [None, None] else [0 if e is None else e for e in ends],
    )
    _set(made, "features", words(text.get("input.features", "")) if kind == "tabular" else "")
    _set(made, "output", text.get("input.output", ""))
    made.setdefault("dtype", "float32")
    return made


def _attributes(post: QueryDict, text: Mapping[str, str], old: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    found = list(dict.fromkeys(match[1] for key in post if (match := _ATTRIBUTE.fullmatch(key))))
    made: dict[str, dict[str, Any]] = {name: dict(entry) for name, entry in old.items() if name not in found}
    for name in found:
        base = f"attributes.{name}"
        if f"{base}.use" not in post:
            continue
        entry: dict[str, Any] = {**old.get(name, {}), "privileged": text.get(f"{base}.privileged", "")}
        others = [value for value in post.getlist(f"{base}.unprivileged") if value != entry["privileged"]]
        if f"{base}.value" in post:  # all others ticked is the same as none named
            every = len(others) == len(set(post.getlist(f"{base}.value")) - {entry["privileged"]})
            _set(entry, "unprivileged", "" if every else others)
        entry["protected"] = f"{base}.protected" in post
        least = number(text.get(f"{base}.minimum", ""))
        entry["minimum"] = 30 if least is None else least
        made[name] = entry
    return made


def _set(entry: dict[str, Any], key: str, value: Any) -> None:
    """Set a key, or leave it out where there is nothing to say."""
    if value in ("", [], None):
        entry.pop(key, None)
    else:
        entry[key] = value


def _row(
    name: str, declared: Mapping[str, Any], defects: Sequence[Defect], splits: Splits, favourable: Any
) -> AttributeRow:
    place, entry = f"attributes.{name}", declared.get(name) or {}
    counts = values_found(splits, name)
    privileged = str(entry.get("privileged") or "")
    compared = [str(value) for value in entry.get("unprivileged") or []]
    minimum = entry.get("minimum", 30)
    choices = [(value, f"{value} ({_items(count)})") for value, count in counts.items()]
    if privileged and privileged not in counts:
        choices.append((privileged, privileged))
    if choices and not privileged:
        choices.insert(0, ("", _("Choose a value")))

    def made(key: str, label: str, value: Any, **more: Any) -> Input:
        return Input(f"{place}.{key}", label, value, errors=errors_at(defects, f"{place}.{key}"), **more)

    fields = [
        made("privileged", _("Privileged value"), privileged, kind="select" if choices else "text", choices=choices,
             help=_("The group that is thought to have the advantage. The others are compared with it.")),
        made("minimum", _("Smallest group"), minimum, kind="number",
             help=_("Of groups with fewer items there is no number: it would be chance, and might tell who they are.")),
        made("protected", _("Protected: unequal treatment by it is a concern"), entry.get("protected", True),
             kind="check"),
    ]  # fmt: skip
    strange = {value: 0 for value in compared if value not in counts}
    others = compared or [value for value in counts if value != privileged]
    return AttributeRow(
        name=name, place=place, declared=name in declared, fields=fields,
        values=[(value, _items(n), not compared or value in compared) for value, n in (counts | strange).items()],
        small=_small(splits, name, minimum),
        meanings=attribute_meanings(attribute=name, privileged=privileged, others=others, favourable=favourable),
        outcomes=_outcomes(splits, name, favourable),
    )  # fmt: skip


def _small(splits: Splits, name: str, minimum: Any) -> list[str]:
    """Groups of a split that will have no number of their own."""
    if not isinstance(minimum, int):
        return []
    told = []
    for split, facts in splits.items():
        for value, count in (facts["attributes"].get(name) or {}).get("values", []):
            if count < minimum:
                told.append(f"{value} ({split}: {present.count(count)})")
    return told[:12]


def _outcomes(splits: Splits, name: str, favourable: Any) -> list[tuple[str, str]]:
    """Of each group, how often the favourable outcome is true in the labels: what parity would be held against."""
    if not favourable:
        return []
    told = []
    for value, row in class_by_value(splits, name).items():
        total = sum(row.values())
        if total:
            told.append((value, f"{100 * row.get(str(favourable), 0) / total:.1f} %"))
    return told


def _items(count: int) -> str:
    return ngettext("%(n)s item", "%(n)s items", count) % {"n": present.count(count)}


def _kinds() -> list[tuple[str, str]]:
    return [(kind, str(text)) for kind, text in TASK_KINDS.items()]


def _input_kinds() -> list[tuple[str, str]]:
    nothing = _("nothing: only files of predictions are sent")
    return [("", nothing), *((kind, str(text)) for kind, text in INPUT_KINDS.items())]


def _found(help_text: str, classes: Sequence[str]) -> str:
    if not classes:
        return help_text
    shown = ", ".join(classes[:12]) + (" …" if len(classes) > 12 else "")
    return f"{help_text} {_('Found in the labels: %s.') % shown}"


def _list_text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else ""


def _end(held: Mapping[str, Any], index: int) -> str:
    ends = held.get("range")
    if not isinstance(ends, list | tuple) or len(ends) <= index:
        return ""
    return f"{ends[index]:g}" if isinstance(ends[index], int | float) else str(ends[index])
