"""Robustness against examples that were made against other models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import Field, JsonValue

from runners.attacks.geometry import Bools, Ints, Norm, distance
from runners.context import Inputs, MetricContext, Names
from runners.metrics.performance.shares import share_interval
from runners.metrics.robustness.crafting import OWN, Order, chosen_items, order_of
from runners.metrics.robustness.recheck import TOLERANCE, probabilities
from runners.metrics.robustness.target import plan_of
from runners.registry import Column, Cost, MetricReturn, MetricValue, metric, undefined
from runners.surrogates import Examples

COLUMNS = (
    Column("worst_case", title="Accuracy on transferred examples, worst case"),
    Column("clean_accuracy", title="Clean accuracy on the same items"),
    Column("accuracy[source=name]", title="Accuracy on transferred examples"),
    Column("transfer_rate[source=name]", title="Transfer rate", direction="minimise"),
    Column("source_accuracy[source=name]", title="Accuracy of the surrogate itself", direction="none"),
)
_Names = Annotated[tuple[str, ...], Field(min_length=1, max_length=16)]


def _cost(parameters: Mapping[str, Any], items: int) -> Cost:
    """Each item as it is, and one example for each surrogate; what is asked of surrogates is not the submission's."""
    plan_of(parameters, OWN)  # wrong settings cost nothing: the metric says what is wrong
    chosen = min(items, parameters["items"] or items)
    asked = chosen * (1 + len(set(parameters["surrogates"])))
    return Cost(least=asked, typical=asked)


@metric(
    "robustness.transfer",
    title="Robustness against transferred examples",
    direction="maximise",
    range=(0.0, 1.0),
    needs=("queries", "surrogates"),
    results=COLUMNS,
    reference="Papernot et al. 2016, Transferability in Machine Learning; Demontis et al., USENIX Security 2019",
    queries=_cost,
    formula="accuracy[source=s] = share of items with f(x_s) = y; x_s was made against s from x, ‖x_s − x‖ ≤ eps; "
    "worst_case = share with f(x) = y and f(x_s) = y for every s; "
    "transfer_rate[source=s] = share with f(x_s) ≠ y among those with f(x) = y, s(x) = y and s(x_s) ≠ y",
    interval="Wilson over the items; with clusters, a bootstrap of whole clusters",
    limits="An upper bound of robustness: who may ask the model, or has its gradients, finds more. Compare submissions "
    "on the same surrogates only, and read transfer_rate beside source_accuracy: examples that do not even fool their "
    "own model say nothing about another. A submission that is one of the surrogates, or was trained from one, meets "
    "what is white-box to it. The clean item is asked before its example: a submission that keeps what it was "
    "asked may "
    "answer from that.",
)
def transfer(
    ctx: MetricContext,
    *,
    surrogates: _Names,
    attack: str,
    eps: Annotated[float, Field(gt=0)],
    norm: Norm = "linf",
    items: Annotated[int, Field(ge=1)] | None = None,
    draw: Annotated[int, Field(ge=0, le=2**63 - 1)] = 0,
    onward: Annotated[int, Field(ge=0, le=1000)] = 10,
    **parameters: JsonValue,
) -> MetricReturn:
    """Accuracy on adversarial examples that were made against surrogate models, for each of them and at the worst.

    `surrogates` names models of the competition's `surrogates`, which participants do not get. The examples are made
    once, by `attack` with its own parameters, within `eps` in the units of the inputs, and are the same for every
    submission: `items` of the split and the attack's draws come from `draw`, not from the run's seed. Each example is
    carried to the whole budget, by `onward` more gradient steps where the surrogate gives gradients. The submission
    is asked each item and each example once, and gives no gradients: every kind that can be asked is measured alike.

    `source_accuracy` is what is left of the surrogate's own accuracy, its white-box robust accuracy under this attack.
    An example that is not within eps and the value range in float32 is replaced by its item; `details` counts them.
    """
    order = order_of({**parameters, "attack": attack, "eps": eps, "norm": norm, "items": items, "draw": draw,
                      "onward": onward})  # fmt: skip
    if ctx.surrogates is None or ctx.model is None or ctx.inputs is None:
        raise RuntimeError("the needs `queries` and `surrogates` say that they are there")
    chosen = chosen_items(order, ctx.n)
    names = tuple(dict.fromkeys(surrogates))
    if chosen.size == 0:
        return _nothing(names, undefined("the split has no items", n=0))
    clean = _Shown.of(ctx, chosen).right
    values: dict[str, MetricValue] = {"clean_accuracy": _share(ctx, clean, chosen, "clean")}
    survived, lacking = clean.copy(), []
    for number, name in enumerate(names):
        ctx.progress(f"examples made against {name}", number / len(names))
        found = ctx.surrogates.examples(name, order.key)
        if isinstance(found, MetricValue):
            values |= {f"{part}[source={name}]": found for part in ("accuracy", "transfer_rate", "source_accuracy")}
            lacking.append(name)
            continue
        shown = _Shown.of(ctx, chosen, found.x, order)
        survived &= shown.right
        values |= _of_source(ctx, name, clean, found, shown, order)
    ctx.progress("done", 1.0)
    return {"worst_case": _worst(ctx, survived, chosen, lacking, order), **values}


