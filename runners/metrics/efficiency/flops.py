"""Floating point operations."""

from __future__ import annotations

from runners.context import MetricContext
from runners.metrics.efficiency.facts import fact
from runners.registry import MetricValue, metric
from runners.statistics.wording import COUNT_INTERVAL


@metric(
    "efficiency.flops",
    title="Operations of one item",
    direction="minimise",
    range=(0.0, None),
    unit="FLOP",
    reference="Two for each multiply-add of convolutions, matrix products, attention and recurrent layers of the graph",
    formula="FLOPs = 2 × multiply-adds of convolutions, matrix products, attention and recurrent layers of the "
    "graph, for one item",
    interval=COUNT_INTERVAL,
    limits="Counters that print multiply-adds as FLOPs show half as many. Activations, pooling and normalisation "
    "count nothing. It is no time: memory traffic may rule that.",
)
def flops(ctx: MetricContext) -> MetricValue:
    """Floating point operations that answering one item takes: 2 for each multiply-add, counted in the ONNX graph.

    Other counters print multiply-adds, half as many, under the same name. Activations, pooling and normalisation count
    nothing. Not applicable, and the operator named, where the graph has one that is not counted; a count that passes
    over what it does not know would be too low without anybody noticing.
    """
    reason = "" if ctx.facts is None else ctx.facts.uncounted
    return fact(ctx, lambda facts: facts.flops, reason or "the operations of this submission cannot be counted")
