"""Robustness against what happens to pictures by itself: noise, blur, weather, digital."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, JsonValue

from runners.attacks.geometry import BATCH_BYTES, Bools, Inputs
from runners.context import MetricContext
from runners.data.room import release
from runners.metrics.performance.shares import share_interval
from runners.metrics.robustness.corrupt import Corruption
from runners.metrics.robustness.corrupt_blur import defocus_blur, glass_blur, motion_blur, zoom_blur
from runners.metrics.robustness.corrupt_digital import contrast, elastic_transform, jpeg_compression, pixelate
from runners.metrics.robustness.corrupt_noise import gaussian_noise, impulse_noise, shot_noise
from runners.metrics.robustness.corrupt_weather import brightness, fog, frost, snow
from runners.metrics.robustness.recheck import probabilities
from runners.metrics.robustness.target import target
from runners.registry import Column, Cost, MetricReturn, MetricValue, metric, undefined
from runners.statistics.bootstrap import cluster_codes, mean_interval

Kind = Literal[
    "gaussian_noise", "shot_noise", "impulse_noise", "defocus_blur", "glass_blur", "motion_blur", "zoom_blur", "snow",
    "frost", "fog", "brightness", "contrast", "elastic_transform", "pixelate", "jpeg_compression",
]  # fmt: skip
KINDS: dict[Kind, Corruption] = {
    "gaussian_noise": gaussian_noise, "shot_noise": shot_noise, "impulse_noise": impulse_noise,
    "defocus_blur": defocus_blur, "glass_blur": glass_blur, "motion_blur": motion_blur, "zoom_blur": zoom_blur,
    "snow": snow, "frost": frost, "fog": fog, "brightness": brightness, "contrast": contrast,
    "elastic_transform": elastic_transform, "pixelate": pixelate, "jpeg_compression": jpeg_compression,
}  # fmt: skip
#: Bytes of float64 images that are corrupted at once; the work takes several times as much.
_CHUNK_BYTES = BATCH_BYTES // 8
_COLUMNS = (
    Column(""),
    Column("error", title="Mean corruption error", direction="minimise"),
    Column("clean_accuracy", title="Clean accuracy on the same items"),
    Column("drop", title="Accuracy lost by corruption", direction="minimise", range=(-1.0, 1.0)),
    *(Column(name, title=f"Accuracy under {name.replace('_', ' ')}") for name in KINDS),
)
_Kinds = Annotated[tuple[Kind, ...], Field(min_length=1, max_length=len(KINDS))]
_Severity = Annotated[int, Field(ge=1, le=5)]
_Severities = Annotated[tuple[_Severity, ...], Field(min_length=1, max_length=5)]


def _cost(parameters: Mapping[str, Any], items: int) -> Cost:
    chosen = min(items, parameters["items"] or items)
    asked = chosen * (1 + len(set(parameters["kinds"])) * len(set(parameters["severities"])))
    return Cost(least=asked, typical=asked)


def corrupt(
    x: Inputs, kind: Kind, severity: int, *, value_range: tuple[float, float], rng: np.random.Generator
) -> Inputs:
    """Images (n, 1 or 3, height, width) of the value range, corrupted; float32, in the value range, same shape."""
    found = list(corrupted(x, kind, severity, value_range=value_range, rng=rng))
    return np.concatenate(found) if found else np.empty_like(x)


def corrupted(
    x: Inputs, kind: Kind, severity: int, *, value_range: tuple[float, float], rng: np.random.Generator
) -> Iterator[Inputs]:
    """The same in parts, in order."""
    low, high = value_range
    step = max(1, _CHUNK_BYTES // max(1, 2 * x[:1].nbytes))
    for start in range(0, x.shape[0], step):
        images = np.clip((x[start : start + step].astype(np.float64) - low) / (high - low), 0, 1)
        changed = np.clip(KINDS[kind](images, severity, rng), 0, 1)
        yield np.clip((low + changed * (high - low)).astype(np.float32), np.float32(low), np.float32(high))
        release(x)


@metric(
    "robustness.corruptions",
    title="Accuracy under common corruptions",
    direction="maximise",
    range=(0.0, 1.0),
    needs=("queries",),
    results=_COLUMNS,
    reference="Hendrycks and Dietterich, ICLR 2019: kinds and severities of CIFAR-10-C; frost drawn by the program",
    formula="mean over kinds and severities of accuracy on corrupted items\n"
    "error = 1 − that; drop = clean accuracy − that",
    interval="Percentile bootstrap over items, or whole clusters, each item's answers to all corruptions together; "
    "clean accuracy: Wilson.",
    limits="Not equal pixel by pixel to CIFAR-10-C: frost, fog and motion are drawn by other means. Glass blur, "
    "pixelate and the elastic transform do not get harder at every step, as in the source. `error` is not divided "
    "by that of a reference model, so it is no published mCE.",
    queries=_cost,
)
def corruptions(
    ctx: MetricContext,
    *,
    kinds: _Kinds = tuple(KINDS),
    severities: _Severities = (1, 2, 3, 4, 5),
    items: Annotated[int, Field(ge=1)] | None = None,
) -> MetricReturn:
    """Mean accuracy over kinds of corruption and severities: every kind weighs the same, every severity too.

    For images of one or three channels. The strengths are those of CIFAR-10-C, with lengths in proportion to the
    shorter side. Frost is drawn by the program in the place of photographs. `error` is 1 - accuracy, not divided by
    that of a reference model. `drop` is clean accuracy less the mean. `details.accuracy` has one row for each kind and
    one number for each severity. Intervals: bootstrap over items, or clusters; a kind's over its severities together.
    """
    if ctx.input is None or len(ctx.input.shape) != 3 or ctx.input.shape[0] not in (1, 3):
        reason = "for images of the shape [1 or 3, height, width] only"
        return {column.key: undefined(reason, state="not_applicable") for column in _COLUMNS}
    aim = target(ctx, items)
    if aim.chosen.size == 0:
        return {column.key: undefined("the split has no items", n=0) for column in _COLUMNS}
    chosen = list(dict.fromkeys(kinds))
    levels = sorted(set(severities))
    clean = probabilities(aim.model, aim.x).argmax(axis=1) == aim.y
    right = np.empty((len(chosen), len(levels), aim.y.size), dtype=bool)
    for i, kind in enumerate(chosen):
        ctx.progress(f"corruption: {kind}", i / len(chosen))
        for j, severity in enumerate(levels):
            rng = ctx.rng(f"robustness.corruptions.{kind}.{severity}")
            answers = [
                probabilities(aim.model, x)
                for x in corrupted(aim.x, kind, severity, value_range=aim.value_range, rng=rng)
            ]
            right[i, j] = np.concatenate(answers).argmax(axis=1) == aim.y
    clusters = None if ctx.clusters is None else ctx.clusters[aim.chosen]
    return _results(ctx, chosen, levels, right, clean, clusters)


def _results(
    ctx: MetricContext, kinds: list[Kind], levels: list[int], right: Bools, clean: Bools, clusters: Any
) -> dict[str, MetricValue]:
    table: list[JsonValue] = [
        {"kind": kind, "accuracy": [float(a) for a in row.mean(axis=1)]} for kind, row in zip(kinds, right, strict=True)
    ]
    details: dict[str, JsonValue] = {"severities": list(levels), "accuracy": table}
    each = right.mean(axis=(0, 1))
    main = _mean(ctx, each, clusters, "mean", details)
    error = None if main.low is None or main.high is None else (1 - main.high, 1 - main.low)
    low, high = share_interval(clean, clusters, rng=ctx.rng("robustness.corruptions.clean"))
    out = {
        "": main,
        "error": MetricValue(
            1 - float(each.mean()), low=error[0] if error else None, high=error[1] if error else None, n=each.size
        ),
        "clean_accuracy": MetricValue(float(clean.mean()), low=low, high=high, n=clean.size),
        "drop": _mean(ctx, clean - each, clusters, "drop", {}),
    }
    absent = undefined("the metric leaves this kind out", state="not_applicable")
    rows = dict(zip(kinds, right, strict=True))
    for name in KINDS:
        row = rows.get(name)
        out[name] = absent if row is None else _mean(ctx, row.mean(axis=0), clusters, name, {})
    return out


def _mean(ctx: MetricContext, values: Any, clusters: Any, name: str, details: dict[str, JsonValue]) -> MetricValue:
    """The mean of one number an item, with its interval: none where all items have the same."""
    low, high = mean_interval(values, cluster_codes(clusters), rng=ctx.rng(f"robustness.corruptions.{name}"))
    return MetricValue(float(values.mean()), low=low, high=high, n=values.size, details=details)
