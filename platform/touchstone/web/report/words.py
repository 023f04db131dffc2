"""Sentences made from measured values. What an interval does not settle is said to be unsettled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from touchstone.web import present
from touchstone.web.meanings import MORE, others_text, quoted, signed

Text = str | Promise
#: Participants whose names a sentence lists.
_NAMED = 3


@dataclass(frozen=True)
class Measured:
    """One value of one participant. `key` is that of the result, `metric` the name in the catalogue ("" unknown)."""

    key: str
    metric: str
    title: str
    value: float | None
    low: float | None
    high: float | None
    n: int | None
    unit: str
    direction: str
    span: tuple[float | None, float | None]
    state: str = "ok"
    reason: str = ""
    verdict: str = ""


#: A share as a number of a hundred, by the last part of the result's name.
_OF_100: dict[str, Text] = {
    "performance.accuracy": gettext_lazy("made the right decision for %s of 100"),
    "performance.balanced_accuracy": gettext_lazy("was right for %s of 100, counting each class alike"),
    "performance.roc_auc": gettext_lazy("of two cases of different classes, put the right one first %s times of 100"),
    "performance.recall": gettext_lazy("found %s of 100 of those it should find"),
    "performance.precision": gettext_lazy("was right %s times of 100 when it named the class that is looked for"),
    "performance.positive_rate": gettext_lazy("named the class that is looked for %s times of 100"),
    "fairness.accuracy": gettext_lazy("made the right decision for %s of 100"),
    "fairness.selection_rate": gettext_lazy("gave the favourable outcome to %s of 100"),
    "fairness.error_rate": gettext_lazy("was wrong for %s of 100"),
    "robust_accuracy": gettext_lazy("was still right for %s of 100 when somebody changed the inputs on purpose"),
    "success_rate": gettext_lazy("was fooled in %s of 100 attacks"),
    "clean_accuracy": gettext_lazy("was right for %s of 100 of the same cases when nobody changed them"),
}
_OF_UNIT: dict[str, Text] = {
    "ms": gettext_lazy("%(title)s: %(value)s milliseconds"),
    "s": gettext_lazy("%(title)s: %(value)s seconds"),
}


def sentence(measured: Measured, spec: Mapping[str, Any]) -> str:
    """What the value says, without the name of whoever it is of, and without a full stop."""
    if measured.value is None:
        return _("%(title)s: no value (%(reason)s)") % {
            "title": measured.title, "reason": measured.reason or str(present.RESULT_BADGES["undefined"].word),
        }  # fmt: skip
    head, _bracket, group = measured.key.partition("[")
    group = group.removesuffix("]")
    attribute = spec.get("attributes", {}).get(group)
    sides = signed(measured.metric)
    if attribute is not None and sides is not None:
        return _compared(measured, sides, attribute, spec)
    words = _OF_100.get(measured.metric) or _OF_100.get(head.rpartition(".")[2])
    if words is not None:
        told = str(words) % of_hundred(measured.value)
        return f"{_group(group)}{told}{_between(measured, of_hundred)}"
    told = _OF_UNIT.get(measured.unit, gettext_lazy("%(title)s: %(value)s%(unit)s"))
    text = str(told) % {
        "title": measured.title, "value": present.number(measured.value),
        "unit": f" {measured.unit}" if measured.unit else "",
    }  # fmt: skip
    return f"{text}{_between(measured, present.number)}{_best(measured)}"


def of_hundred(value: float) -> str:
    """A share as a number of a hundred; with a decimal where it would else be none or all."""
    decimals = 0 if 0.005 <= value <= 0.995 or value in (0.0, 1.0) else 1
    return f"{100 * value:.{decimals}f}"


def points(value: float) -> str:
    """A difference of shares as points of a hundred, without its sign."""
    return f"{100 * abs(value):.{0 if abs(value) >= 0.01 or value == 0 else 1}f}"


def comparison(first: str, others: Sequence[str], title: str, *, told_apart: bool) -> str:
    """Whether the first is better than the others, as far as these data tell."""
    names = {"a": first, "b": listed(others), "title": title}
    if not told_apart:
        return _("Whether %(a)s is better than %(b)s cannot be told from these data (%(title)s).") % names
    return _("%(a)s is better than %(b)s: the difference is larger than chance explains (%(title)s).") % names


def listed(names: Sequence[str]) -> str:
    """Names as one says them: a few of them, and how many more."""
    if len(names) > _NAMED + 1:
        more = ngettext("%(n)s other", "%(n)s others", len(names) - _NAMED) % {"n": len(names) - _NAMED}
        names = [*names[:_NAMED], more]
    return names[0] if len(names) == 1 else _("%(some)s and %(last)s") % {
        "some": ", ".join(names[:-1]), "last": names[-1],
    }  # fmt: skip


def apart(a: Measured, b: Measured) -> bool:
    """Whether the intervals do not meet. Without intervals nothing is told."""
    if None in (a.low, a.high, b.low, b.high):
        return False
    assert a.low is not None
    assert a.high is not None
    assert b.low is not None
    assert b.high is not None
    return a.low > b.high or b.low > a.high


def _compared(measured: Measured, sides: tuple[str, str], attribute: Mapping[str, Any], spec: Mapping[str, Any]) -> str:
    """Of a metric with two sides: which of them has more, by how much, and whether that is settled."""
    assert measured.value is not None
    rate, kind = sides
    ideal = 0.0 if kind == "difference" else 1.0
    privileged = quoted(attribute["privileged"])
    others = others_text(list(attribute.get("unprivileged") or []), attribute["privileged"])
    told = _amount if kind == "difference" else present.number
    span = _between(measured, told)
    if measured.low is not None and measured.high is not None and measured.low <= ideal <= measured.high:
        names = {"title": measured.title, "u": others, "p": privileged, "value": told(measured.value), "span": span}
        text = _("%(title)s: whether %(u)s and %(p)s are treated differently cannot be told: %(value)s%(span)s")
        return text % names
    who = others if measured.value > ideal else privileged
    favourable = quoted(str(spec.get("task", {}).get("favourable") or ""))
    more = str(MORE[rate]) % {"who": who, "f": favourable}
    by = _("by %s") % _amount(abs(measured.value)) if kind == "difference" else _("ratio %s") % told(measured.value)
    return f"{more}: {by}{span}"


def _amount(value: float) -> str:
    return _("%s points of 100") % _signed(value)


def _signed(value: float) -> str:
    return f"{present.MINUS if value < 0 else ''}{points(value)}"


def _between(measured: Measured, told: Any) -> str:
    if measured.low is None or measured.high is None:
        return ""
    low, high = measured.low, measured.high
    if told is _amount:
        told = _signed
        if high < 0:  # the sentence names the side that has more, so how much more is meant
            low, high = -high, -low
    return _(" (between %(low)s and %(high)s)") % {"low": told(low), "high": told(high)}


def _group(group: str) -> str:
    name, equals, value = group.partition("=")
    return _("for %(value)s (%(name)s): ") % {"value": quoted(value), "name": name} if equals else ""


def _best(measured: Measured) -> str:
    return {
        "maximise": _("; more is better"), "minimise": _("; less is better"), "zero": _("; 0 is best"),
        "one": _("; 1 is best"),
    }.get(measured.direction, "")  # fmt: skip
