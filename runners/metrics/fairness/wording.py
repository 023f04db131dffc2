"""What fairness metrics that are built alike say of themselves: formulae from the table of rates, intervals, limits."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from runners.metrics.fairness.shares import FN, FP, SHARES, TN, TP, Cells

COMPARED_INTERVAL = (
    "Percentile bootstrap of the eight counts [side, true, predicted] (4000 draws), or of whole clusters (2000); where "
    "a rate has fewer than 20 hits or misses on a side (over clusters: where every rate is 0 or 1) a closed form from "
    "Wilson intervals (MOVER), for then a bootstrap is too narrow. Below 10 clusters a side it may hold the truth in "
    "only 8 to 9 of 10 cases."
)
FOLDED_INTERVAL = (
    "From the bootstrap intervals of its signed parts, folded at equality: a little too wide rather than too narrow."
)
GROUP_INTERVAL = (
    "Wilson score interval of each group's rate; where items share clusters a percentile bootstrap of whole clusters, "
    "and at 0 and 1 Wilson over their number. Of 5 clusters it held the truth in only 82 of 100 simulated cases."
)
BENEFIT_INTERVAL = (
    "Percentile bootstrap of the count table (4000 draws), or of whole clusters (2000); none where nothing varies. "
    "Between groups the lower end reaches 0 where the upper one is twice the value. Where errors are rare or clusters "
    "few (20), that of an index over items held the truth in only 86 to 90 of 100 simulated cases, mostly too low."
)
MITIGATED_INTERVAL = (
    "Percentile bootstrap of the scored items' count table, or of whole clusters, with the fitted rule as it is; none "
    "for the number of metrics made worse."
)
MITIGATED_LIMITS = (
    "What a mitigation could do, not what the submission does: the decisions scored elsewhere are its own. The rule is "
    "fitted on the validation split, so on the scored one it is met only about. It treats people by their group, which "
    "may be unlawful; equal rates may come from judging one side worse, so read `cost`, and `worse` for other "
    "attributes."
)

_NAMES = {TN: "TN", FP: "FP", FN: "FN", TP: "TP"}
_BASE = "It tells of the labels, not of the submission: everybody who is scored on these items has the same."
_CALLED = (
    "It rests on those who are predicted to have the outcome, so it changes with the threshold and with the base rate "
    "of the group: with unequal base rates it cannot be equal together with equal error rates (Chouldechova 2017)."
)
_NOT_CALLED = (
    "It rests on those who are predicted not to have the outcome, so it changes with the threshold and with the base "
    "rate of the group, and is near 0 or 1 for anybody where the outcome is rare or common."
)
_TRUE = (
    "It sees only those whose true outcome is the one in question, and trusts the labels: where the outcome was "
    "recorded unequally, so is this. Saying the outcome every time makes it perfect."
)
_FALSE = (
    "It sees only those whose true outcome is not the one in question, and trusts the labels. Never saying the outcome "
    "makes it perfect."
)
_ALL_ITEMS = (
    "It does not tell which error is made: the same share may be people wrongly accused in one group and wrongly "
    "spared in another. It changes with the base rate."
)
#: Of each rate what it does not tell, by itself or compared.
RATE_LIMITS: Mapping[str, str] = MappingProxyType(
    {
        "base_rate": _BASE,
        "selection_rate": "It is blind to who deserves the outcome: where base rates differ, a perfect submission "
        "selects unequal shares.",
        "true_positive_rate": _TRUE,
        "false_negative_rate": _TRUE,
        "false_positive_rate": _FALSE,
        "true_negative_rate": _FALSE,
        "positive_predictive_value": _CALLED,
        "false_discovery_rate": _CALLED,
        "negative_predictive_value": _NOT_CALLED,
        "false_omission_rate": _NOT_CALLED,
        "accuracy": _ALL_ITEMS,
        "error_rate": _ALL_ITEMS,
        "treatment_equality": "A ratio of two counts of errors: it says which error is commoner on a side, not how "
        "many there are, and jumps where false positives are few.",
    }
)
GROUP_LIMITS = (
    "Several groups are several tests: of twenty intervals one is expected to miss. Groups below the attribute's "
    "`minimum` have no value."
)
SIDES_LIMITS = "All unprivileged values are pooled; `details.groups` has each. It does not tell why the sides differ."
RATIO_LIMITS = (
    "A ratio of small rates jumps, and its distance from 1 is not the same on both sides (0.5 and 2 are equally far)."
)


def written(name: str) -> str:
    """The rate as a formula of the cells it is made of, such as `FP / (TN + FP)`."""
    share = SHARES[name]
    return f"{_sum(share.part)} / {'n' if len(share.whole) == len(_NAMES) else _sum(share.whole)}"


def _sum(cells: Cells) -> str:
    text = " + ".join(_NAMES[cell] for cell in cells)
    return f"({text})" if len(cells) > 1 else text
