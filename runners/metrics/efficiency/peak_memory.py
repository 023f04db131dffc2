"""Peak memory."""

from __future__ import annotations

from runners.context import MetricContext
from runners.metrics.efficiency.facts import fact
from runners.registry import MetricValue, metric
from runners.statistics.wording import COUNT_INTERVAL


@metric(
    "efficiency.peak_memory",
    title="Peak memory",
    direction="minimise",
    range=(0.0, None),
    unit="B",
    reference="The kernel's own count for the sandbox (memory.peak of its control group)",
    formula="max over time of the bytes that the sandbox holds",
    interval=COUNT_INTERVAL,
    limits="Libraries, buffers and cached files count as well as the model, so small models differ little: bare "
    "Python is 7 MiB. A file written to /tmp counts, twice while it is also in a buffer. Under gVisor its own kernel "
    "counts too, about 11 MiB. It holds for the batch sizes that the judge asked with.",
)
def peak_memory(ctx: MetricContext) -> MetricValue:
    """Most bytes the sandbox held at once, from its start until every item of the split was answered.

    Libraries, buffers and files kept in memory count as well; what later metrics ask of the submission does not. Not
    applicable where the kernel does not count it for the node's engine: without control groups (bubblewrap or Slurm as
    an ordinary user), whose looks from outside miss what was short; on Kubernetes; with a Docker daemon elsewhere.
    """
    return fact(
        ctx, lambda facts: facts.peak_memory, "the kernel counts no peak of a sandbox for the engine of this node"
    )
