"""All metrics of a run, cheap ones first, each with the context it is meant to see."""

from __future__ import annotations

from dataclasses import replace

from runners.aggregation import aggregate
from runners.context import MetricContext
from runners.contract import MetricResult, RunSpec
from runners.errors import ScorerFault
from runners.judge.recorder import Recorder
from runners.measure import measure
from runners.registry import metrics


def measure_all(spec: RunSpec, ctx: MetricContext, record: Recorder, results: list[MetricResult]) -> None:
    """Fill `results` in place, so that what was measured stays where a later metric ends the run.

    Metrics that only read answers come first; those that ask the model again follow. At the end the
    results are in the order of the competition. Metrics that read answers see one row for each
    cluster where the competition aggregates; those that ask the model see the items, and the rule.

    Raises:
        ScorerFault: wrong settings, or two metrics with the same result key.
        ParticipantFault: the model failed while it was asked.
    """
    known = metrics()
    asking = [use.use in known and "queries" in known[use.use].needs for use in spec.metrics]
    decisions = aggregate(ctx, spec.aggregate) if spec.aggregate is not None else ctx
    items = replace(ctx, aggregate=spec.aggregate)
    position: dict[str, int] = {}
    try:
        for index in sorted(range(len(spec.metrics)), key=lambda i: asking[i]):
            use = spec.metrics[index]
            with record.stage(f"metric:{use.prefix}"):
                for result in measure(use.use, use.prefix, use.parameters, items if asking[index] else decisions):
                    if result.key in position:
                        raise ScorerFault(
                            f"Two metrics of the competition give the result {result.key!r}.",
                            hint="Name one of them with `as`.",
                        )
                    position[result.key] = index
                    results.append(result)
    finally:
        results.sort(key=lambda result: position[result.key])
