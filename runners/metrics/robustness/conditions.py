"""Clean and attacked, undefended and defended: the two by two table of a detector that somebody wants to fool."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field, JsonValue

from runners.attacks.geometry import Floats, Norm
from runners.context import MetricContext
from runners.metrics.robustness.attack import counts_of, plan_details
from runners.metrics.robustness.condition import changes, figures, latency, measured, warning
from runners.metrics.robustness.target import Plan, Target, attack_target, guarded, plan, plan_of, pushed, target
from runners.metrics.robustness.validity import validity, validity_cost
from runners.registry import Column, Cost, MetricReturn, MetricValue, metric, undefined

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
_OWN = frozenset(
    {"attack", "eps", "norm", "items", "defence", "defence_parameters", "push", "repeats", "batch", "check_items",
     "check_queries"}
)  # fmt: skip


def _cost(parameters: Mapping[str, Any], items: int) -> Cost:
    attack = plan_of(parameters, _OWN)
    chosen = min(items, parameters["items"] or items)
    timed = (parameters["repeats"] + 1) * min(parameters["batch"], chosen)
    pipelines = 1 if parameters["defence"] is None else 2
    each = chosen * (4 + attack.each) + 2 * timed + validity_cost(parameters, chosen, [attack])
    return Cost(least=chosen * pipelines, typical=each * pipelines, access=attack.info.requires)


@metric(
    "robustness.conditions",
    title="Clean and attacked, undefended and defended",
    direction="none",
    range=(None, None),
    needs=("queries",),
    results=_COLUMNS,
    reference="Protocol of decision-based attacks on defended detectors: Chen et al. 2020; defences: see each; "
    "adaptive: Tramèr et al., NeurIPS 2020",
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
    """The conditions as they come: values by condition, and the answers behind them."""

    ctx: MetricContext
    plan: Plan
    plain: Target
    push: bool
    timing: tuple[int, int]
    checks: tuple[int, int]
    values: dict[str, dict[str, MetricValue]] = field(default_factory=dict)
    answers: dict[str, Floats] = field(default_factory=dict)

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
            self.answers[name] = said
            self.values[name] = measured(ctx, aim.chosen, said, name)
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
        """Every column; those of a defence that is not named are not applicable."""
        numbers = {name: figures(row) for name, row in self.values.items()}
        out = {f"{name}_{key}": value for name, row in self.values.items() for key, value in row.items()}
        for name, row in numbers.items():
            main = out[f"{name}_balanced_accuracy"].details
            main["one_class"], main["warning"] = row.one_class, warning(row)
        out |= changes(self.ctx, self.plain.chosen, self.answers, numbers)
        absent = undefined("the metric names no defence", state="not_applicable")
        return {column.key: out.get(column.key, absent) for column in _COLUMNS}
