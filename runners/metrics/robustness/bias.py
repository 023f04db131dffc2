"""Robustness bias: whether an attack succeeds more easily on one group of people than on another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, JsonValue

from runners.attacks.geometry import Norm
from runners.context import MetricContext
from runners.metrics.fairness.groups import attribute_values
from runners.metrics.robustness.attack import plan_details
from runners.metrics.robustness.bias_table import Split, area_gap, difference, group_rate, quartet, ratio, split
from runners.metrics.robustness.target import Plan, attack_target, plan, plan_of, target
from runners.metrics.robustness.validity import validity, validity_cost
from runners.registry import Asks, Column, Cost, MetricReturn, MetricValue, metric, undefined

_QUARTET = {
    "spd": ("Statistical parity difference", (-1.0, 1.0)),
    "di": ("Disparate impact", (0.0, None)),
    "eod": ("Equal opportunity difference", (-1.0, 1.0)),
    "aod": ("Average odds difference", (-1.0, 1.0)),
}
_WORDS = {
    "clean": "clean", "attacked": "under attack", "defended": "behind the defence",
    "attacked_defended": "under attack behind the defence",
}  # fmt: skip
_COLUMNS = (
    Column("[attribute]", title="Robustness bias", direction="zero", range=(-1.0, 1.0)),
    Column("[attribute=group]", title="Attack success rate", direction="minimise", range=(0.0, 1.0)),
    Column("ratio", title="Robustness bias, ratio", direction="one", range=(0.0, None)),
    Column("area", title="Robustness bias over distances", direction="zero", range=(-1.0, 1.0)),
    Column("defended_difference", title="Robustness bias behind the defence", direction="zero", range=(-1.0, 1.0)),
    Column("defended_ratio", title="Robustness bias behind the defence, ratio", direction="one", range=(0.0, None)),
    Column("defended_area", title="Robustness bias over distances behind the defence", direction="zero",
           range=(-1.0, 1.0)),
    *(
        Column(f"{condition}_{key}", f"{title} ({words})", direction="one" if key == "di" else "zero", range=limits)
        for condition, words in _WORDS.items()
        for key, (title, limits) in _QUARTET.items()
    ),
)  # fmt: skip
_OWN = frozenset(
    {"attribute", "attack", "eps", "norm", "items", "defence", "defence_parameters", "check_items", "check_queries"}
)


def _cost(parameters: Mapping[str, Any], items: int) -> Cost:
    attack = plan_of(parameters, _OWN)
    chosen = min(items, parameters["items"] or items)
    pipelines = 1 if parameters["defence"] is None else 2
    each = (Asks(2) + attack.asks) * chosen + validity_cost(parameters, chosen, [attack])
    return Cost.of(each * pipelines, least=chosen * pipelines, access=attack.info.requires)


@metric(
    "robustness.bias",
    title="Robustness bias",
    direction="zero",
    range=(-1.0, 1.0),
    needs=("queries", "attributes"),
    results=_COLUMNS,
    reference="Nanda et al., FAccT 2021, Fairness Through Robustness; quartet: Hardt et al. 2016, signs as in AIF360",
    formula="bias = success rate of the attack on the unprivileged − that on the privileged\n"
    "area: the same of ∫₀^eps success(d) dd / eps",
    interval="Percentile bootstrap of the count table or of whole clusters, of the area over items; MOVER where "
    "every rate is 0 or 1. Groups: Wilson.",
    limits="Success counts among items that were right before: a group of which only the easy items are right looks "
    "more robust. A weak attack finds little bias: read `details.validity`. `area` means something only for attacks "
    "that draw examples near; of `fgsm`, `square`, `universal` and `autoattack` it does not.",
    queries=_cost,
)
def bias(
    ctx: MetricContext,
    *,
    attribute: str,
    attack: str,
    eps: Annotated[float, Field(gt=0)],
    norm: Norm = "linf",
    items: Annotated[int, Field(ge=1)] | None = None,
    defence: str | None = None,
    defence_parameters: dict[str, JsonValue] | None = None,
    check_items: Annotated[int, Field(ge=0, le=10_000)] = 50,
    check_queries: Annotated[int, Field(ge=100, le=100_000)] = 400,
    **parameters: JsonValue,
) -> MetricReturn:
    """Success rate of the attack on the unprivileged less that on the privileged.

    Above 0 the unprivileged are fooled more easily.

    Success counts among items that were right before. `ratio` divides the two. `area` is the difference of the areas
    under success against distance on [0, eps], over eps: it sees a group whose examples are nearer though equally
    many. `[attribute=group]` is the rate of each value of the attribute. SPD, DI, EOD and AOD are computed anew on
    the answers under attack, and with `defence` behind it (the attack asks what is defended); they need a favourable
    class. Groups below the attribute's `minimum` of attacked items give `too_few`.

    Intervals are bootstraps over items, or clusters where items share one.
    """
    chosen = plan(attack, norm, eps, parameters)
    found = attribute_values(ctx, attribute)
    missing = ctx.missing((chosen.info.requires,)) or ("" if found else "the data split has no such attribute")
    if found is None or missing or ctx.n == 0:
        absent = undefined(missing or "the split has no items", state="not_applicable" if missing else "undefined")
        keys = [column.key for column in _COLUMNS if column.key != "[attribute=group]"]
        return {f"[{attribute}]" if key == "[attribute]" else key: absent for key in keys}
    out = _pipeline(ctx, attribute, chosen, items, None, None, (check_items, check_queries))
    if defence is not None or defence_parameters:
        out |= _pipeline(ctx, attribute, chosen, items, defence, defence_parameters, (check_items, check_queries))
    no_defence = undefined("the metric names no defence", state="not_applicable")
    fixed = [column.key for column in _COLUMNS if not column.key.startswith("[")]
    return {**out, **{key: no_defence for key in fixed if key not in out}}


def _pipeline(
    ctx: MetricContext,
    attribute: str,
    chosen: Plan,
    items: int | None,
    defence: str | None,
    parameters: dict[str, JsonValue] | None,
    checks: tuple[int, int],
) -> dict[str, MetricValue]:
    """All results of the undefended model, or of the defended one."""
    aim = target(ctx, items, defence, parameters)
    ctx.progress(f"{chosen.info.name}: {attribute}", 0.0 if defence is None else 0.5)
    attacked = attack_target(ctx, aim, chosen)
    table = split(ctx, aim, attacked, attribute, chosen.eps)
    details: dict[str, JsonValue] = {
        **plan_details(ctx, chosen, attacked), **table.details(), "defence": defence, "defence_parameters": parameters,
        "validity": validity(ctx, aim, [(chosen, attacked)], items=checks[0], queries=checks[1]),
    }  # fmt: skip
    main = difference(ctx, table)
    main.details.update(details)
    before, after = attacked.clean, attacked.answers(chosen.eps)
    names = ("clean", "attacked") if defence is None else ("defended", "attacked_defended")
    out = quartet(ctx, aim.chosen, before, attribute, names[0]) | quartet(ctx, aim.chosen, after, attribute, names[1])
    if defence is not None:
        return {
            "defended_difference": main, "defended_ratio": ratio(ctx, table), "defended_area": area_gap(ctx, table),
            **out,
        }  # fmt: skip
    return {
        f"[{attribute}]": main,
        **_groups(ctx, table),
        "ratio": ratio(ctx, table),
        "area": area_gap(ctx, table),
        **out,
    }


def _groups(ctx: MetricContext, table: Split) -> dict[str, MetricValue]:
    return {f"[{table.attribute}={group}]": group_rate(ctx, table, group) for group in table.groups}
