"""Eight conditions: clean and attacked, undefended and defended, each before and after mitigation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Any

import numpy as np
from pydantic import Field, JsonValue

from runners.aggregation import aggregate
from runners.attacks.geometry import Norm
from runners.context import MetricContext
from runners.metrics.fairness.groups import Quartet, attribute_values
from runners.metrics.fairness.reject_option import Point
from runners.metrics.robustness.attack import counts_of, plan_details
from runners.metrics.robustness.bias_table import quartet_of
from runners.metrics.robustness.condition import answered, decided, latency, less, measured
from runners.metrics.robustness.mitigated import fitted, laid_over, lost, worse
from runners.metrics.robustness.recheck import probabilities
from runners.metrics.robustness.target import Plan, Target, attack_target, guarded, plan, plan_of, pushed, target
from runners.metrics.robustness.validity import validity, validity_cost
from runners.models.base import Model
from runners.registry import Asks, Column, Cost, MetricReturn, MetricValue, metric, undefined

_WORDS = {
    "clean": "clean", "attacked": "under attack", "defended": "behind the defence",
    "attacked_defended": "under attack behind the defence",
}  # fmt: skip
_FIGURES = {
    "balanced_accuracy": Column("", "Balanced accuracy", direction="maximise", range=(0.0, 1.0)),
    "auc": Column("", "ROC AUC", direction="maximise", range=(0.0, 1.0)),
    "positive_rate": Column("", "Predicted-positive rate", direction="none", range=(0.0, 1.0)),
    "spd": Column("", "Statistical parity difference", direction="zero", range=(-1.0, 1.0)),
    "di": Column("", "Disparate impact", direction="one", range=(0.0, None)),
    "eod": Column("", "Equal opportunity difference", direction="zero", range=(-1.0, 1.0)),
    "aod": Column("", "Average odds difference", direction="zero", range=(-1.0, 1.0)),
}
_LATENCY = Column("", "Latency", "ms/item", "minimise", (0.0, None))
_COST = Column("", "Balanced accuracy lost to mitigation", direction="minimise", range=(-1.0, 1.0))


def _columns() -> tuple[Column, ...]:
    """Seven figures of each of eight conditions, and of each of four what mitigation costs and how long it takes."""
    out = [Column("worse", "Group metrics made worse by mitigation", "metrics", "minimise", (0.0, None))]
    for name, words in _WORDS.items():
        for key, column in _FIGURES.items():
            out.append(replace(column, key=f"{name}_{key}", title=f"{column.title} ({words})"))
            out.append(replace(column, key=f"{name}_mitigated_{key}", title=f"{column.title} ({words}, mitigated)"))
        out.append(replace(_COST, key=f"{name}_cost", title=f"{_COST.title} ({words})"))
        out.append(replace(_LATENCY, key=f"{name}_latency", title=f"{_LATENCY.title} ({words})"))
    return tuple(out)


_COLUMNS = _columns()
_OWN = frozenset(
    {"attribute", "attack", "eps", "norm", "items", "defence", "defence_parameters", "objective", "push", "repeats",
     "batch", "check_items", "check_queries"}
)  # fmt: skip


def _cost(parameters: Mapping[str, Any], items: int) -> Cost:
    """A validation split as large as the scored one is reckoned with where the defended model has to answer for it."""
    attack = plan_of(parameters, _OWN)
    chosen = min(items, parameters["items"] or items)
    timed = (parameters["repeats"] + 1) * min(parameters["batch"], chosen)
    pipelines = 1 if parameters["defence"] is None else 2
    each = (Asks(3, 1) + attack.asks) * chosen + Asks(2 * timed) + validity_cost(parameters, chosen, [attack])
    asked = each * pipelines + Asks(items * (pipelines - 1))
    return Cost.of(asked, least=chosen * pipelines, access=attack.info.requires)


@metric(
    "robustness.mitigated_bias",
    title="Bias clean, attacked and defended, before and after mitigation",
    direction="none",
    range=(None, None),
    needs=("queries", "probabilities", "attributes", "favourable", "binary", "validation"),
    results=_COLUMNS,
    reference="Mitigation: Kamiran, Karim and Zhang, ICDM 2012; robustness bias: Nanda et al., FAccT 2021; quartet: "
    "Hardt et al. 2016, signs as in AIF360",
    formula="BA, AUC, positive rate, SPD, DI, EOD, AOD of {clean, attacked, defended, attacked and defended} × "
    "{before, after the reject option}\ncost = BA before − BA after; worse = metrics farther from parity after",
    interval="Those of the figures themselves, over items or whole clusters, with the fitted rule as it is; cost: "
    "paired over the same items; latency: order statistics of the repeats. None for the number made worse.",
    limits="What a mitigation could do, not what the submission does: its own decisions are those before it. The rule "
    "is fitted on clean (and on defended) answers, as whoever is attacked would have it, so under attack nothing "
    "holds it to its bounds. It treats people by their group, which may be unlawful. AUC under attack is an upper "
    "bound. Latency is that of the pipeline: the rule compares one number.",
    queries=_cost,
)
def mitigated_bias(
    ctx: MetricContext,
    *,
    attribute: str,
    attack: str,
    eps: Annotated[float, Field(gt=0)],
    norm: Norm = "linf",
    items: Annotated[int, Field(ge=1)] | None = None,
    defence: str | None = None,
    defence_parameters: dict[str, JsonValue] | None = None,
    objective: Quartet = "spd",
    push: bool = True,
    repeats: Annotated[int, Field(ge=5, le=10_000)] = 15,
    batch: Annotated[int, Field(ge=1, le=4096)] = 1,
    check_items: Annotated[int, Field(ge=0, le=10_000)] = 50,
    check_queries: Annotated[int, Field(ge=100, le=100_000)] = 400,
    **parameters: JsonValue,
) -> MetricReturn:
    """How accurate and how fair it is in each of {clean, attacked, defended, both} x {as it is, mitigated}.

    Mitigation is the reject option for `objective`: its threshold and margin are fitted on the answers to the
    validation split, those of the defended model where there is a defence, never on scored items, and never on
    attacked ones. `worse` counts the group metrics that are farther from parity after it, and `details.worse` names
    the condition and the metric of each. AUC after mitigation orders items by their distance from their own side's cut.

    Where the competition declares a rule by which items become one decision, all figures are of these decisions.
    """
    chosen = plan(attack, norm, eps, parameters)
    missing = ctx.missing((chosen.info.requires,)) or _lacking(ctx, attribute)
    if missing:
        return {column.key: undefined(missing, state="not_applicable") for column in _COLUMNS}
    if ctx.n == 0:
        return {column.key: undefined("the split has no items", n=0) for column in _COLUMNS}
    eight = _Eight(
        ctx, attribute, chosen, target(ctx, items), objective, push, (repeats, batch), (check_items, check_queries)
    )
    eight.fill(None, None, ("clean", "attacked"))
    if defence is not None or defence_parameters:
        eight.fill(defence, defence_parameters, ("defended", "attacked_defended"))
    return eight.results()


def _lacking(ctx: MetricContext, attribute: str) -> str:
    if attribute_values(ctx, attribute) is None:
        return "the data split has no such attribute"
    if ctx.validation is None or ctx.validation.probabilities is None or ctx.validation.inputs is None:
        return "the validation split has no probabilities, or no inputs"
    return ""


@dataclass
class _Eight:
    """The conditions as they come: figures by condition, before and after, and what was fitted."""

    ctx: MetricContext
    attribute: str
    plan: Plan
    plain: Target
    objective: Quartet
    push: bool
    timing: tuple[int, int]
    checks: tuple[int, int]
    before: dict[str, dict[str, MetricValue]] = field(default_factory=dict)
    after: dict[str, dict[str, MetricValue]] = field(default_factory=dict)
    other: dict[str, MetricValue] = field(default_factory=dict)
    rules: dict[str, JsonValue] = field(default_factory=dict)
    compared: set[str] = field(default_factory=set)

    def fill(self, defence: str | None, parameters: dict[str, JsonValue] | None, names: tuple[str, str]) -> None:
        """One pipeline, clean and attacked, before and after the rule that is fitted on its clean answers."""
        ctx, plan = self.ctx, self.plan
        aim = guarded(ctx, self.plain, defence, parameters)
        ctx.progress(f"{names[1]}: {plan.info.name}", 0.0 if defence is None else 0.5)
        rule = fitted(self._validation(None if defence is None else aim.model), self.attribute, self.objective)
        self.rules[names[0]] = asdict(rule) if isinstance(rule, Point) else {"reason": rule.reason}
        attacked = attack_target(ctx, aim, plan)
        after, answers = attacked.inputs(aim.x, plan.eps), attacked.answers(plan.eps)
        if self.push:
            after, answers = pushed(aim, plan, attacked)
        for name, x, said in zip(names, (aim.x, after), (attacked.clean, answers), strict=True):
            part = answered(ctx, aim.chosen, said)
            self._add(name, decided(part) or part, rule)
            self.other[f"{name}_latency"] = latency(
                ctx, aim.model.predict, x, repeats=self.timing[0], batch=self.timing[1]
            )
        items, queries = self.checks
        self.before[names[1]]["balanced_accuracy"].details.update(
            plan_details(ctx, plan, attacked), **counts_of(attacked, plan.eps), defence=defence,
            defence_parameters=parameters,
            validity=validity(ctx, aim, [(plan, attacked)], items=items, queries=queries),
        )  # fmt: skip

    def _validation(self, model: Model | None) -> MetricContext:
        """What the rule is fitted on; with a model its answers take the place of the submission's own."""
        found = self.ctx.validation
        if found is None or found.inputs is None:
            raise RuntimeError("checked before: there is a validation split with inputs")
        if model is not None:
            said = probabilities(model, found.inputs)
            found = replace(found, probabilities=said, predictions=said.argmax(axis=1).astype(np.int64))
        rule = self.ctx.aggregate
        return found if rule is None else aggregate(found, rule)

    def _add(self, name: str, part: MetricContext, rule: Point | MetricValue) -> None:
        """All figures of one condition, before and after."""
        self.before[name] = self._figures(part, name)
        over = laid_over(part, self.attribute, rule) if isinstance(rule, Point) else rule
        if isinstance(over, MetricValue):
            self.after[name] = dict.fromkeys(_FIGURES, over)
            self.other[f"{name}_cost"] = over
            return
        self.compared.add(name)
        self.after[name] = self._figures(over, f"{name}.mitigated")
        pair = [row[name]["balanced_accuracy"].value for row in (self.before, self.after)]
        self.other[f"{name}_cost"] = lost(part, over, less(pair[0], pair[1]))

    def _figures(self, part: MetricContext, name: str) -> dict[str, MetricValue]:
        four = quartet_of(part, self.attribute, "")
        return measured(part, name) | {key.removeprefix("_"): value for key, value in four.items()}

    def results(self) -> dict[str, MetricValue]:
        """Every column; those of a defence that is not named are not applicable."""
        out = {f"{name}_{key}": value for name, row in self.before.items() for key, value in row.items()}
        out |= {f"{name}_mitigated_{key}": value for name, row in self.after.items() for key, value in row.items()}
        made = worse(self.before, {name: row for name, row in self.after.items() if name in self.compared})
        rule = self.ctx.aggregate
        made.details.update(
            attribute=self.attribute, objective=self.objective, rules=self.rules,
            of="items" if rule is None else f"each {rule.by}, by the {rule.rule}",
        )  # fmt: skip
        out |= self.other | {"worse": made}
        absent = undefined("the metric names no defence", state="not_applicable")
        return {column.key: out.get(column.key, absent) for column in _COLUMNS}
