"""Number of parameters."""

from __future__ import annotations

from runners.context import MetricContext
from runners.metrics.efficiency.facts import fact
from runners.registry import MetricValue, metric
from runners.statistics.wording import COUNT_INTERVAL


@metric(
    "efficiency.parameters",
    title="Parameters",
    direction="minimise",
    range=(0.0, None),
    reference="Numbers in the initialisers of the ONNX file",
    formula="numbers in the initialisers of the ONNX file",
    interval=COUNT_INTERVAL,
    limits="What is learned and what is constant is not told apart, and a parameter that is used often counts once. "
    "Quantised numbers count as much as floats: read the size.",
)
def parameters(ctx: MetricContext) -> MetricValue:
    """Numbers that an ONNX file holds, those that normalisation layers remember included; indices and shapes are none.

    Not applicable to code and containers, which nobody can look into.
    """
    return fact(ctx, lambda facts: facts.parameters, "only the file of a `model` submission can be looked into")
