"""Do the answers tell more about a person than is known without them?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field, JsonValue

from runners.context import IntArray, MetricContext
from runners.errors import ScorerFault
from runners.metrics.fairness.groups import attribute_values
from runners.metrics.fairness.table import encode
from runners.metrics.performance.counts import distribution
from runners.metrics.privacy.learner import learn, narrow
from runners.registry import Column, MetricReturn, MetricValue, metric, undefined
from runners.statistics.bootstrap import cluster_codes, group_sums
from runners.statistics.intervals import Interval, Z

FloatArray = npt.NDArray[np.float64]

COLUMNS = (
    Column("", title="Attribute inference (gain from the answers)"),
    Column("with_answers", title="Attribute inference with the answers", range=(0.0, 1.0)),
    Column("without_answers", title="Attribute inference without the model", direction="none", range=(0.0, 1.0)),
)
_TINY = 1e-12
_FOLDS = 5
#: More inputs than this are mixed down by a random projection.
_WIDEST = 256


@metric(
    "privacy.attribute_inference",
    title="Attribute inference",
    direction="minimise",
    range=(-1.0, 1.0),
    needs=("probabilities", "attributes"),
    results=COLUMNS,
    reference="Jayaraman and Evans 2022, Are Attribute Inference Attacks Just Imputation?; Fredrikson et al. 2014",
    formula="gain = balanced accuracy of guessing the attribute from what is known and the answers − the same from "
    "what is known alone",
    interval="Normal interval of the paired differences, over clusters of their sums; none where there is no spread.",
    limits="A lower bound: a stronger learner may guess more. What can be guessed from the other inputs and the "
    "label is imputation and no fault of the model, so the gain counts. Inputs that the judge does not have (a file "
    "of predictions) are not among what is known: `details.inputs_known`.",
)
def attribute_inference(
    ctx: MetricContext,
    *,
    attribute: str,
    hidden: tuple[str, ...] = (),
    label: bool = True,
    items: Annotated[int, Field(ge=100, le=100_000)] = 5000,
) -> MetricReturn:
    """Balanced accuracy of guessing an attribute with the answers, less that of guessing it without the model.

    One learner is trained twice: on what an attacker knows anyway (the inputs where they are at hand, and the true
    label if `label`), and on the same with the answers. Both are judged on items they have not seen (five folds). The
    gain is 0 where the answers add nothing, at most 1 - 1/k for k values; below 0 they only confuse. `hidden` names the
    inputs an attacker does not know, such as the attribute itself. Values with fewer items than the attribute's
    `minimum` are left out. `items` are drawn by the run's seed.
    """
    rng = ctx.rng(f"privacy.attribute_inference.{attribute}")
    found = _secrets(ctx, attribute, items, rng)
    if isinstance(found, MetricValue):
        return {column.key: found for column in COLUMNS}
    names, rows, secret, folds = found.names, found.rows, found.secret, found.folds
    known, answers = _known(ctx, rows, hidden, label, rng), _answers(ctx, rows)
    ctx.progress(f"attribute inference: {attribute}, without the model", 0.0)
    without = _guess(known, secret, folds, ctx.rng("privacy.attribute_inference.learner")) == secret
    ctx.progress(f"attribute inference: {attribute}, with the answers", 0.5)
    together = np.hstack([known, answers])
    informed = _guess(together, secret, folds, ctx.rng("privacy.attribute_inference.learner")) == secret
    details: dict[str, JsonValue] = {
        "values": [*names], "left_out": ctx.n - int(rows.size), "chance": 1 / len(names),
        "columns_known": int(known.shape[1]), "inputs_known": ctx.inputs is not None, "folds": _FOLDS,
    }  # fmt: skip
    cluster = None if ctx.clusters is None else cluster_codes(ctx.clusters[rows])
    changes = informed.astype(np.float64) - without
    return {
        "": _balanced(changes, secret, cluster, details, (-1.0, 1.0)),
        "with_answers": _balanced(informed.astype(np.float64), secret, cluster, {}, (0.0, 1.0)),
        "without_answers": _balanced(without.astype(np.float64), secret, cluster, {}, (0.0, 1.0)),
    }


@dataclass(frozen=True)
class _Secrets:
    """The items whose value is guessed: their `rows`, the index of their value in `names`, and their fold, (n,)."""

    names: tuple[str, ...]
    rows: IntArray
    secret: IntArray
    folds: IntArray


def _secrets(ctx: MetricContext, attribute: str, items: int, rng: np.random.Generator) -> _Secrets | MetricValue:
    found = attribute_values(ctx, attribute)
    if found is None:
        return undefined(f"the data split has no attribute {attribute}", state="not_applicable")
    spec, values = found
    names, codes = encode(values)
    sizes = np.bincount(codes[codes >= 0], minlength=len(names))
    least = max(spec.minimum, _FOLDS)
    kept = np.flatnonzero(sizes >= least)
    if kept.size < 2:
        reason = f"fewer than two values of {attribute} have {least} items"
        return undefined(reason, n=ctx.n, state="too_few")
    rows = np.flatnonzero(np.isin(codes, kept))
    if rows.size > items:
        rows = np.sort(rng.choice(rows, size=items, replace=False))
    secret = np.searchsorted(kept, codes[rows]).astype(np.int64)
    folds = _folds(ctx, rows, secret, rng)
    if folds is None:
        reason = "too few clusters, or too few items drawn: a fold would lack one of the values"
        return undefined(reason, n=int(rows.size), state="too_few")
    return _Secrets(tuple(names[k] for k in kept), rows, secret, folds)


def _folds(ctx: MetricContext, rows: IntArray, secret: IntArray, rng: np.random.Generator) -> IntArray | None:
    """Fold of each item, (n,); clusters stay whole. None where a fold's training items would lack a value."""
    codes = None if ctx.clusters is None else cluster_codes(ctx.clusters[rows])
    if codes is not None:
        folds = (rng.permutation(int(codes.max()) + 1) % _FOLDS)[codes]
    else:
        folds = np.empty(rows.size, dtype=np.int64)
        for value in np.unique(secret):
            index = rng.permutation(np.flatnonzero(secret == value))
            folds[index] = np.arange(index.size) % _FOLDS
    values = np.unique(secret).size
    whole = all(np.unique(secret[folds != fold]).size == values and (folds == fold).any() for fold in range(_FOLDS))
    return folds.astype(np.int64) if whole else None


