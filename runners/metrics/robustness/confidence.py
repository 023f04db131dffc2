"""Natural against adversarial confidence: how sure a model is of items as they are, and under attack."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field, JsonValue

from runners.attacks.geometry import Bools, Floats, Norm
from runners.context import MetricContext
from runners.metrics.calibration.expected_calibration_error import expected_calibration_error
from runners.metrics.robustness.attack import counts_of, plan_details
from runners.metrics.robustness.condition import answered, less
from runners.metrics.robustness.target import attack_target, plan, plan_of, pushed, target
from runners.registry import Asks, Column, Cost, MetricReturn, MetricValue, metric, undefined
from runners.statistics.bootstrap import cluster_codes, mean_interval

_SIDES = {"natural": "items as they are", "adversarial": "items under attack"}
_ANSWERS = {"right": "right answers", "wrong": "wrong answers"}
_UNIT = (0.0, 1.0)
_COLUMNS = (
    Column("difference", title="Confidence under attack less natural confidence", range=(-1.0, 1.0)),
    *(Column(side, title=f"Confidence ({words})", range=_UNIT) for side, words in _SIDES.items()),
    *(
        Column(f"{side}_{which}", title=f"Confidence in {said} ({words})", range=_UNIT)
        for side, words in _SIDES.items()
        for which, said in _ANSWERS.items()
    ),
    *(
        Column(f"{side}_ece", title=f"Expected calibration error ({words})", direction="minimise", range=_UNIT)
        for side, words in _SIDES.items()
    ),
    Column("ece_difference", title="Calibration error added by the attack", direction="minimise", range=(-1.0, 1.0)),
)
_OWN = frozenset({"attack", "eps", "norm", "items", "defence", "defence_parameters", "bins", "push"})


def _cost(parameters: Mapping[str, Any], items: int) -> Cost:
    attack = plan_of(parameters, _OWN)
    chosen = min(items, parameters["items"] or items)
    return Cost.of((Asks(3, 1) + attack.asks) * chosen, least=chosen, access=attack.info.requires)


@metric(
    "robustness.confidence",
    title="Natural and adversarial confidence",
    direction="none",
    range=(-1.0, 1.0),
    needs=("queries",),
    results=_COLUMNS,
    reference="Hendrycks and Gimpel, ICLR 2017 (maximum probability); Stutz, Hein and Schiele, ICML 2020 (of "
    "adversarial examples); calibration error: Guo et al., ICML 2017",
    formula="confidence = mean over items of maxₖ P(k | x)\ndifference = mean over items of maxₖ P(k | x′) − "
    "maxₖ P(k | x), x′ the item under attack",
    interval="Percentile bootstrap of the mean over items, or over whole clusters; the difference is drawn in pairs, "
    "for the items are the same; none where all are alike. Calibration errors: as `expected_calibration_error`; none "
    "for their difference, for both are larger than the truth by chance, and not by the same.",
    limits="Attacks are after classes, not after confidence: an example that only just crosses the boundary is held "
    "with little confidence, so with `push` it is carried on as far as the budget allows, and a stronger attack on "
    "confidence may still find more. Sure of wrong answers under attack is the bad case: a threshold on confidence "
    "would not notice the attack.",
    queries=_cost,
)
def confidence(
    ctx: MetricContext,
    *,
    attack: str,
    eps: Annotated[float, Field(gt=0)],
    norm: Norm = "linf",
    items: Annotated[int, Field(ge=1)] | None = None,
    defence: str | None = None,
    defence_parameters: dict[str, JsonValue] | None = None,
    bins: Annotated[int, Field(ge=2, le=100)] = 15,
    push: bool = True,
    **parameters: JsonValue,
) -> MetricReturn:
    """Mean probability of the class that the model names, of items as they are and under attack.

    Under attack every item counts: with its example where the attack found one within eps, else as it is; with `push`
    each is moved as far as the budget allows where that changes no class. Right and wrong answers are those of that
    condition. Calibration errors have `bins` bins of equal width.
    """
    chosen = plan(attack, norm, eps, parameters)
    missing = ctx.missing((chosen.info.requires,))
    aim = None if missing or ctx.n == 0 else target(ctx, items, defence, defence_parameters)
    if aim is None:
        absent = undefined(missing or "the split has no items", state="not_applicable" if missing else "undefined")
        return {column.key: absent for column in _COLUMNS}
    ctx.progress(f"{chosen.info.name}: {aim.chosen.size} items", 0.0)
    attacked = attack_target(ctx, aim, chosen)
    answers = pushed(aim, chosen, attacked)[1] if push else attacked.answers(chosen.eps)
    parts = {
        side: answered(ctx, aim.chosen, said) for side, said in zip(_SIDES, (attacked.clean, answers), strict=True)
    }
    out = {"difference": _difference(parts["natural"], attacked.clean, answers)}
    out["difference"].details.update(
        plan_details(ctx, chosen, attacked), **counts_of(attacked, chosen.eps), defence=defence,
        defence_parameters=defence_parameters,
    )  # fmt: skip
    for side, said in zip(_SIDES, (attacked.clean, answers), strict=True):
        out |= _of_side(parts[side], said, side)
        out[f"{side}_ece"] = expected_calibration_error(parts[side], bins=bins)
    change = less(out["adversarial_ece"].value, out["natural_ece"].value)
    out["ece_difference"] = MetricValue(change, n=aim.chosen.size)
    return {column.key: out[column.key] for column in _COLUMNS}


def _of_side(part: MetricContext, answers: Floats, side: str) -> dict[str, MetricValue]:
    """Confidence of one condition: of all answers, of the right and of the wrong ones."""
    sure, right = answers.max(axis=1), answers.argmax(axis=1) == part.labels
    masks = {side: np.ones(right.size, dtype=bool), f"{side}_right": right, f"{side}_wrong": ~right}
    return {key: _mean(part, sure, mask, key) for key, mask in masks.items()}


def _mean(part: MetricContext, values: Floats, mask: Bools, key: str) -> MetricValue:
    if not mask.any():
        which = "right" if key.endswith("right") else "wrong"
        return undefined(f"no answer is {which} in this condition", n=0)
    codes = cluster_codes(None if part.clusters is None else part.clusters[mask])
    low, high = mean_interval(values[mask], codes, rng=part.rng(f"robustness.confidence.{key}"))
    return MetricValue(float(values[mask].mean()), low=low, high=high, n=int(mask.sum()))


def _difference(part: MetricContext, before: Floats, after: Floats) -> MetricValue:
    """The change of each item's confidence, in the mean."""
    change = after.max(axis=1) - before.max(axis=1)
    return _mean(part, change, np.ones(change.size, dtype=bool), "difference")
