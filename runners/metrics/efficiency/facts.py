"""One number that the judge knows of a submission, as a metric's value."""

from __future__ import annotations

from collections.abc import Callable

from runners.context import MetricContext, SubmissionFacts
from runners.registry import MetricValue, undefined


def fact(ctx: MetricContext, read: Callable[[SubmissionFacts], int | None], reason: str) -> MetricValue:
    """The number, or `not_applicable`: for `reason`, or because the submission is a file of answers."""
    if ctx.facts is None:
        return undefined("nothing was run: the submission is a file of answers", state="not_applicable")
    value = read(ctx.facts)
    return undefined(reason, state="not_applicable") if value is None else MetricValue(float(value))
