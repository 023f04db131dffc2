"""The attack-validity report: whether a robust accuracy may be believed, beside every one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import JsonValue

from runners.attacks.geometry import Bools
from runners.context import MetricContext
from runners.metrics.robustness import answer_checks, attack_checks, gradient_checks
from runners.metrics.robustness.evidence import Case, Check, Finding, Verdict
from runners.metrics.robustness.target import Attacked, Plan, Target
from runners.registry import Asks

#: In the order of the report.
CHECKS: tuple[Check, ...] = (
    answer_checks.randomised,
    answer_checks.saturated,
    answer_checks.refusals,
    gradient_checks.zero_gradients,
    gradient_checks.uphill,
    attack_checks.other_loss,
    attack_checks.black_box,
    attack_checks.single_step,
    attack_checks.smaller_budget,
    attack_checks.whole_range,
    attack_checks.doubled_steps,
    answer_checks.audit,
    answer_checks.few_classes,
)
#: Questions an item of the checks that are no attack (repeats, noise, gradients, looking again), one step included.
_FIXED = Asks(20, 10)


def validity_cost(parameters: Mapping[str, Any], items: int, plans: Sequence[Plan]) -> Asks:
    """The most that the checks of a metric's parameters ask about these attacks."""
    if not parameters["check_items"]:
        return Asks(0)
    each = _FIXED + attack_checks.cost(plans, parameters["check_queries"])
    return each * int(min(items, parameters["check_items"]))


def validity(
    ctx: MetricContext,
    aim: Target,
    runs: Sequence[tuple[Plan, Attacked]],
    *,
    items: int,
    queries: int,
) -> dict[str, JsonValue]:
    """Every check on at most `items` of the attacked items, each at most `queries` questions an item.

    `runs` are attacks of one norm and one eps; together they are doubted as one attack that takes the best of each.

    Returns `verdict` (sound, suspect, broken; None where nothing was attacked or nothing was asked for), `text` for a
    person, `checks` with outcome, sentence and numbers, and what it cost.
    """
    correct = runs[0][1].correct
    if items == 0 or not correct.any():
        text = "The checks were switched off." if items == 0 else "No item was right, so there was nothing to attack."
        return {"verdict": None, "text": text, "checks": []}
    before, calls, started = aim.model.queries, aim.model.calls, ctx.clock()
    case = _case(ctx, aim, runs, correct, items, queries)
    findings = []
    for index, check in enumerate(CHECKS):
        ctx.progress(f"validity: {check.__name__}", index / len(CHECKS))
        findings.append(check(case))
    return {
        "verdict": verdict(findings),
        "text": text_of(findings, case),
        "checks": [finding.json() for finding in findings],
        "items": case.n, "queries": aim.model.queries - before, "calls": aim.model.calls - calls,
        "seconds": ctx.clock() - started,
    }  # fmt: skip


def _case(
    ctx: MetricContext, aim: Target, runs: Sequence[tuple[Plan, Attacked]], correct: Bools, items: int, queries: int
) -> Case:
    chosen = np.flatnonzero(correct)
    if chosen.size > items:
        chosen = np.sort(ctx.rng("robustness.validity").choice(chosen, size=items, replace=False))
    broken = np.any([attacked.broken(item.eps) for item, attacked in runs], axis=0)
    first = runs[0][0]
    return Case(
        model=aim.model, x=aim.x[chosen], y=aim.y[chosen], survived=~broken[chosen],
        plans=tuple(item for item, _ in runs), norm=first.norm, eps=first.eps, value_range=aim.value_range,
        claimed=sum(int(attacked.held.claimed.sum()) for _, attacked in runs),
        rejected=sum(int(attacked.held.rejected.sum()) for _, attacked in runs),
        reach=np.min([attacked.held.reach for _, attacked in runs], axis=0),
        classes=len(ctx.task.classes), queries=queries,
        rng=lambda purpose: ctx.rng(f"robustness.validity.{purpose}"),
    )  # fmt: skip


def verdict(findings: Sequence[Finding]) -> Verdict:
    """The worst outcome among the checks; notes and skipped ones do not count."""
    outcomes = {finding.outcome for finding in findings}
    if "broken" in outcomes:
        return "broken"
    return "suspect" if "suspect" in outcomes else "sound"


def text_of(findings: Sequence[Finding], case: Case) -> str:
    """A few sentences for a person: the verdict, then every reason for it."""
    meaning = {
        "sound": "Sound: no check speaks against this number.",
        "suspect": "Suspect: the true robust accuracy may be lower.",
        "broken": "Broken: this number does not measure robustness.",
    }[verdict(findings)]
    reasons = [f"{f.name}: {f.text}" for f in findings if f.outcome in ("suspect", "broken")]
    skipped = [f.name for f in findings if f.outcome == "skipped"]
    tail = [f"Not checked: {', '.join(skipped)}."] if skipped else []
    unseen = "Whether the model computes gradients while it predicts cannot be seen from outside."
    return " ".join([meaning, *reasons, f"{case.n} items were looked at.", *tail, unseen])
