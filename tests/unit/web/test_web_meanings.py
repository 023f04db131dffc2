"""Whether what a fairness metric is said to mean is what it measures: the sign of each is compared with the judge's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from runners.measure import measure
from runners.metrics.fairness.shares import SHARES
from runners.spec.catalogue_file import catalogue
from runners.spec.models import TaskSpec
from tests.factories.runner_models import group_context
from touchstone.web.meanings import MORE, attribute_meanings, signed

_NAMES = [name for name in catalogue()["metrics"] if signed(name)]


def _average_odds(table: np.ndarray) -> float:
    return float(SHARES["false_positive_rate"].of(table) + SHARES["true_positive_rate"].of(table)) / 2


def _average_predictive_value(table: np.ndarray) -> float:
    """How often the outcome is true, on the mean of when it is predicted and when it is not."""
    return (table[1, 1] / table[:, 1].sum() + table[1, 0] / table[:, 0].sum()) / 2


_RATES: dict[str, Callable[[np.ndarray], float]] = {
    "average_odds": _average_odds, "average_predictive_value": _average_predictive_value,
    # Scores of 0 and 1 below: their mean is the share of those who get the outcome.
    "generalized_true_positive_rate": lambda table: float(SHARES["true_positive_rate"].of(table)),
    "generalized_false_positive_rate": lambda table: float(SHARES["false_positive_rate"].of(table)),
}  # fmt: skip


def rate_of(name: str, table: np.ndarray) -> float:
    """The rate that the sentence speaks of, of one side's counts `[truly, given]`."""
    return _RATES[name](table) if name in _RATES else float(SHARES[name].of(table))


@pytest.mark.parametrize("use", _NAMES)
def test_the_side_that_is_named_has_more(use: str) -> None:
    rate, kind = signed(use) or ("", "")
    rng = np.random.default_rng(5)
    ideal = 0.0 if kind == "difference" else 1.0
    for _round in range(4):
        counts = rng.integers(40, 160, (2, 2, 2))  # [side, y, yhat]; side 0 is unprivileged, class 1 favourable
        task = TaskSpec(kind="binary", classes=("no", "yes"), positive="yes", favourable="yes")
        ctx = group_context(counts, task=task)
        ctx = group_context(counts, task=task, probabilities=np.eye(2)[ctx.predictions])
        value = next(iter(measure(use, use, {"attribute": "a"}, ctx))).value
        more = rate_of(rate, counts[0]) > rate_of(rate, counts[1])
        assert (value > ideal) == more


def test_sentences_use_the_names_of_the_competition() -> None:
    found = attribute_meanings(attribute="gender", privileged="female", others=["male"], favourable="pristine")
    told = {one.use: one.sentences for one in found}
    assert told["fairness.statistical_parity_difference[gender]"] == [
        "Above 0: “male” get “pristine” more often.", "Below 0: “female” get “pristine” more often.",
    ]  # fmt: skip
    assert told["fairness.disparate_impact[gender]"][0] == "Above 1: “male” get “pristine” more often."
    assert [one.main for one in found[:5]] == [True] * 4 + [False]


def test_every_metric_that_compares_two_sides_by_a_sign_is_told() -> None:
    found = attribute_meanings(attribute="a", privileged="p", others=[], favourable="f")
    told = {one.use.partition("[")[0] for one in found}
    two_sided = {
        name for name, entry in catalogue()["metrics"].items()
        if entry["pillar"] == "fairness" and entry["results"] == ["[attribute]"]
    }  # fmt: skip
    assert {name.rpartition("_")[2] for name in two_sided - told} == {"performance", "index", "variation"}
    assert set(MORE) == {signed(name)[0] for name in _NAMES}  # type: ignore[index]


def test_without_an_outcome_nothing_is_claimed() -> None:
    assert attribute_meanings(attribute="a", privileged="p", others=["u"], favourable=None) == []
    assert attribute_meanings(attribute="a", privileged="", others=["u"], favourable="f") == []
