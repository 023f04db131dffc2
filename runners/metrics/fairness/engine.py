"""Which library computes the value: ours, or AIF360 through its adapter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from runners.metrics.fairness.groups import Comparison, Quartet


def exact_value(metric: Quartet, engine: Literal["native", "aif360"]) -> Callable[[Comparison], float] | None:
    """AIF360's value of a comparison, or None for our own formula. AIF360 is imported only when asked for."""
    if engine == "native":
        return None
    from runners.adapters.aif360 import group_metric

    return lambda c: group_metric(metric, c.counts)
