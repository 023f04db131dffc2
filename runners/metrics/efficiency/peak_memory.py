"""Peak memory."""

from __future__ import annotations

from runners.context import MetricContext
from runners.metrics.efficiency.facts import fact
from runners.registry import MetricValue, metric


@metric(
    "efficiency.peak_memory",
    title="Peak memory",
    direction="minimise",
    range=(0.0, None),
    unit="B",
    reference="The kernel's own count for the sandbox (memory.peak of its control group)",
)
def peak_memory(ctx: MetricContext) -> MetricValue:
    """Most bytes the sandbox held at once, from its start until every item of the split was answered.

    Libraries, buffers and files kept in memory count as well; what later metrics ask of the submission does not. Not
    applicable where the node's engine cannot tell.
    """
    return fact(ctx, lambda facts: facts.peak_memory, "the engine of this node cannot tell the peak of a sandbox")
