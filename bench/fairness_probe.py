"""One way of computing fairness, in a process of its own: seconds, memory and the values. See `bench.fairness`."""

from __future__ import annotations

import json
import logging
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

Values = dict[str, float]
_CHUNK = 1 << 16
_OPTIONS = {"label_names": ["y"], "protected_attribute_names": ["g"]}
_SIDES = {"unprivileged_groups": [{"g": 0.0}], "privileged_groups": [{"g": 1.0}]}


def rows(n: int) -> tuple[Any, Any, Any]:
    """Group, outcome and prediction of n items, int8 each, drawn in chunks so that drawing needs no memory."""
    rng = np.random.default_rng(0)
    g, y, yhat = (np.empty(n, dtype=np.int8) for _ in range(3))
    for start in range(0, n, _CHUNK):
        part = slice(start, min(n, start + _CHUNK))
        size = part.stop - start
        g[part] = rng.random(size) < 0.5
        y[part] = rng.random(size) < 0.4 + 0.1 * g[part]
        yhat[part] = rng.random(size) < 0.2 + 0.5 * y[part] + 0.06 * g[part]
    return g, y, yhat


def native(n: int) -> Callable[[], Values]:
    """The table from columns of small integers, and the metrics from the table."""
    from runners.metrics.fairness.entropy import over_items
    from runners.metrics.fairness.mitigation import QUARTET
    from runners.metrics.fairness.table import count_codes

    g, y, yhat = rows(n)

    def run() -> Values:
        counts = count_codes(g, y, yhat, ("0", "1")).counts
        found = {name: float(formula.value(counts)) for name, formula in QUARTET.items()}
        return found | {"theil": float(over_items(counts.sum(axis=0), 1.0))}

    return run


def measured(n: int) -> Callable[[], Values]:
    """The five as a competition gets them: each with states, details and interval, from what the judge has loaded.

    The tables are counted anew in each call, as they are once in each run.
    """
    from runners.attributes import Attribute
    from runners.context import MetricContext
    from runners.measure import measure
    from runners.spec.models import AttributeSpec, TaskSpec

    g, y, yhat = rows(n)
    loaded = MetricContext(
        task=TaskSpec(kind="binary", classes=("no", "yes"), favourable="yes"), ids=np.empty(0, dtype=object),
        labels=y.astype(np.int64), predictions=yhat.astype(np.int64), attributes={"g": Attribute(("0", "1"), g)},
        attribute_specs={"g": AttributeSpec(privileged="1")},
    )  # fmt: skip
    names = {
        "spd": "statistical_parity_difference", "di": "disparate_impact", "eod": "equal_opportunity_difference",
        "aod": "average_odds_difference", "theil": "theil_index",
    }  # fmt: skip

    def run() -> Values:
        found, ctx = {}, replace(loaded)
        for short, name in names.items():
            (result,) = measure(f"fairness.{name}", name, {} if short == "theil" else {"attribute": "g"}, ctx)
            found[short] = float(result.value or 0.0)
        return found

    return run


def aif360(n: int) -> Callable[[], Values]:
    """AIF360: two data sets from a table of pandas, and the metrics of both."""
    import pandas as pd

    logging.getLogger().setLevel(logging.ERROR)
    from aif360.datasets import BinaryLabelDataset
    from aif360.metrics import ClassificationMetric

    g, y, yhat = rows(n)

    def run() -> Values:
        truth = BinaryLabelDataset(df=pd.DataFrame({"g": g, "y": y}, dtype=float), **_OPTIONS)
        said = truth.copy()
        said.labels = yhat[:, None].astype(float)
        metric = ClassificationMetric(truth, said, **_SIDES)
        return {
            "spd": metric.statistical_parity_difference(), "di": metric.disparate_impact(),
            "eod": metric.equal_opportunity_difference(), "aod": metric.average_odds_difference(),
            "theil": metric.theil_index(),
        }  # fmt: skip

    return run


