"""Rates of each value of an attribute: one metric for each line of a table."""

from __future__ import annotations

from collections.abc import Callable

from runners.attributes import Attribute
from runners.context import IntArray, MetricContext
from runners.contract import Direction
from runners.metrics.fairness.evaluation import About, outcome_of
from runners.metrics.fairness.groups import attribute_values, rates_json
from runners.metrics.fairness.shares import SHARES, Share
from runners.metrics.fairness.table import group_table
from runners.metrics.fairness.wording import GROUP_INTERVAL, GROUP_LIMITS, RATE_LIMITS, written
from runners.metrics.performance.counts import answers
from runners.metrics.performance.shares import share_interval
from runners.registry import MetricReturn, MetricValue, metric, undefined
from runners.spec.models import AttributeSpec
from runners.statistics.intervals import Interval, wilson

_REFERENCE = "Angwin et al., ProPublica 2016 (COMPAS); Chouldechova 2017; interval: Wilson, over clusters a bootstrap"
#: Short names that the random draws of the two oldest have.
_PURPOSE = {"false_positive_rate": "fpr", "false_negative_rate": "fnr"}


def by_group(ctx: MetricContext, attribute: str, name: str, about: About) -> MetricReturn:
    """A rate of each value of the attribute, about the outcome in question."""
    found = attribute_values(ctx, attribute)
    if found is None:
        return {f"[{attribute}]": undefined("the data split has no such attribute", state="not_applicable")}
    index = outcome_of(ctx, about)
    if isinstance(index, MetricValue):
        return {f"[{attribute}]": index}
    spec, values = found
    table = group_table(ctx, attribute, index)
    if not table.groups:
        return {f"[{attribute}]": undefined(f"no item has a known {attribute}", n=0)}
    out: dict[str, MetricValue] = {}
    for group, cells in zip(table.groups, table.counts, strict=True):
        value = _value(ctx, spec, values, attribute, group, cells, name, index)
        value.details.update(
            group=group, counts=cells.tolist(), unknown=table.unknown, **{about: ctx.task.classes[index]},
            **rates_json(cells),
        )  # fmt: skip
        out[f"[{attribute}={group}]"] = value
    return out


def _value(
    ctx: MetricContext, spec: AttributeSpec, values: Attribute, attribute: str, group: str, cells: IntArray,
    name: str, index: int,
) -> MetricValue:  # fmt: skip
    """The rate of one group, or why it has none."""
    share, size = SHARES[name], int(cells.sum())
    part, whole = (int(number) for number in share.counts(cells))
    if size < spec.minimum:
        reason = f"{group} has {size} items of the {spec.minimum} that {attribute} asks for"
        return undefined(reason, n=size, state="too_few")
    if whole == 0:
        return undefined(f"{group} {share.empty}", n=0)
    if ctx.clusters is None:
        interval: Interval = wilson(part, whole)
    else:
        purpose = f"fairness.{_PURPOSE.get(name, name)}.{attribute}.{group}"
        interval = _clustered(ctx, share, values, group, index, purpose)
    return MetricValue(part / whole, low=interval[0], high=interval[1], n=whole)


def _clustered(ctx: MetricContext, share: Share, values: Attribute, group: str, index: int, purpose: str) -> Interval:
    y, yhat = ctx.labels == index, answers(ctx) == index
    base = (values == group) & share.trials(y, yhat)
    clusters = None if ctx.clusters is None else ctx.clusters[base]
    return share_interval(share.hits(y, yhat)[base], clusters, rng=ctx.rng(purpose))


def _metric_of(name: str, about_default: About, summary: str) -> Callable[..., MetricReturn]:
    def rate(ctx: MetricContext, *, attribute: str, about: About = about_default) -> MetricReturn:
        return by_group(ctx, attribute, name, about)

    rate.__name__ = rate.__qualname__ = name
    rate.__doc__ = summary
    return rate


#: Name, direction, whether about the positive or the favourable outcome, and what it says of a group.
_TABLE: tuple[tuple[str, Direction, About, str], ...] = (
    ("false_positive_rate", "minimise", "positive",
     "Share of a group's negative items that are called positive, for each value of the attribute."),
    ("false_negative_rate", "minimise", "positive",
     "Share of a group's positive items that are called negative, for each value of the attribute."),
    ("true_positive_rate", "maximise", "positive",
     "Share of a group's positive items that are called positive, for each value of the attribute."),
    ("true_negative_rate", "maximise", "positive",
     "Share of a group's negative items that are called negative, for each value of the attribute."),
    ("positive_predictive_value", "maximise", "positive",
     "Share of a group's items called positive that are positive, for each value of the attribute."),
    ("negative_predictive_value", "maximise", "positive",
     "Share of a group's items called negative that are negative, for each value of the attribute."),
    ("false_discovery_rate", "minimise", "positive",
     "Share of a group's items called positive that are negative, for each value of the attribute."),
    ("false_omission_rate", "minimise", "positive",
     "Share of a group's items called negative that are positive, for each value of the attribute."),
    ("accuracy", "maximise", "positive",
     "Share of a group's items that are judged rightly, for each value of the attribute."),
    ("error_rate", "minimise", "positive",
     "Share of a group's items that are judged wrongly, for each value of the attribute."),
    ("base_rate", "none", "favourable",
     "Share of a group's items whose true outcome is the favourable one, for each value of the attribute."),
    ("selection_rate", "none", "favourable",
     "Share of a group's items predicted to have the favourable outcome, for each value of the attribute."),
)  # fmt: skip


def _register_all() -> None:
    for name, direction, about, summary in _TABLE:
        title = SHARES[name].title
        metric(
            f"fairness.{name}",
            title=f"{title[0].upper()}{title[1:]} by group",
            direction=direction,
            range=(0.0, 1.0),
            needs=("predictions", "attributes", "binary" if about == "positive" else "favourable"),
            results=("[attribute=group]",),
            reference=_REFERENCE,
            formula=f"{written(name)} of each group",
            interval=GROUP_INTERVAL,
            limits=f"{RATE_LIMITS[name]} {GROUP_LIMITS}",
        )(_metric_of(name, about, summary))


_register_all()
