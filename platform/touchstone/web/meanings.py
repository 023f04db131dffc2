"""What a fairness metric says of this very competition, with the names of its groups and outcomes.

A metric that compares two sides is the unprivileged side minus, or over, the privileged one (docs/metrics/guide.md):
above its ideal, what it is a rate of is more frequent on the unprivileged side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from runners.spec.catalogue_file import catalogue
from touchstone.core.names import named

Text = str | Promise

#: What is said of the side `who` that has more of a rate, about the outcome `f`.
MORE: dict[str, Text] = {
    "selection_rate": gettext_lazy("%(who)s get %(f)s more often"),
    "base_rate": gettext_lazy("%(who)s truly are %(f)s more often, whatever is predicted"),
    "true_positive_rate": gettext_lazy("of those who truly are %(f)s, %(who)s get it more often"),
    "false_negative_rate": gettext_lazy("of those who truly are %(f)s, %(who)s are wrongly refused it more often"),
    "false_positive_rate": gettext_lazy("of those who are not %(f)s, %(who)s wrongly get it more often"),
    "true_negative_rate": gettext_lazy("of those who are not %(f)s, %(who)s are rightly refused it more often"),
    "positive_predictive_value": gettext_lazy("when %(f)s is predicted, it is right more often of %(who)s"),
    "false_discovery_rate": gettext_lazy("when %(f)s is predicted, it is wrong more often of %(who)s"),
    "negative_predictive_value": gettext_lazy("when %(f)s is not predicted, that is right more often of %(who)s"),
    "false_omission_rate": gettext_lazy("when %(f)s is not predicted, that is wrong more often of %(who)s"),
    "accuracy": gettext_lazy("%(who)s are judged rightly more often"),
    "error_rate": gettext_lazy("%(who)s are judged wrongly more often"),
    "treatment_equality": gettext_lazy("for each %(f)s wrongly given, %(who)s have more that are wrongly refused"),
    "generalized_true_positive_rate": gettext_lazy(
        "of those who truly are %(f)s, %(who)s are on average given a higher score for it"
    ),
    "generalized_false_positive_rate": gettext_lazy(
        "of those who are not %(f)s, %(who)s are on average given a higher score for it"
    ),
    "average_odds": gettext_lazy(
        "%(who)s get %(f)s more often, on the mean of those who truly are %(f)s and those who are not"
    ),
    "average_predictive_value": gettext_lazy(
        "of %(who)s %(f)s is more often true, on the mean of when it is predicted and when it is not"
    ),
}
_OWN_NAMES = {
    "statistical_parity_difference": ("selection_rate", "difference"),
    "disparate_impact": ("selection_rate", "ratio"),
    "equal_opportunity_difference": ("true_positive_rate", "difference"),
}
_UNSIGNED_FROM_ZERO = frozenset(
    {"demographic_parity_difference", "average_abs_odds_difference", "equalized_odds_difference",
     "generalized_equalized_odds_difference"}
)  # fmt: skip
_UNSIGNED_TO_ONE = frozenset({"demographic_parity_ratio", "equalized_odds_ratio"})
#: Shown first; the others are one click away.
MAIN = (
    "statistical_parity_difference", "disparate_impact", "equal_opportunity_difference", "average_odds_difference",
)  # fmt: skip


@dataclass(frozen=True)
class Meaning:
    """A metric of one attribute in words: what a value above and below the ideal says. `main` ones stand first."""

    use: str
    title: str
    sentences: list[str]
    main: bool


def signed(use: str) -> tuple[str, str] | None:
    """(rate, `difference` or `ratio`) of a metric that has a sign; None of any other."""
    name = use.removeprefix("fairness.")
    if name in _OWN_NAMES:
        return _OWN_NAMES[name]
    for kind in ("difference", "ratio"):
        rate = name.removesuffix(f"_{kind}")
        if rate != name and rate in MORE:
            return rate, kind
    return None


def attribute_meanings(
    *, attribute: str, privileged: str, others: Sequence[str], favourable: str | None
) -> list[Meaning]:
    """What each fairness metric that compares two sides says. Empty where the outcome or a side is not chosen yet."""
    if not favourable or not privileged:
        return []
    sides = {"u": others_text(others, privileged), "p": quoted(privileged)}
    found = []
    for use, entry in catalogue()["metrics"].items():
        if entry["pillar"] != "fairness" or "[attribute]" not in entry["results"]:
            continue
        sentences = _sentences(use, sides, quoted(favourable))
        if sentences:
            main = use.removeprefix("fairness.") in MAIN
            found.append(Meaning(f"{use}[{attribute}]", named(entry["title"]), sentences, main))
    order = {name: index for index, name in enumerate(MAIN)}
    return sorted(found, key=lambda one: order.get(one.use.removeprefix("fairness.").partition("[")[0], len(order)))


def _sentences(use: str, sides: Mapping[str, str], favourable: str) -> list[str]:
    name = use.removeprefix("fairness.")
    rate = signed(use)
    if rate is not None:
        more = str(MORE[rate[0]])
        ideal = "0" if rate[1] == "difference" else "1"
        clauses = [(_("Above %s"), sides["u"]), (_("Below %s"), sides["p"])]
        return [f"{head % ideal}: {more % {'who': who, 'f': favourable}}." for head, who in clauses]
    values: dict[str, Any] = {**sides, "f": favourable}
    if name in _UNSIGNED_FROM_ZERO:
        return [_("0: %(u)s and %(p)s are treated alike. Larger: farther apart; it does not say who gains.") % values]
    if name in _UNSIGNED_TO_ONE:
        return [_("1: %(u)s and %(p)s are treated alike. Smaller: farther apart; it does not say who gains.") % values]
    return []


def quoted(name: str) -> str:
    """A value as it stands in the data."""
    return f"“{name}”"


def others_text(others: Sequence[str], privileged: str) -> str:
    """The side that is compared with the privileged one."""
    if not others:
        return _("all but %(p)s") % {"p": quoted(privileged)}
    if len(others) == 1:
        return quoted(others[0])
    shown = ", ".join(quoted(name) for name in others[:4])
    more = _(" and %d more") % (len(others) - 4) if len(others) > 4 else ""
    return _("the others (%(names)s)") % {"names": shown + more}
