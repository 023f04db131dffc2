"""The replays give the published numbers when counted by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from scripts.competitions import measures
from scripts.competitions.build_replay import build_compas, build_ffpp, ffpp_cases
from scripts.competitions.common import read_column

ATTRIBUTES = ("race", "gender", "age", "attractive", "shiny_skin", "beard", "face", "accessory")


def test_compas_gives_the_published_table(tmp_path: Path) -> None:
    replay = build_compas(tmp_path)
    split = replay.bundle / "data" / "test"
    labels = pq.read_table(split / "labels.parquet").to_pydict()
    race = np.array(pq.read_table(split / "attributes.parquet").to_pydict()["race"])
    assert read_column(replay.predictions, "id") == labels["id"]
    y = np.array([label == "recidivism" for label in labels["label"]], dtype=np.int64)
    predicted = np.array([p == "recidivism" for p in read_column(replay.predictions, "prediction")], dtype=np.int64)
    assert len(y) == 7214
    published = {"African-American": (990, 805, 532, 1369), "Caucasian": (1139, 349, 461, 505)}
    for group, counts in published.items():
        tn, fp, fn, tp = measures.confusion(y[race == group], predicted[race == group])
        assert (tn, fp, fn, tp) == counts
        assert round(fp / (fp + tn), 4) == replay.expected[f"fairness.false_positive_rate[race={group}]"]
        assert round(fn / (fn + tp), 4) == replay.expected[f"fairness.false_negative_rate[race={group}]"]


def test_all_eight_attributes_are_there() -> None:
    assert tuple(ffpp_cases()) == ATTRIBUTES


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_a_confusion_matrix_gives_the_printed_differences(attribute: str, tmp_path: Path) -> None:
    replay = build_ffpp(attribute, tmp_path)
    split = replay.bundle / "data" / "test"
    assert read_column(replay.predictions, "id") == read_column(split / "labels.csv", "id")
    y = np.array([label == "deepfake" for label in read_column(split / "labels.csv", "label")])
    chosen = np.array([value == "deepfake" for value in read_column(replay.predictions, "prediction")])
    other = np.array([value == "unprivileged" for value in read_column(split / "attributes.csv", attribute)])

    def rate(rows: np.ndarray) -> float:
        return float(chosen[rows].mean())

    tpr, fpr = (rate(other & truth) - rate(~other & truth) for truth in (y, ~y))
    found = {
        f"fairness.statistical_parity_difference[{attribute}]": rate(other) - rate(~other),
        f"fairness.disparate_impact[{attribute}]": rate(other) / rate(~other),
        f"fairness.equal_opportunity_difference[{attribute}]": tpr,
        f"fairness.average_odds_difference[{attribute}]": (tpr + fpr) / 2,
    }
    for key, value in found.items():
        assert round(value, 2) == replay.expected[key], key
    balanced = measures.balanced_accuracy(y.astype(np.int64), chosen.astype(np.int64))
    assert balanced == pytest.approx(replay.expected["performance.balanced_accuracy"], abs=0.0005)
    assert set(replay.expected) == {*found, "performance.balanced_accuracy"}


def test_measures_agree_with_scikit_learn() -> None:
    from sklearn import metrics

    rng = np.random.default_rng(2)
    y = rng.integers(0, 2, 300)
    score = np.round(rng.random(300) * 0.7 + 0.3 * y, 1).clip(0.05, 0.95)
    both = np.stack([1 - score, score], axis=1)
    predicted = both.argmax(1)
    assert measures.roc_auc(y, score) == pytest.approx(metrics.roc_auc_score(y, score))
    assert measures.log_loss(y, both) == pytest.approx(metrics.log_loss(y, score))
    assert measures.balanced_accuracy(y, predicted) == pytest.approx(metrics.balanced_accuracy_score(y, predicted))
    assert measures.confusion(y, predicted) == tuple(metrics.confusion_matrix(y, predicted).ravel())