@dataclass(frozen=True)
class _Shown:
    """What the submission was shown. `right` (m,): whether it names the true class. `beyond`: examples not shown,
    for they were not within the budget.
    """

    right: Bools
    beyond: int

    @classmethod
    def of(cls, ctx: MetricContext, chosen: Ints, x: Inputs | None = None, order: Order | None = None) -> _Shown:
        """Ask the items, or the examples `x` of them that are as ordered, and the item where one is not."""
        if ctx.inputs is None or ctx.model is None or ctx.input is None:
            raise RuntimeError("the caller checks that there is a model")
        plain, beyond = ctx.inputs[chosen], 0
        if x is not None and order is not None:
            low, high = np.float32(ctx.input.range[0]), np.float32(ctx.input.range[1])
            flat = x.reshape(chosen.size, -1)
            within = (distance(x, plain, order.plan.norm) <= order.plan.eps + TOLERANCE) & np.isfinite(flat).all(axis=1)
            within &= (flat >= low).all(axis=1) & (flat <= high).all(axis=1)
            plain = np.where(within.reshape((-1,) + (1,) * (x.ndim - 1)), x, plain)
            beyond = int((~within).sum())
        return cls(probabilities(ctx.model, plain).argmax(axis=1) == ctx.labels[chosen], beyond)


def _of_source(
    ctx: MetricContext, name: str, clean: Bools, found: Examples, shown: _Shown, order: Order
) -> dict[str, MetricValue]:
    """The three results of one surrogate."""
    chosen, purpose = found.chosen, f"source.{name}"
    details: dict[str, JsonValue] = {
        **_asked(order), "source_clean_accuracy": float(found.correct.mean()), "n_beyond_eps": shown.beyond,
        "source_queries": found.queries, "source_seconds": found.seconds,
    }  # fmt: skip
    fooling = clean & found.correct & found.wrong
    rate = undefined("no example fools the surrogate on an item that the submission gets right", n=0)
    if fooling.any():
        rate = _share(ctx, ~shown.right[fooling], chosen[fooling], f"{purpose}.rate")
    return {
        f"accuracy[source={name}]": _share(ctx, shown.right, chosen, f"{purpose}.accuracy", details),
        f"transfer_rate[source={name}]": rate,
        f"source_accuracy[source={name}]": _share(ctx, ~found.wrong, chosen, f"{purpose}.own"),
    }


def _worst(ctx: MetricContext, survived: Bools, chosen: Ints, lacking: list[str], order: Order) -> MetricValue:
    """Items that are right as they are and under every surrogate's example."""
    if lacking:
        return undefined(f"there are no examples made against {', '.join(lacking)}", n=0, state="failed")
    return _share(ctx, survived, chosen, "worst_case", _asked(order))


def _asked(order: Order) -> dict[str, JsonValue]:
    plan = order.plan
    return {
        "attack": plan.info.name, "norm": plan.norm, "eps": plan.eps, "attack_parameters": dict(plan.typed),
        "draw": order.draw, "onward": order.onward,
    }  # fmt: skip


def _share(
    ctx: MetricContext, hits: Bools, rows: Ints, purpose: str, details: dict[str, JsonValue] | None = None
) -> MetricValue:
    clusters: Names | None = None if ctx.clusters is None else ctx.clusters[rows]
    low, high = share_interval(hits, clusters, rng=ctx.rng(f"robustness.transfer.{purpose}"))
    return MetricValue(float(hits.mean()), low=low, high=high, n=int(hits.size), details=details or {})


def _nothing(names: tuple[str, ...], value: MetricValue) -> dict[str, MetricValue]:
    """The same for every result."""
    keys = [column.key for column in COLUMNS]
    single = {key: value for key in keys if "[" not in key}
    return single | {key.replace("name", name): value for key in keys if "[" in key for name in names}
