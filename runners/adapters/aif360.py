"""AIF360's group metrics, from the same count table as ours.

AIF360 prints warnings about optional packages when it is imported, and its data sets end the process
when their files are absent: only `BinaryLabelDataset` and `ClassificationMetric` are used.
"""

from __future__ import annotations

import logging
import warnings
from typing import Any, Literal

import numpy as np

from runners.context import IntArray

_METHODS = {
    "spd": "statistical_parity_difference",
    "di": "disparate_impact",
    "eod": "equal_opportunity_difference",
    "aod": "average_odds_difference",
}


def _load() -> tuple[Any, Any]:
    """The two classes, imported without AIF360's messages about packages that are not needed here."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from aif360.datasets import BinaryLabelDataset
            from aif360.metrics import ClassificationMetric
    finally:
        root.setLevel(level)
    return BinaryLabelDataset, ClassificationMetric


def group_metric(metric: Literal["spd", "di", "eod", "aod"], counts: IntArray) -> float:
    """One metric of counts `[side, y, yhat]` (2, 2, 2); side 0 is unprivileged, index 1 the favourable outcome.

    The eight cells become eight weighted rows: AIF360 gives the same sums as for the rows themselves.
    """
    import pandas as pd

    dataset_class, metric_class = _load()
    side, y, yhat = (axis.ravel() for axis in np.indices((2, 2, 2)))
    frame = pd.DataFrame({"side": side.astype(float), "y": y.astype(float), "weight": counts.ravel().astype(float)})
    options = {
        "label_names": ["y"], "protected_attribute_names": ["side"], "instance_weights_name": "weight",
        "favorable_label": 1.0, "unfavorable_label": 0.0,
    }  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        truth = dataset_class(df=frame, **options)
        answered = dataset_class(df=frame.assign(y=yhat.astype(float)), **options)
        computed = metric_class(truth, answered, unprivileged_groups=[{"side": 0.0}], privileged_groups=[{"side": 1.0}])
        return float(getattr(computed, _METHODS[metric])())
