"""Metrics in words: their range and what its ends mean, what they need, what they cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from touchstone.core.names import named
from touchstone.drafts.metric_cards import Card
from touchstone.drafts.metric_costs import Estimate, UseCost
from touchstone.drafts.metric_parameters import KNOWN
from touchstone.web.present import count, duration, number

NEEDS: dict[str, str | Promise] = {
    "predictions": gettext_lazy("answers"),
    "probabilities": gettext_lazy("probabilities"),
    "queries": gettext_lazy("a submission that can be asked"),
    "gradients": gettext_lazy("gradients"),
    "explanations": gettext_lazy("explanations"),
    "attributes": gettext_lazy("an attribute that splits people into groups"),
    "favourable": gettext_lazy("a favourable outcome"),
    "binary": gettext_lazy("two classes"),
    "validation": gettext_lazy("a validation split"),
    "surrogates": gettext_lazy("models to make examples against"),
}
LACKS: dict[str, str | Promise] = {
    "attributes": gettext_lazy("No attribute is declared yet: declare one in the step Task and attributes."),
    "favourable": gettext_lazy("The task names no favourable outcome yet: name it in the step Task and attributes."),
    "binary": gettext_lazy("It is defined for two classes only, and the task has another number of classes."),
    "validation": gettext_lazy("No phase has a validation split yet: name one in the step Phases."),
    "surrogates": gettext_lazy("There is no model to make examples against yet: upload one in the step Data."),
}
KINDS: dict[str, str | Promise] = {
    "predictions": gettext_lazy("prediction files"), "model": gettext_lazy("models"),
    "container": gettext_lazy("containers"), "code": gettext_lazy("code"),
    "endpoint": gettext_lazy("endpoints"),
}  # fmt: skip


def range_text(low: float | None, high: float | None, unit: str) -> str:
    """`0 to 1`, `0 and up ms`, `any number`."""
    if low is None and high is None:
        text = _("any number")
    elif high is None:
        text = _("%s and up") % _plain(low)
    elif low is None:
        text = _("up to %s") % _plain(high)
    else:
        text = _("%(low)s to %(high)s") % {"low": _plain(low), "high": _plain(high)}
    return f"{text} {unit}".strip()


def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:g}".replace("-", "−")


def ends_text(direction: str, low: float | None, high: float | None) -> str:
    """Which end is the good one."""
    names = {"low": _plain(low), "high": _plain(high)}
    if direction == "zero":
        return _("0 is best: nothing differs. The farther from 0, on either side, the worse.")
    if direction == "one":
        return _("1 is best: both sides have the same. Half and double are equally far from it.")
    if direction == "none":
        return _("Neither end is better by itself.")
    best, worst = (high, low) if direction == "maximise" else (low, high)
    if best is not None and worst is not None:
        text = _("%(high)s is the best there is, %(low)s the worst.")
        return text % (names if direction == "maximise" else {"high": names["low"], "low": names["high"]})
    if best is not None:
        return _("%s is the best there is.") % _plain(best)
    return _("There is no best value.") if worst is None else _("%s is the worst there is.") % _plain(worst)


@dataclass(frozen=True)
class ShownCard:
    """A card of the catalogue, in words."""

    card: Card
    title: str
    summary: str
    range: str
    ends: str
    needs: list[str]
    lacks: list[str]
    gives: str
    missing: str
    interval: str = ""
    limits: str = ""
    reference: str = ""


def shown_card(card: Card) -> ShownCard:
    entry = card.entry
    low, high = entry["range"]
    return ShownCard(
        card=card,
        title=named(entry["title"]),
        summary=named(entry["summary"]),
        range=range_text(low, high, named(entry["unit"])),
        ends=ends_text(entry["direction"], low, high),
        needs=[str(NEEDS[need]) for need in entry["needs"]],
        lacks=[str(LACKS[lack]) for lack in card.lacks],
        gives=_words(card.fits),
        missing=_words(card.misfits),
        interval=named(entry.get("interval", "")),
        limits=named(entry.get("limits", "")),
        reference=named(entry.get("reference", "")),
    )


def _words(kinds: Sequence[str]) -> str:
    return ", ".join(str(KINDS[kind]) for kind in kinds)


def cost_text(cost: UseCost | None) -> str:
    """`about 43 000 questions, 7 800 of them with a gradient, about 2 min`."""
    if cost is None:
        return _("Asks nothing: it reads the answers.")
    asked = ngettext("about %s question", "about %s questions", cost.forward) % count(cost.forward)
    if cost.endless:
        asked = _("%s or more") % asked
    if cost.backward:
        asked += ", " + _("%s of them with a gradient") % count(cost.backward)
    return f"{asked}, " + _("about %s") % duration(cost.seconds)


@dataclass(frozen=True)
class ShownCost:
    """The whole bill in words. `rests`: what it rests on."""

    forward: str
    backward: str
    seconds: str
    limit: str
    over: bool
    items: int
    ms: str
    rests: str


def shown_cost(found: Estimate) -> ShownCost:
    if found.split:
        where = _("the %(n)s items of the split %(split)s") % {"n": count(found.items), "split": found.split}
    else:
        where = _("%s items, a number that you may change") % count(found.items)
    rests = _(
        "Rests on %(where)s, on %(ms)s ms for an answer, and on a gradient taking %(times)s times as long. "
        "Attacks are counted as for items that hold out; a submission that cannot be asked takes none of it. "
        "What the metrics compute themselves is not in it."
    ) % {"where": where, "ms": f"{found.ms:g}", "times": f"{found.gradient_times:g}"}
    return ShownCost(
        forward=count(found.forward), backward=count(found.backward), seconds=duration(found.seconds),
        limit=duration(found.limit), over=found.over, items=found.items, ms=f"{found.ms:g}", rests=rests,
    )  # fmt: skip


@dataclass(frozen=True)
class ShownUse:
    """A metric that the draft has. `where`: its place in competition.yml."""

    index: int
    where: str
    title: str
    prefix: str
    pillar: str
    parameters: list[tuple[str, str]]
    cost: str
    known: bool


_FIRST = ("attribute", "attack", "attacks", "norm", "eps", "items")


def shown_use(index: int, use: Any, cost: UseCost | None) -> ShownUse:
    given: Mapping[str, Any] = use if isinstance(use, dict) else {}
    name = str(given.get("use", ""))
    entry = KNOWN["metrics"].get(name)
    # The database keeps no order of keys: what says most comes first.
    order = sorted(given, key=lambda key: (_FIRST.index(key) if key in _FIRST else len(_FIRST), key))
    parameters = [(key, _value(given[key])) for key in order if key not in ("use", "as")]
    return ShownUse(
        index=index,
        where=f"metrics[{index}]",
        title=named(str(entry["title"])) if entry else name or _("Not a metric"),
        prefix=str(given.get("as") or name),
        pillar=str(entry["pillar"]) if entry else name.partition(".")[0],
        parameters=parameters,
        cost=cost_text(cost),
        known=entry is not None,
    )


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{key}: {_value(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return ", ".join(_value(inner) for inner in value)
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, float):
        return number(value, decimals=4).rstrip("0").rstrip(".") if value else "0"
    return _("none") if value is None else str(value)
