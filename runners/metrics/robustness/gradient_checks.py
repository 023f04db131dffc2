"""Validity checks of the gradients: are there any, and do they point uphill?"""

from __future__ import annotations

import numpy as np

from runners.attacks.geometry import distance, into_ball, random_start, steepest
from runners.defences.defended import DefendedModel
from runners.metrics.robustness.answer_checks import DECISION_BASED
from runners.metrics.robustness.evidence import Case, Finding
from runners.statistics.intervals import wilson

#: Share of items without a gradient before it says something; half of them, and white-box attacks see nothing.
_NONE = 0.05
_MOST = 0.5
#: Share of items, as sure as 95 %, whose margin a small step along the gradient does not raise. A derivative leads
#: uphill but for the few items that have a kink within the step; a stand-in for one only more often than not, for
#: what is rounded does not move with a small step. Of 50 items that is 6, and 19.
_ASTRAY = 0.05
_ASTRAY_STAND_IN = 0.25
#: Length of the small step, in budgets.
_STEP = 0.01

_NO_GRADIENTS = "the model gives no gradients."


def zero_gradients(case: Case) -> Finding:
    """Gradients of the cross-entropy and of the margin at a random start; exactly zero means masked."""
    if not case.white_box:
        return Finding("zero_gradients", "skipped", _NO_GRADIENTS)
    radius = np.full(case.n, case.eps)
    start = random_start(case.x, radius, case.norm, case.value_range, case.rng("zero_gradients"))
    shares = {}
    for loss in ("cross_entropy", "margin"):
        gradient = case.model.gradient(start, case.y, loss=loss).gradient.reshape(case.n, -1)
        usable = np.isfinite(gradient).all(axis=1) & np.any(gradient, axis=1)
        shares[loss] = float((~usable).mean())
    worst, margin = max(shares.values()), shares["margin"]
    if worst <= _NONE:
        return Finding("zero_gradients", "passed", "the loss has a gradient at random starts.", {**shares})
    blind = all(plan.info.name in DECISION_BASED for plan in case.plans)
    if blind:
        return Finding("zero_gradients", "note", "gradients vanish, and the attack used none.", {**shares})
    if margin >= _MOST:
        text = f"{margin:.0%} of items have no gradient at all: white-box attacks see nothing of this model."
        return Finding("zero_gradients", "broken", text, {**shares})
    text = f"the gradient of the loss is exactly zero for {worst:.0%} of items at a random start: masked gradients."
    return Finding("zero_gradients", "suspect", text, {**shares})


def uphill(case: Case) -> Finding:
    """A small step along the margin's gradient must raise the margin; shattered gradients point anywhere."""
    if not case.white_box:
        return Finding("gradients_lead_uphill", "skipped", _NO_GRADIENTS)
    here = case.model.gradient(case.x, case.y, loss="margin")
    step = steepest(here.gradient, case.norm) * (_STEP * case.eps)
    point = into_ball(case.x + step, case.x, np.full(case.n, case.eps), case.norm, case.value_range)
    moved = distance(point, case.x, case.norm) > 0
    there = case.model.gradient(point, case.y, loss="margin")
    # Where the margin is worth thousands, float32 hides small rises: those count as rises.
    rise = (there.loss - here.loss)[moved] >= -1e-6 * np.maximum(1.0, np.abs(here.loss[moved]))
    flat = ~np.any(here.gradient.reshape(case.n, -1), axis=1)
    lost = int((~rise).sum() + flat.sum())
    astray = lost / case.n
    surely, _ = wilson(lost, case.n)
    if surely <= (_ASTRAY_STAND_IN if _stand_in(case) else _ASTRAY):
        return Finding(
            "gradients_lead_uphill", "passed", "small steps along the gradient raise the loss.", {"astray": astray}
        )
    blind = all(plan.info.name in DECISION_BASED for plan in case.plans)
    text = f"for {astray:.0%} of items a small step along the gradient does not raise the loss: shattered gradients."
    return Finding("gradients_lead_uphill", "note" if blind else "suspect", text, {"astray": astray})


def _stand_in(case: Case) -> bool:
    """Whether a defence of the competition says itself that its way back is no derivative."""
    return isinstance(case.model, DefendedModel) and case.model.info.path == "approximate"
