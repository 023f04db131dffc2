"""Does a training that is said to be private have the epsilon that is claimed for it?"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from runners.context import MetricContext
from runners.errors import ScorerFault
from runners.metrics.privacy.accountant import Epsilon, Mechanism, numeric_epsilon, renyi_epsilon
from runners.metrics.privacy.dp_epsilon_lower_bound import dp_epsilon_lower_bound
from runners.registry import Column, MetricReturn, MetricValue, metric, undefined

COLUMNS = (
    Column("", title="Epsilon of the declared mechanism"),
    Column("renyi", title="Epsilon of the declared mechanism (Rényi bound)"),
    Column("claim_margin", title="Claimed epsilon, less what the accountant gives", direction="maximise",
           range=(None, None)),
    Column("attacked", title="Epsilon refuted by membership inference"),
)  # fmt: skip
#: What the claim is, beside the accountant's bounds and what the attack refuted.
Verdict = Literal["none", "holds", "undecided", "too_low", "refuted"]
_NAMES = ("noise", "rate", "steps", "delta", "claimed")


@metric(
    "privacy.accounted_epsilon",
    title="Epsilon of the declared mechanism",
    direction="minimise",
    range=(0.0, None),
    results=COLUMNS,
    reference="Mironov, Talwar and Zhang 2019 (Rényi, subsampled Gaussian); Canonne et al. 2020 (conversion); Gopi, "
    "Lee and Wutschitz 2021 (numerical composition)",
    formula="ε(δ) = the least ε with E[max(0, 1 − e^(ε − L))] ≤ δ, L the sum of the privacy losses of all steps\n"
    "Rényi bound: the least over orders α of ρ_α + ln(1 − 1/α) − (ln δ + ln α)/(α − 1)",
    interval="Not a sampling error: bounds of the numerical composition, which hold the ε of the declared mechanism.",
    limits="It computes with what is declared. That the training clipped each item's gradient, drew its batches by "
    "independent coins and added this noise is not seen; an attack that refutes more than is claimed shows that it "
    "did not. What was spent on choosing hyperparameters is not counted.",
)
def accounted_epsilon(
    ctx: MetricContext,
    *,
    noise: Annotated[float, Field(gt=0, le=1e4)] | None = None,
    rate: Annotated[float, Field(gt=0, le=1)] | None = None,
    steps: Annotated[int, Field(ge=1, le=10**8)] | None = None,
    delta: Annotated[float, Field(gt=0, lt=1)] | None = None,
    claimed: Annotated[float, Field(ge=0)] | None = None,
    attribute: str = "member",
    member: str = "yes",
    non_member: str = "no",
) -> MetricReturn:
    """The epsilon, at `delta`, of a training by DP-SGD as it is declared, beside the epsilon that is claimed for it.

    `noise`: the noise multiplier; `rate`: expected batch over training items; `steps`: of training. What is not given
    here a served submission declares itself, as numbers under `parameters.privacy` of its metadata; a parameter given
    here counts instead. Neighbours differ by one item more or less.

    `details.verdict`: `too_low` where the claim lies below what the accountant proves the mechanism to have, `holds`
    where it lies above, `undecided` within the accountant's error of 0.01; `refuted` where the split says by
    `attribute` who was trained on, and membership inference refutes the claim (`privacy.dp_epsilon_lower_bound`).
    A claim between the two columns is honest: the Rényi bound is not tight.
    """
    told = getattr(ctx.model, "privacy", {})
    given = {"noise": noise, "rate": rate, "steps": steps, "delta": delta, "claimed": claimed}
    found = {name: told.get(name) if value is None else value for name, value in given.items()}
    reason = _lacking(found)
    if reason:
        return {column.key: undefined(reason, state="not_applicable") for column in COLUMNS}
    mechanism = Mechanism(float(found["noise"] or 0), float(found["rate"] or 0), int(found["steps"] or 0))
    at, said = float(found["delta"] or 0), None if found["claimed"] is None else float(found["claimed"])
    ctx.progress("accounting for epsilon", 0.1)
    exact, renyi = numeric_epsilon(mechanism, at), renyi_epsilon(mechanism, at)
    attacked = _attacked(ctx, (attribute, member, non_member), at, said)
    details: dict[str, JsonValue] = {
        **found, "declared_by": "the competition" if not told or found == given else "the submission",
        "verdict": verdict(said, exact, renyi, attacked.value),
    }  # fmt: skip
    return {
        "": _value(exact, details),
        "renyi": MetricValue(renyi),
        "claim_margin": _margin(said, exact, renyi, details),
        "attacked": attacked,
    }


def _lacking(found: dict[str, float | None]) -> str:
    """Why there is nothing to account for, or the empty string. What a submission declares is nobody's fault."""
    absent = [name for name in _NAMES[:-1] if found[name] is None]
    if absent:
        return f"neither the competition nor the submission declares {', '.join(absent)}"
    noise, rate, steps, delta = (float(found[name] or 0) for name in _NAMES[:-1])
    sound = 0 < noise <= 1e4 and 0 < rate <= 1 and 1 <= steps <= 1e8 and steps.is_integer() and 0 < delta < 1
    if not sound or (found["claimed"] or 0) < 0:
        return "what the submission declares is no such mechanism"
    known = Mechanism(noise, rate, int(steps)).computable(delta)
    return "" if known else "the declared mechanism is too extreme to be computed with"


def verdict(claimed: float | None, exact: Epsilon | None, renyi: float, attacked: float | None) -> Verdict:
    """What to say of a claim; the attack's word counts first, for it needs no declaration."""
    if claimed is None:
        return "none"
    if attacked is not None and attacked > claimed:
        return "refuted"
    if exact is not None and claimed < exact.low:
        return "too_low"
    return "holds" if claimed >= min(renyi, exact.high if exact is not None else renyi) else "undecided"


def _value(exact: Epsilon | None, details: dict[str, JsonValue]) -> MetricValue:
    if exact is None:
        reason = "the numerical composition would take too large a grid; the Rényi bound holds"
        return MetricValue(None, state="undefined", reason=reason, details=details)
    return MetricValue(exact.value, low=exact.low, high=exact.high, details=details)


def _margin(claimed: float | None, exact: Epsilon | None, renyi: float, details: dict[str, JsonValue]) -> MetricValue:
    if claimed is None:
        return undefined("no epsilon is claimed", state="not_applicable")
    if exact is None:
        return MetricValue(claimed - renyi, details=details)
    return MetricValue(claimed - exact.value, low=claimed - exact.high, high=claimed - exact.low, details=details)


def _attacked(
    ctx: MetricContext, groups: tuple[str, str, str], delta: float, claimed: float | None
) -> MetricValue:  # fmt: skip
    """What membership inference refutes, where the split says who was trained on."""
    attribute, member, non_member = groups
    if attribute not in ctx.attribute_specs:
        return undefined(f"the competition has no attribute {attribute}: nothing was attacked", state="not_applicable")
    missing = ctx.missing(("probabilities", "attributes"))
    if missing:
        return undefined(missing, state="not_applicable")
    found = dp_epsilon_lower_bound(
        ctx, attribute=attribute, member=member, non_member=non_member, delta=delta, claimed=claimed
    )
    if isinstance(found, MetricValue):
        raise ScorerFault("the bound has several columns")
    return found[""]
