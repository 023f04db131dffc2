"""Validity checks of the answers themselves: do they change by themselves, are they saturated, are they refusals?"""

from __future__ import annotations

import numpy as np

from runners.attacks.geometry import into_ball, steepest
from runners.metrics.robustness.evidence import Case, Finding
from runners.metrics.robustness.recheck import TOLERANCE, probabilities
from runners.statistics.intervals import wilson

_REPEATS = 5
#: Answers that differ by more than this when asked again are random; rounding of processors stays far below.
_DRIFT = 1e-4
#: How many items may have another class when asked again before success is a matter of luck.
_CHANGED = 0.01
_SATURATED = 0.10
_REFUSED = 0.05
#: Share of what the attack claimed, as sure as 95 %: one example in twenty may lie too near the boundary by chance.
_REJECTED = 0.05
#: Attacks that see classes only: what probabilities hide does not touch them.
DECISION_BASED = frozenset({"hop_skip_jump", "boundary"})


def randomised(case: Case) -> Finding:
    """The same questions several times must have the same answers."""
    answers = np.stack([probabilities(case.model, case.x) for _ in range(_REPEATS)])
    drift = float((answers.max(axis=0) - answers.min(axis=0)).max())
    classes = answers.argmax(axis=2)
    moved = float((classes != classes[0]).any(axis=0).mean())
    numbers = {"repeats": _REPEATS, "largest_difference": drift, "items_changing_class": moved}
    if drift <= _DRIFT:
        return Finding("randomised", "passed", f"{_REPEATS} times the same question, the same answer.", {**numbers})
    text = (
        f"the answers change by themselves (by up to {drift:.2g}; {moved:.0%} of items change their class): success is "
        "luck, and an attack must average over the randomness."
    )
    return Finding("randomised", "broken" if moved > _CHANGED else "suspect", text, {**numbers})


def saturated(case: Case) -> Finding:
    """Probabilities that are exactly zero leave attacks on scores nothing to follow."""
    ordered = np.sort(probabilities(case.model, case.x), axis=1)
    share = float((ordered[:, -2] <= 0).mean())
    numbers = {"items": share}
    if share <= _SATURATED:
        return Finding("saturated", "passed", "the model leaves other classes some probability.", {**numbers})
    text = f"for {share:.0%} of items every other class has a probability of exactly zero: scores say nothing."
    blind = all(plan.info.name in DECISION_BASED for plan in case.plans)
    return Finding("saturated", "note" if blind else "suspect", text, {**numbers})


def refusals(case: Case) -> Finding:
    """A model that detects changes and answers evenly to them is neither right nor wrong there.

    It is asked about noise on the edge of the ball and, where it gives gradients, about one full step along them.
    """
    radius = np.full(case.n, case.eps)
    noise = steepest(case.rng("refusals").standard_normal(case.x.shape), case.norm)
    points = [into_ball(case.x + case.eps * noise, case.x, radius, case.norm, case.value_range)]
    if case.white_box:
        step = steepest(case.model.gradient(case.x, case.y, loss="margin").gradient, case.norm)
        points.append(into_ball(case.x + case.eps * step, case.x, radius, case.norm, case.value_range))
    even = (1 + 1e-3) / case.classes
    before = float((probabilities(case.model, case.x).max(axis=1) <= even).mean())
    after = [float((probabilities(case.model, point).max(axis=1) <= even).mean()) for point in points]
    share = max(after) - before
    numbers = {"items": max(after), "items_unchanged": before}
    if share <= _REFUSED:
        return Finding("refusals", "passed", "it takes sides on changed inputs too.", {**numbers})
    text = (
        f"it answers evenly to {max(after):.0%} of changed inputs and to {before:.0%} of the items as they are: a "
        "detector, which an attack must be aimed at too."
    )
    return Finding("refusals", "broken" if share > 0.5 else "suspect", text, {**numbers})


def audit(case: Case) -> Finding:
    """What the attack claimed, measured again on the final float32 input."""
    counted = case.reach[case.reach <= case.eps + TOLERANCE]
    surely = wilson(case.rejected, case.claimed)[0] if case.claimed else 0.0
    numbers = {
        "claimed": case.claimed, "rejected": case.rejected,
        "largest_distance": float(counted.max()) if counted.size else None,
    }  # fmt: skip
    if surely <= _REJECTED:
        text = "examples were clipped, measured in float32 and asked again; what counts is within eps."
        return Finding("perturbation_audit", "passed", text, {**numbers})
    text = f"{case.rejected} of {case.claimed} examples did not fool the model when the judge asked again."
    return Finding("perturbation_audit", "suspect", text, {**numbers})


def few_classes(case: Case) -> Finding:
    """With fewer than four classes the DLR loss, and so standard AutoAttack, does not exist."""
    numbers = {"classes": case.classes}
    if case.classes >= 4:
        return Finding("few_classes", "passed", "enough classes for every loss.", {**numbers})
    text = f"{case.classes} classes: the DLR loss is not defined, so no number here is one of standard AutoAttack."
    return Finding("few_classes", "note", text, {**numbers})
