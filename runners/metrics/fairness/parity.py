"""Metrics on who is selected: statistical parity difference and disparate impact."""

from __future__ import annotations

from typing import Literal

from runners.context import IntArray, MetricContext
from runners.metrics.fairness.engine import exact_value
from runners.metrics.fairness.groups import evaluate
from runners.registry import MetricReturn, metric
from runners.statistics.intervals import Interval, mover, mover_ratio


def _selected(counts: IntArray) -> tuple[tuple[int, int], tuple[int, int]]:
    """(selected, all) of the unprivileged and of the privileged."""
    u, p = counts
    return (int(u[:, 1].sum()), int(u.sum())), (int(p[:, 1].sum()), int(p.sum()))


def _spd_when_flat(counts: IntArray) -> Interval:
    u, p = _selected(counts)
    return mover([1, -1], [u[0], p[0]], [u[1], p[1]])


def _di_when_flat(counts: IntArray) -> Interval:
    u, p = _selected(counts)
    return mover_ratio((u[0], p[0]), (u[1], p[1]))


@metric(
    "fairness.statistical_parity_difference",
    title="Statistical parity difference",
    direction="zero",
    range=(-1.0, 1.0),
    needs=("predictions", "attributes", "favourable"),
    results=("[attribute]",),
    reference="Dwork et al. 2012; sign as in AIF360 (Bellamy et al. 2019)",
)
def statistical_parity_difference(
    ctx: MetricContext, *, attribute: str, engine: Literal["native", "aif360"] = "native"
) -> MetricReturn:
    """P(favourable | unprivileged) - P(favourable | privileged): 0 is parity, below 0 the privileged gain."""
    exact = exact_value("spd", engine)
    return evaluate(ctx, attribute, "spd", exact=exact, when_flat=_spd_when_flat)


@metric(
    "fairness.disparate_impact",
    title="Disparate impact",
    direction="one",
    range=(0.0, None),
    needs=("predictions", "attributes", "favourable"),
    results=("[attribute]",),
    reference="Feldman et al. 2015; the four-fifths rule asks for 0.8 to 1.25; as in AIF360",
)
def disparate_impact(
    ctx: MetricContext, *, attribute: str, engine: Literal["native", "aif360"] = "native"
) -> MetricReturn:
    """P(favourable | unprivileged) / P(favourable | privileged): 1 is parity.

    Undefined where no privileged item is selected.
    """
    exact = exact_value("di", engine)
    return evaluate(ctx, attribute, "di", exact=exact, when_flat=_di_when_flat)
