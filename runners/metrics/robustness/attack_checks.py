"""Validity checks of the attack: does another one do better, does it get stronger with its budget and its steps?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from runners.metrics.robustness.answer_checks import DECISION_BASED
from runners.metrics.robustness.control import random_search
from runners.metrics.robustness.evidence import Case, Finding, Outcome, changed, judged, only_queries, second_white_box
from runners.metrics.robustness.target import Plan, plan
from runners.registry import Asks, attacks
from runners.statistics.intervals import wilson

#: Share of items, as sure as 95 %, that another loss may find in addition before the attack is suspect, and before its
#: number means nothing. Of 50 items that is 6, and 19.
_OTHER_LOSS = 0.05
_WEAK_ATTACK = 0.25
#: Share of items that may hold out against a budget of the whole range.
_HELD_OUT = 0.10
_MOST_HELD_OUT = 0.5
#: Rounds of the attack where only its strength in principle is asked.
_SHORT = 200
#: Names that attacks give to the number of their steps.
_STEPS = ("steps", "iterations", "queries")


def cost(plans: Sequence[Plan], queries: int) -> Asks:
    """The most that the checks here ask about an item, one step along the gradient left out."""
    again = [_halved(plans, queries, 1.0), _doubled(plans, queries), _whole(plans, queries, 1.0)]
    second = second_white_box(plans, plans[0].norm, 1.0) if plans else None
    every = [item for kind in again for item in kind] + ([] if second is None else [second])
    return sum((item.asks for item in every), Asks(max(queries, 100)))


def _halved(plans: Sequence[Plan], queries: int, eps: float) -> list[Plan]:
    """The attacks that may be run once more, without the search for the nearest example."""
    short = [changed(item, eps=eps, bisections=0) for item in plans]
    return [item for item in short if item.each <= queries]


def _whole(plans: Sequence[Plan], queries: int, eps: float) -> list[Plan]:
    """Whether they can succeed is asked, not how near: no bisection, no second start, few questions."""
    few = min(_SHORT, queries)
    short = [changed(item, eps=eps, bisections=0, restarts=0, queries=few) for item in plans]
    return [item for item in short if item.each <= queries]


def _doubled(plans: Sequence[Plan], queries: int) -> list[Plan]:
    """The attacks with twice their steps, under whatever name they have them."""
    out = []
    for item in plans:
        name = next((name for name in _STEPS if isinstance(item.typed.get(name), int)), None)
        if name is not None:
            out.append(changed(item, bisections=0, **{name: 2 * int(item.typed[name])}))
    return [item for item in out if item.each <= queries]


def other_loss(case: Case) -> Finding:
    """Another loss must not find much more: cross-entropy and margin climb the same hill.

    It always finds a little: on honest, adversarially trained models the worst of several white-box attacks is some
    points below PGD on the cross-entropy (Croce and Hein 2020).
    """
    if not case.white_box:
        return Finding("other_loss", "skipped", "the model gives no gradients.")
    newly = int(case.other_loss.sum())
    loss = second_white_box(case.plans, case.norm, case.eps).typed["loss"]
    text = f"PGD along the {str(loss).replace('_', '-')} fools {newly} of {case.n} items more than the attack did."
    surely, _ = wilson(newly, case.n)
    outcome: Outcome = "passed" if newly == 0 else "note"
    if surely > _OTHER_LOSS:
        # An attack that sees no gradient is weak; only of one that does it means that something is amiss.
        outcome = "broken" if surely > _WEAK_ATTACK and not only_queries(case.plans) else "suspect"
    return Finding("other_loss", outcome, text, {"newly_fooled": newly, "of": case.n})


def black_box(case: Case) -> Finding:
    """An attack that sees no gradient must not beat those that do: if it does, gradients are masked.

    Square where it is installed, else random search; and HopSkipJump, which sees classes only, on what is then left.
    Only items count that PGD along another loss leaves standing too: the rest shows that the attack was weak, which
    is another check's matter, and not that the model hides anything.
    """
    left = np.flatnonzero(case.survived & ~case.other_loss)
    fooled = np.zeros(left.size, dtype=bool)
    used = []
    square = attacks().get("square")
    budget = case.queries // 2
    if square is not None and case.norm in square.norms and "queries" in square.parameters.model_fields:
        fooled |= case.fooled(plan("square", case.norm, case.eps, {"queries": budget}), left, "control.square")
        used.append("Square")
    else:
        fooled |= random_search(
            case.model, case.x[left], case.y[left], norm=case.norm, eps=case.eps, value_range=case.value_range,
            rng=case.rng("control.random_search"), rounds=budget,
        )  # fmt: skip
        used.append("random search")
    rest = np.flatnonzero(~fooled)
    jump = plan("hop_skip_jump", case.norm, case.eps, {"queries": max(50, budget)})
    fooled[rest] |= case.fooled(jump, left[rest], "control.hop_skip_jump")
    used.append("HopSkipJump")
    text = f"{' or '.join(used)} with {2 * budget} questions an item"
    return judged(case, "black_box_control", int(fooled.sum()), text)


def single_step(case: Case) -> Finding:
    """An iterated attack must not do worse than one step along the gradient."""
    if not case.white_box:
        return Finding("single_step", "skipped", "the model gives no gradients.")
    # With the attack's own loss: another loss is another attack, and no sign that this one went wrong.
    loss = next((item.typed["loss"] for item in case.plans if item.typed.get("loss") == "margin"), "cross_entropy")
    left = np.flatnonzero(case.survived)
    fooled = case.fooled(plan("fgsm", case.norm, case.eps, {"loss": loss}), left, "single_step")
    return judged(case, "single_step", int(fooled.sum()), "one step of the whole budget (FGSM)")


def smaller_budget(case: Case) -> Finding:
    """What is fooled within half the budget is fooled within the whole: robust accuracy cannot rise with eps."""
    left = np.flatnonzero(case.survived)
    fooled = np.zeros(left.size, dtype=bool)
    tried = _halved(case.plans, case.queries, case.eps / 2)
    if not tried:
        return _too_dear("monotone_in_eps", case)
    for item in tried:
        fooled |= case.fooled(item, left, f"half.{item.info.name}")
    return judged(case, "monotone_in_eps", int(fooled.sum()), "the same attack with half the budget")


def whole_range(case: Case) -> Finding:
    """With a budget of the whole value range every item can become any other: nothing may hold out."""
    low, high = case.value_range
    width = high - low
    eps = width if case.norm == "linf" else width * math.sqrt(case.x[0].size)
    held = np.ones(case.n, dtype=bool)
    tried = _whole(case.plans, case.queries, eps)
    if not tried and case.white_box:
        # What is too dear to run again follows the same gradients as this.
        tried = [plan("pgd", case.norm, eps, {"bisections": 0, "restarts": 0})]
    if not tried:
        return _too_dear("whole_range", case)
    for item in tried:
        index = np.flatnonzero(held)
        held[index] = ~case.fooled(item, index, f"whole.{item.info.name}")
    share = float(held.mean())
    numbers = {"eps": eps, "robust_accuracy": share}
    if share <= _HELD_OUT:
        text = f"with the whole range as the budget {share:.0%} of items hold out."
        return Finding("whole_range", "passed", text, {**numbers})
    text = (
        f"{share:.0%} of items hold out though the budget is the whole range: the attack does not work on this model."
    )
    return Finding("whole_range", "broken" if share > _MOST_HELD_OUT else "suspect", text, {**numbers})


def doubled_steps(case: Case) -> Finding:
    """Twice the steps must not change robust accuracy by more than its standard error."""
    left = np.flatnonzero(case.survived)
    fooled = np.zeros(left.size, dtype=bool)
    tried = _doubled(case.plans, case.queries)
    if not tried:
        return _too_dear("convergence", case)
    for item in tried:
        fooled |= case.fooled(item, left, f"doubled.{item.info.name}")
    names = " and ".join(item.info.name for item in tried)
    share = float(case.survived.mean())
    error = math.sqrt(share * (1 - share) / case.n)
    finding = judged(case, "convergence", int(fooled.sum()), f"{names} with twice the steps")
    finding.numbers["standard_error"] = error
    if finding.outcome in ("suspect", "broken"):
        # A slow attack understates; that alone is no sign of a broken defence.
        within = fooled.sum() <= max(error, 0.02) * case.n
        return replace(finding, outcome="note" if within else "suspect")
    return finding


def _too_dear(name: str, case: Case) -> Finding:
    why = "has no number of steps to double, or " if name == "convergence" else ""
    names = ", ".join(item.info.name for item in case.plans)
    note = " (it sees classes only, and is known to need many)" if _decisions(case) else ""
    text = f"{names} {why}asks more than the {case.queries} questions an item that a check may cost{note}."
    return Finding(name, "skipped", text)


def _decisions(case: Case) -> bool:
    return all(item.info.name in DECISION_BASED for item in case.plans)