def fairlearn(n: int) -> Callable[[], Values]:
    """fairlearn: a MetricFrame of the three rates that the four metrics are made of."""
    from fairlearn.metrics import MetricFrame, false_positive_rate, selection_rate, true_positive_rate

    g, y, yhat = rows(n)
    metrics = {"s": selection_rate, "t": true_positive_rate, "f": false_positive_rate}

    def run() -> Values:
        rates = MetricFrame(metrics=metrics, y_true=y, y_pred=yhat, sensitive_features=g).by_group
        u, p = rates.loc[0], rates.loc[1]
        return {
            "spd": u.s - p.s, "di": u.s / p.s, "eod": u.t - p.t, "aod": (u.f - p.f + u.t - p.t) / 2,
        }  # fmt: skip

    return run


def scored(n: int) -> tuple[Any, Any, Any]:
    """Group, outcome and score of n items."""
    rng = np.random.default_rng(1)
    g = (rng.random(n) < 0.5).astype(np.int64)
    y = rng.random(n) < 0.35 + 0.2 * g
    return g, y, np.clip(0.3 + 0.3 * y + 0.12 * g + rng.normal(0, 0.15, n), 0.001, 0.999)


def reject_native(n: int) -> Callable[[], Values]:
    """Reject option classification over the whole grid, from sorted scores."""
    from runners.metrics.fairness.mitigation import Fitted
    from runners.metrics.fairness.reject_option import fit

    g, y, scores = scored(n)
    items = Fitted(y, g, scores > 0.5, scores)

    def run() -> Values:
        point = fit(items, "spd", (-0.05, 0.05))
        if point is None:
            raise RuntimeError("the grid has no point")
        return {"threshold": point.threshold, "margin": point.margin}

    return run


def reject_aif360(n: int) -> Callable[[], Values]:
    """The same by AIF360, which predicts all items anew for each of the 5000 points."""
    import pandas as pd

    logging.getLogger().setLevel(logging.ERROR)
    from aif360.algorithms.postprocessing import RejectOptionClassification
    from aif360.datasets import BinaryLabelDataset

    g, y, scores = scored(n)
    truth = BinaryLabelDataset(df=pd.DataFrame({"g": g, "y": y}, dtype=float), **_OPTIONS)
    said = truth.copy()
    said.scores = scores[:, None]

    def run() -> Values:
        found = RejectOptionClassification(**_SIDES, metric_lb=-0.05, metric_ub=0.05).fit(truth, said)
        return {"threshold": found.classification_threshold, "margin": found.ROC_margin}

    return run


CASES: dict[str, Callable[[int], Callable[[], Values]]] = {
    "native": native, "measured": measured, "aif360": aif360, "fairlearn": fairlearn,
    "reject_native": reject_native, "reject_aif360": reject_aif360,
}  # fmt: skip


def resident(key: str) -> int | None:
    """`VmRSS` or `VmHWM` of this process in bytes; None where the system does not tell."""
    try:
        text = Path("/proc/self/status").read_text()
    except OSError:
        return None
    found = [line for line in text.splitlines() if line.startswith(f"{key}:")]
    return int(found[0].split()[1]) * 1024 if found else None


def forget_peak() -> None:
    """Let the peak start anew at what is resident now, so that it is that of the case alone."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def main() -> None:
    """Answer `{case, n, rounds}` with CPU seconds of each round, memory beyond the data, and the values."""
    question = json.load(sys.stdin)
    warnings.simplefilter("ignore")
    run = CASES[question["case"]](question["n"])
    CASES[question["case"]](64)()  # what is imported late, and first calls
    forget_peak()
    before = resident("VmRSS")
    seconds, values = [], {}
    for _ in range(question["rounds"]):
        started = time.process_time()
        values = run()
        seconds.append(time.process_time() - started)
    peak = resident("VmHWM")
    extra = None if before is None or peak is None else max(0, peak - before)
    json.dump(
        {"seconds": seconds, "extra_bytes": extra, "values": {k: float(v) for k, v in values.items()}}, sys.stdout
    )


if __name__ == "__main__":
    main()
