"""AIF360's metrics, from the same count table as ours.

AIF360 prints warnings about optional packages when it is imported, and its data sets end the process
when their files are absent: only `BinaryLabelDataset` and two metric classes are used.
"""

from __future__ import annotations

import logging
import warnings
from typing import Any, Literal

import numpy as np

from runners.context import IntArray

#: Our short names; all other names are AIF360's own.
_METHODS = {
    "spd": "statistical_parity_difference",
    "di": "disparate_impact",
    "eod": "equal_opportunity_difference",
    "aod": "average_odds_difference",
}
#: Metrics of the labels alone are methods of the metric of the data, under the names of those of predictions.
_OF_LABELS = {"base_rate_difference": "statistical_parity_difference", "base_rate_ratio": "disparate_impact"}
_OPTIONS = {
    "label_names": ["y"], "protected_attribute_names": ["side"], "instance_weights_name": "weight",
    "favorable_label": 1.0, "unfavorable_label": 0.0,
}  # fmt: skip
_SIDES = {"unprivileged_groups": [{"side": 0.0}], "privileged_groups": [{"side": 1.0}]}


def _load() -> tuple[Any, Any, Any]:
    """The three classes, imported without AIF360's messages about packages that are not needed here."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from aif360.datasets import BinaryLabelDataset
            from aif360.metrics import BinaryLabelDatasetMetric, ClassificationMetric
    finally:
        root.setLevel(level)
    return BinaryLabelDataset, BinaryLabelDatasetMetric, ClassificationMetric


def group_metric(metric: Literal["spd", "di", "eod", "aod"], counts: IntArray) -> float:
    """One of the four of counts `[side, y, yhat]` (2, 2, 2); side 0 is unprivileged, index 1 the favourable outcome."""
    return classification_metric(metric, counts)


def classification_metric(metric: str, counts: IntArray) -> float:
    """A group metric of counts `[side, y, yhat]` (2, 2, 2), by the name of AIF360's method or a short name.

    The eight cells become eight weighted rows: AIF360 gives the same sums as for the rows themselves.
    """
    return float(_computed(metric, np.indices((2, 2, 2)).reshape(3, -1), counts.ravel()))


def entropy_metric(metric: str, counts: IntArray, *, alpha: float | None = None) -> float:
    """An inequality index of the same counts. AIF360 does not weight these, so that every item becomes a row.

    `alpha` is given to the generalised entropy indices only.
    """
    rows = np.repeat(np.indices((2, 2, 2)).reshape(3, -1), counts.ravel(), axis=1)
    options = {} if alpha is None else {"alpha": alpha}
    return float(_computed(metric, rows, np.ones(rows.shape[1]), **options))


def _computed(metric: str, rows: IntArray, weights: Any, **options: float) -> float:
    import pandas as pd

    dataset_class, label_class, metric_class = _load()
    side, y, yhat = rows.astype(float)
    frame = pd.DataFrame({"side": side, "y": y, "weight": weights.astype(float)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        truth = dataset_class(df=frame, **_OPTIONS)
        if metric in _OF_LABELS:
            return float(getattr(label_class(truth, **_SIDES), _OF_LABELS[metric])())
        answered = dataset_class(df=frame.assign(y=yhat), **_OPTIONS)
        computed = metric_class(truth, answered, **_SIDES)
        return float(getattr(computed, _METHODS.get(metric, metric))(**options))
