"""Items of one cluster become one decision: the frames of a video, the visits of a person."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from runners.attributes import Attribute
from runners.context import FloatArray, IntArray, MetricContext, Names
from runners.errors import ScorerFault
from runners.spec.models import AggregateSpec

_SHOWN = 5


def aggregate(ctx: MetricContext, rule: AggregateSpec) -> MetricContext:
    """A context with one row for each cluster: what performance and fairness metrics see.

    Probabilities are combined class by class with the rule and scaled to sum to one; of two classes
    only the positive one's is combined. Without probabilities each item votes for its class, and the
    votes are combined the same way. An attribute that differs within a cluster is unknown.

    Raises:
        ScorerFault: the split has no clusters, or items of one cluster have different labels.
    """
    if ctx.clusters is None:
        raise ScorerFault(
            f"The competition aggregates by {rule.by!r}, and the data split has no clusters.",
            hint="Add a clusters file to the split, or remove `aggregate`.",
        )
    names, codes = np.unique(ctx.clusters.astype(str), return_inverse=True)
    labels = _labels(ctx, names, codes)
    votes = ctx.probabilities
    if votes is None and ctx.predictions is not None:
        votes = np.eye(len(ctx.task.classes))[ctx.predictions]
    combined = None if votes is None else _combine(ctx, votes, codes, names.size, rule)
    return replace(
        ctx,
        ids=names.astype(object),
        labels=labels,
        predictions=None if combined is None else combined.argmax(axis=1).astype(np.int64),
        probabilities=None if ctx.probabilities is None else combined,
        attributes={name: _attribute(values, codes, names.size) for name, values in ctx.attributes.items()},
        clusters=None,
        aggregate=None,
        validation=None if ctx.validation is None else aggregate(ctx.validation, rule),
        inputs=None,
        model=None,
    )


def _labels(ctx: MetricContext, names: Names, codes: IntArray) -> IntArray:
    first = np.full(names.size, -1, dtype=np.int64)
    first[codes[::-1]] = ctx.labels[::-1]
    differ = np.unique(codes[first[codes] != ctx.labels])
    if differ.size:
        shown = ", ".join(str(names[code]) for code in differ[:_SHOWN])
        raise ScorerFault(
            f"{differ.size} clusters have items with different labels, for example {shown}.",
            hint="Items that share a cluster are one decision: give them one label.",
        )
    return first


def _combine(ctx: MetricContext, votes: FloatArray, codes: IntArray, clusters: int, rule: AggregateSpec) -> FloatArray:
    """Combined probabilities, (clusters, classes), rows sum to one."""
    if ctx.task.kind == "binary":
        positive = ctx.task.positive_index
        share = _reduce(votes[:, [positive]], codes, clusters, rule)[:, 0]
        out = np.empty((clusters, 2))
        out[:, positive], out[:, 1 - positive] = share, 1 - share
        return out
    combined = _reduce(votes, codes, clusters, rule)
    total = combined.sum(axis=1, keepdims=True)
    # Medians may all be zero; then nothing is preferred.
    even = np.full_like(combined, 1 / combined.shape[1])
    return np.asarray(np.divide(combined, total, out=even, where=total > 0), dtype=np.float64)


def _reduce(values: FloatArray, codes: IntArray, clusters: int, rule: AggregateSpec) -> FloatArray:
    order = np.argsort(codes, kind="stable")
    bounds = np.searchsorted(codes[order], np.arange(clusters))
    if rule.rule == "mean":
        sizes = np.bincount(codes, minlength=clusters)[:, None]
        return np.asarray(np.add.reduceat(values[order], bounds, axis=0) / sizes, dtype=np.float64)
    if rule.rule == "max":
        return np.asarray(np.maximum.reduceat(values[order], bounds, axis=0), dtype=np.float64)
    return np.array([np.median(part, axis=0) for part in np.split(values[order], bounds[1:])])


def _attribute(values: Attribute, codes: IntArray, clusters: int) -> Attribute:
    """The value that all items of a cluster share; unknown where they differ."""
    shared = np.full(clusters, -1, dtype=values.codes.dtype)
    shared[codes] = values.codes
    shared[codes[shared[codes] != values.codes]] = -1
    return Attribute(values.names, shared)
