"""Clean and attacked, undefended and defended: the two by two table of a detector that somebody wants to fool."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from pydantic import Field, JsonValue

from runners.attacks.geometry import Norm
from runners.context import MetricContext
from runners.metrics.robustness.attack import counts_of, plan_details
from runners.metrics.robustness.condition import (
    answered,
    changes,
    clustered_details,
    decided,
    figures,
    latency,
    measured,
    warning,
)
from runners.metrics.robustness.target import Plan, Target, attack_target, guarded, plan, plan_of, pushed, target
from runners.metrics.robustness.validity import validity, validity_cost
from runners.registry import Asks, Column, Cost, MetricReturn, MetricValue, metric, undefined

_CONDITIONS = {
    "clean": "clean",
    "attacked": "under attack",
    "defended": "behind the defence",
    "attacked_defended": "under attack behind the defence",
}
_FIGURES: dict[str, Column] = {
    "balanced_accuracy": Column("", title="Balanced accuracy", direction="maximise", range=(0.0, 1.0)),
    "auc": Column("", title="ROC AUC", direction="maximise", range=(0.0, 1.0)),
    "positive_rate": Column("", title="Predicted-positive rate", direction="none", range=(0.0, 1.0)),
    "latency": Column("", title="Latency", direction="minimise", range=(0.0, None), unit="ms/item"),
}
_DELTAS = {
    "attack": "Change by the attack",
    "defence": "Change by the defence",
    "left": "Change by the attack on the defence",
    "gain": "What the defence brings back",
}
_COLUMNS = (
    *(
        Column(f"{name}_{key}", f"{column.title} ({words})", column.unit, column.direction, column.range)
        for name, words in _CONDITIONS.items()
        for key, column in _FIGURES.items()
    ),
    *(
        Column(
            f"{name}_delta_{key}",
            f"{words}: {column.title}",
            column.unit,
            "none" if key == "positive_rate" else column.direction,
            (None, None) if key == "latency" else (-1.0, 1.0),
        )
        for name, words in _DELTAS.items()
        for key, column in _FIGURES.items()
    ),
)
#: The same of clusters, where the competition declares how their items become one decision; latency is an item's.
_CLUSTERED = tuple(
    replace(column, key=f"cluster_{column.key}", title=f"{column.title}, of clusters")
    for column in _COLUMNS
    if not column.key.endswith("_latency")
)
_OWN = frozenset(
    {"attack", "eps", "norm", "items", "defence", "defence_parameters", "push", "repeats", "batch", "check_items",
     "check_queries"}
)  # fmt: skip


def _cost(parameters: Mapping[str, Any], items: int) -> Cost:
    attack = plan_of(parameters, _OWN)
    chosen = min(items, parameters["items"] or items)
    timed = (parameters["repeats"] + 1) * min(parameters["batch"], chosen)
    pipelines = 1 if parameters["defence"] is None else 2
    # One gradient an item moves the scores of the attacked as far as the budget allows.
    each = (Asks(3, 1) + attack.asks) * chosen + Asks(2 * timed) + validity_cost(parameters, chosen, [attack])
    return Cost.of(each * pipelines, least=chosen * pipelines, access=attack.info.requires)


@metric(
    "robustness.conditions",
    title="Clean and attacked, undefended and defended",
    direction="none",
    range=(None, None),
    needs=("queries",),
    results=(*_COLUMNS, *_CLUSTERED),
    reference="Protocol of decision-based attacks on defended detectors: Chen et al. 2020; defences: see each; "
    "adaptive: Tramèr et al., NeurIPS 2020",
    formula="BA, AUC, positive rate and latency of {clean, attacked} × {undefended, defended}\n"
    "attack_delta = attacked − clean; defence_delta = defended − clean; left_delta = attacked_defended − clean; "
    "gain_delta = attacked_defended − attacked",
    interval="That of each figure (balanced accuracy, AUC, share, median of times); changes are paired over the "
    "same items, and those of latency have none.",
    limits="Attacks are after classes and stop once one has changed, so AUC under attack is an upper bound, also "
    "with `push`. Balanced accuracy is 0.5 exactly as soon as every item gets one class, whatever the AUC: read "
    "`details.warning`. The attack on the defence is adaptive in what it asks, not made for it.",
    queries=_cost,
)
def conditions(
    ctx: MetricContext,
    *,
    attack: str,
    eps: Annotated[float, Field(gt=0)],
    norm: Norm = "l2",
    items: Annotated[int, Field(ge=1)] | None = None,
    defence: str | None = None,
    defence_parameters: dict[str, JsonValue] | None = None,
    push: bool = True,
    repeats: Annotated[int, Field(ge=5, le=10_000)] = 15,
    batch: Annotated[int, Field(ge=1, le=4096)] = 1,
    check_items: Annotated[int, Field(ge=0, le=10_000)] = 50,
    check_queries: Annotated[int, Field(ge=100, le=100_000)] = 400,
    **parameters: JsonValue,
) -> MetricReturn:
    """Balanced accuracy, AUC, positive rate and latency of each of {clean, attacked} x {undefended, defended}.

    The attack on the defended model asks the defended model, so it is adaptive; the examples are its own. An item
    without an example within eps keeps its clean answer, and one that is wrong already is not attacked: attacks are
    after classes, and so AUC under attack is an upper bound. With `push` scores are moved as far as the budget allows
    where that changes no class: an example goes on along its line, any other item takes one step along the gradient.
    Latency is the median of `repeats` questions of `batch` items, defence included. Without `defence` there are two
    conditions.

    Where the competition declares a rule by which items become one decision (frames a video), the results that begin
    with `cluster_` are the same of these decisions: each item is attacked by itself, its probability is combined with
    those of its cluster, and the intervals draw clusters. `details` has how many items they rest on.

    AUC is not clamped: below one half the attack has turned the ranking round. `details.warning` tells of a model that
    gives every item one class: then balanced accuracy is 0.5 exactly and says nothing, whatever its AUC is.
    """
    chosen = plan(attack, norm, eps, parameters)
    missing = ctx.missing((chosen.info.requires,))
    if missing:
        return {column.key: undefined(missing, state="not_applicable") for column in _COLUMNS}
    if ctx.n == 0:
        return {column.key: undefined("the split has no items", n=0) for column in _COLUMNS}
    table = _Table(ctx, chosen, target(ctx, items), push, (repeats, batch), (check_items, check_queries))
    table.fill(None, None, ("clean", "attacked"))
    if defence is not None or defence_parameters:
        table.fill(defence, defence_parameters, ("defended", "attacked_defended"))
    return table.results()


@dataclass
class _Table:
    """The conditions as they come: values by condition, and the context of the answers behind them."""

    ctx: MetricContext
    plan: Plan
    plain: Target
    push: bool
    timing: tuple[int, int]
    checks: tuple[int, int]
    values: dict[str, dict[str, MetricValue]] = field(default_factory=dict)
    parts: dict[str, MetricContext] = field(default_factory=dict)

    def fill(self, defence: str | None, parameters: dict[str, JsonValue] | None, names: tuple[str, str]) -> None:
        """One pipeline, clean and attacked."""
        ctx, plan = self.ctx, self.plan
        aim = guarded(ctx, self.plain, defence, parameters)
        ctx.progress(f"{names[1]}: {plan.info.name}", 0.0 if defence is None else 0.5)
        attacked = attack_target(ctx, aim, plan)
        after, answers = attacked.inputs(aim.x, plan.eps), attacked.answers(plan.eps)
        if self.push:
            after, answers = pushed(aim, plan, attacked)
        for name, x, said in zip(names, (aim.x, after), (attacked.clean, answers), strict=True):
            self.parts[name] = answered(ctx, aim.chosen, said)
            self.values[name] = measured(self.parts[name], name)
            self.values[name]["latency"] = latency(
                ctx, aim.model.predict, x, repeats=self.timing[0], batch=self.timing[1]
            )
        items, queries = self.checks
        self.values[names[1]]["balanced_accuracy"].details.update(
            plan_details(ctx, plan, attacked), **counts_of(attacked, plan.eps), defence=defence,
            defence_parameters=parameters,
            validity=validity(ctx, aim, [(plan, attacked)], items=items, queries=queries),
        )  # fmt: skip

    def results(self) -> dict[str, MetricValue]:
        """Every column of items, those of a defence that is not named not applicable; and of clusters, with a rule."""
        absent = undefined("the metric names no defence", state="not_applicable")
        found = _told(self.values, self.parts)
        out = {column.key: found.get(column.key, absent) for column in _COLUMNS}
        if self.ctx.aggregate is None:
            return out
        clusters = {name: part for name, items in self.parts.items() if (part := decided(items)) is not None}
        values = {name: measured(part, f"cluster.{name}") for name, part in clusters.items()}
        for name, row in values.items():
            row["balanced_accuracy"].details.update(clustered_details(self.parts[name]))
        found = {f"cluster_{key}": value for key, value in _told(values, clusters).items()}
        by = self.ctx.aggregate.by
        titles = {column.key: column.title.replace(", of clusters", f", by {by}") for column in _CLUSTERED}
        return out | {key: replace(found.get(key, absent), title=title) for key, title in titles.items()}


def _told(values: Mapping[str, dict[str, MetricValue]], parts: Mapping[str, MetricContext]) -> dict[str, MetricValue]:
    """Figures and changes by the key of their column; beside each balanced accuracy whether it may be read at all."""
    numbers = {name: figures(row) for name, row in values.items()}
    for name, row in values.items():
        main = row["balanced_accuracy"].details
        main["one_class"], main["warning"] = numbers[name].one_class, warning(numbers[name])
    out = {f"{name}_{key}": value for name, row in values.items() for key, value in row.items()}
    return out | changes(parts, numbers)
