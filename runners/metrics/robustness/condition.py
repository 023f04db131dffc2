"""One condition of an evaluation (clean or attacked, defended or not), and what comparing conditions says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from pydantic import JsonValue

from runners.aggregation import aggregate
from runners.attacks.geometry import Floats, Inputs, Ints
from runners.context import MetricContext
from runners.metrics.performance.balanced_accuracy import balanced_accuracy
from runners.metrics.performance.counts import answers, distribution
from runners.metrics.performance.roc_auc import roc_auc
from runners.metrics.performance.shares import share_interval
from runners.metrics.robustness.paired import auc_change, balanced_accuracy_change, share_change
from runners.registry import MetricValue, undefined
from runners.statistics.intervals import quantile_interval


@dataclass(frozen=True)
class Figures:
    """The four numbers of a condition, as the field prints them. Shares in [0, 1], latency in milliseconds an item.

    `positive_rate` is the share of items called positive; None where a task has no positive class.
    """

    balanced_accuracy: float | None
    auc: float | None
    positive_rate: float | None = None
    latency: float | None = None

    @property
    def one_class(self) -> bool:
        """Whether it gives every item the same one of two classes."""
        return self.positive_rate in (0.0, 1.0)

    @property
    def misleading(self) -> bool:
        """Chance level as a decision, though its scores still rank: another threshold would do."""
        return self.balanced_accuracy == 0.5 and self.auc is not None and self.auc > 0.5


def less(a: float | None, b: float | None) -> float | None:
    """a - b, or None where either does not exist."""
    return None if a is None or b is None else a - b


#: Each change: the condition after and the one before.
PAIRS = {
    "attack": ("attacked", "clean"),
    "defence": ("defended", "clean"),
    "left": ("attacked_defended", "clean"),
    "gain": ("attacked_defended", "attacked"),
}


def deltas(conditions: Mapping[str, Figures]) -> dict[str, float | None]:
    """What attack and defence change, from `clean`, `attacked` and, where there are, `defended`, `attacked_defended`.

    `attack_*`: attacked less clean, undefended. `defence_*`: defended less undefended, clean: what the defence costs
    while nobody attacks. `left_*`: attacked behind the defence less clean without it: what is lost in the end.
    `gain_*`: what the defence brings back under attack.
    """
    out: dict[str, float | None] = {}
    for name, (after, before) in PAIRS.items():
        if after in conditions and before in conditions:
            a, b = conditions[after], conditions[before]
            out[f"{name}_balanced_accuracy"] = less(a.balanced_accuracy, b.balanced_accuracy)
            out[f"{name}_auc"] = less(a.auc, b.auc)
            out[f"{name}_positive_rate"] = less(a.positive_rate, b.positive_rate)
            out[f"{name}_latency"] = less(a.latency, b.latency)
    return out


def warning(figures: Figures) -> str:
    """What a reader of a condition must be told, or the empty string."""
    if not figures.one_class:
        return ""
    text = "It gives every item the same class, so its balanced accuracy is 0.5 exactly."
    if figures.misleading:
        text += f" Its AUC of {figures.auc:.3f} says that the scores still rank the items: another threshold would do."
    return text


def measured(part: MetricContext, name: str) -> dict[str, MetricValue]:
    """Balanced accuracy, AUC and positive rate of a context's answers, with intervals. `name` names the draws."""
    values = {"balanced_accuracy": balanced_accuracy(part), "auc": roc_auc(part)}
    if part.task.kind != "binary":
        values["positive_rate"] = undefined("the task has no positive class", state="not_applicable")
        return values
    positive = answers(part) == part.task.positive_index
    low, high = share_interval(positive, part.clusters, rng=part.rng(f"robustness.positive_rate.{name}"))
    values["positive_rate"] = MetricValue(float(positive.mean()), low=low, high=high, n=positive.size)
    return values


def answered(ctx: MetricContext, chosen: Ints, probabilities: Floats) -> MetricContext:
    """The context of the items `chosen`, as if the submission had given these answers."""
    return replace(
        ctx, ids=ctx.ids[chosen], labels=ctx.labels[chosen], probabilities=probabilities,
        predictions=probabilities.argmax(axis=1).astype(np.int64),
        inputs=None if ctx.inputs is None else ctx.inputs[chosen],
        attributes={name: values[chosen] for name, values in ctx.attributes.items()},
        clusters=None if ctx.clusters is None else ctx.clusters[chosen],
    )  # fmt: skip


def decided(part: MetricContext) -> MetricContext | None:
    """The same with one row for each cluster, by the rule of the competition; None where it declares none.

    Each item is answered, and attacked, by itself; what is combined are the probabilities.
    """
    return None if part.aggregate is None else aggregate(replace(part, validation=None), part.aggregate)


def clustered_details(part: MetricContext) -> dict[str, JsonValue]:
    """The rule by which the items of a context become decisions, and how many items each of them has."""
    if part.aggregate is None or part.clusters is None:
        raise RuntimeError("only a context with a rule and clusters has decisions")
    _, sizes = np.unique(part.clusters.astype(str), return_counts=True)
    return {
        "by": part.aggregate.by, "rule": part.aggregate.rule, "items": part.n,
        "items_per_cluster": {"least": int(sizes.min()), "median": float(np.median(sizes)), "most": int(sizes.max())},
    }  # fmt: skip


def changes(parts: Mapping[str, MetricContext], numbers: Mapping[str, Figures]) -> dict[str, MetricValue]:
    """`deltas` as values with intervals over the same items, by `<change>_delta_<figure>`; none for latency.

    `parts`: the context of each condition, all of the same items.
    """
    intervals = {}
    for name, (after, before) in PAIRS.items():
        if after in parts and before in parts:
            part, now, was = parts[after], distribution(parts[after]), distribution(parts[before])
            intervals[f"{name}_balanced_accuracy"] = balanced_accuracy_change(part, now, was)
            intervals[f"{name}_auc"] = auc_change(part, now, was)
            positive = part.task.positive_index
            intervals[f"{name}_positive_rate"] = share_change(
                part, answers(part) == positive, answers(parts[before]) == positive
            )
    out = {}
    for key, change in deltas(numbers).items():
        kind, _, figure = key.partition("_")
        low, high = intervals.get(key, (None, None))
        if change is None:
            out[f"{kind}_delta_{figure}"] = undefined("one of the two conditions has no value")
        else:
            out[f"{kind}_delta_{figure}"] = MetricValue(change, low=low, high=high, n=parts["clean"].n)
    return out


def figures(values: Mapping[str, MetricValue]) -> Figures:
    """The bare numbers of measured values."""
    return Figures(**{key: values[key].value for key in values})


def latency(
    ctx: MetricContext, predict: Callable[[Inputs], Floats], x: Inputs, *, repeats: int, batch: int
) -> MetricValue:
    """Median milliseconds an item of `repeats` questions of `batch` items; one before them is not timed."""
    rng = ctx.rng("robustness.latency")
    seconds = []
    for repeat in range(repeats + 1):
        picks = rng.choice(x.shape[0], size=min(batch, x.shape[0]), replace=False)
        question = np.ascontiguousarray(x[picks])
        started = ctx.clock()
        predict(question)
        if repeat:
            seconds.append((ctx.clock() - started) * 1000 / picks.size)
    value, low, high = quantile_interval(seconds, 0.5)
    closed = low is not None and high is not None
    details: dict[str, JsonValue] = {"repeats": repeats, "batch_size": min(batch, x.shape[0])}
    return MetricValue(
        value, low=low if closed else None, high=high if closed else None, n=repeats, unit="ms/item", details=details
    )
