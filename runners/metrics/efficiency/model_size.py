"""Size of a submission."""

from __future__ import annotations

from runners.context import MetricContext
from runners.metrics.efficiency.facts import fact
from runners.registry import MetricValue, metric
from runners.statistics.wording import COUNT_INTERVAL


@metric(
    "efficiency.model_size",
    title="Size as submitted",
    direction="minimise",
    range=(0.0, None),
    unit="B",
    reference="Bytes of the file, the zip, or the image's archive",
    formula="bytes of the file, the zip or the image archive",
    interval=COUNT_INTERVAL,
    limits="Not comparable between kinds of submission: an image holds its libraries. Compression changes it and "
    "not the model.",
)
def model_size(ctx: MetricContext) -> MetricValue:
    """Bytes of what was submitted: an ONNX file, a zip of code, or the archive of an image.

    Sizes of different kinds of submission are not comparable: an image holds its libraries. Not applicable for an
    image that was pushed to a registry, where layers are shared.
    """
    return fact(
        ctx,
        lambda facts: facts.image_bytes if facts.model_bytes is None else facts.model_bytes,
        "the image was pushed to a registry, where layers are shared: it has no size of its own",
    )