def _known(
    ctx: MetricContext, rows: IntArray, hidden: tuple[str, ...], label: bool, rng: np.random.Generator
) -> FloatArray:
    """What is known without the model, (n, d); a column of ones where that is nothing."""
    parts = [np.ones((rows.size, 1))]
    features = ctx.input.features if ctx.input is not None else ()
    strange = [name for name in hidden if name not in features]
    if strange:
        raise ScorerFault(f"`hidden` names {strange[0]!r}, and the input has no such feature.")
    if ctx.inputs is not None:
        inputs = ctx.inputs[rows]
        if hidden:
            inputs = inputs[:, [i for i, name in enumerate(features) if name not in hidden]]
        parts.append(narrow(math.prod(inputs.shape[1:]), _WIDEST, rng)(inputs))
    if label:
        parts.append(np.eye(len(ctx.task.classes))[ctx.labels[rows]])
    return np.hstack(parts)


def _answers(ctx: MetricContext, rows: IntArray) -> FloatArray:
    """Log odds of each class, and the probabilities: (n, 2 · classes)."""
    p = distribution(ctx)[rows]
    clipped = np.clip(p, _TINY, 1 - _TINY)
    return np.hstack([np.log(clipped) - np.log1p(-clipped), p])


def _guess(columns: FloatArray, secret: IntArray, folds: IntArray, rng: np.random.Generator) -> IntArray:
    """The value guessed for each item by a learner that has not seen it, each value weighing the same: (n,)."""
    out = np.empty(secret.size, dtype=np.int64)
    targets = np.eye(int(secret.max()) + 1)[secret]
    for fold in range(_FOLDS):
        train, test = folds != fold, folds == fold
        weights = (1 / np.bincount(secret[train], minlength=targets.shape[1]))[secret[train]]
        model = learn(columns[train], targets[train], rng, quality=_recall, weights=weights)
        out[test] = model(columns[test]).argmax(axis=1)
    return out


def _recall(targets: FloatArray, guess: FloatArray) -> float:
    """Balanced accuracy over the values that occur."""
    truth, hits = targets.argmax(axis=1), targets.argmax(axis=1) == guess.argmax(axis=1)
    return float(np.mean([hits[truth == value].mean() for value in np.unique(truth)]))


def _balanced(
    values: FloatArray,
    secret: IntArray,
    codes: IntArray | None,
    details: dict[str, JsonValue],
    bounds: tuple[float, float],
) -> MetricValue:
    """Mean over attribute values of the mean over their items, and its normal interval; none without spread."""
    sizes = np.bincount(secret)
    means = np.bincount(secret, weights=values) / sizes
    value = float(means.mean())
    # What each item contributes to the error: the squares of these sum to the variance.
    lost = sizes - 1.0 if codes is None else sizes
    influence = (values - means[secret]) / np.sqrt(sizes * lost)[secret] / sizes.size
    if codes is not None:
        sums = group_sums(codes, influence[:, None])[:, 0]
        influence = sums * math.sqrt(sums.size / max(1, sums.size - 1))
    deviation = math.sqrt(float((influence**2).sum()))
    interval: Interval = (None, None)
    if deviation > 0:
        interval = max(bounds[0], value - Z * deviation), min(bounds[1], value + Z * deviation)
    return MetricValue(value, low=interval[0], high=interval[1], n=int(secret.size), details=details)
