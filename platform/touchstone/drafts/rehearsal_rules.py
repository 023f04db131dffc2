"""What must come out of made-up submissions: the truth gets the best value there is, guessing no more than chance.

Pure functions of results: what a metric cannot tell of such a submission is said, and not judged.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from runners.spec.catalogue_file import catalogue
from touchstone.evaluations.models import Result, RunStatus

KINDS = ("null", "constant", "oracle", "malformed")
PASSED, FAILED, TOLD = "passed", "failed", "told"

EXPECTED = {
    "null": "The share of each class as its probability, for every item: no metric of performance better than chance.",
    "constant": "The largest class for every item: no metric of performance better than chance.",
    "oracle": "The truth itself: every metric of performance at the best value it has.",
    "malformed": "Half of the ids and one that does not exist: refused, with a message that says why.",
}
_NEAR = 1e-6
#: A loss of probabilities 0 and 1 is cut off somewhere short of its end.
_NEAR_LOSS = 1e-3
#: Metrics of groups that the truth is best in; other ones depend on how the groups differ in the data themselves.
_BEST_OF_TRUTH = {
    **{f"fairness.{rate}": 1.0 for rate in ("accuracy", "true_positive_rate", "true_negative_rate")},
    **{f"fairness.{rate}": 0.0 for rate in ("error_rate", "false_positive_rate", "false_negative_rate")},
    **{
        f"fairness.{rate}_difference": 0.0
        for rate in (
            "accuracy", "error_rate", "true_positive_rate", "true_negative_rate", "false_positive_rate",
            "false_negative_rate", "equal_opportunity", "equalized_odds", "average_odds", "average_abs_odds",
        )
    },
}  # fmt: skip
#: Naming one class every time, or its share, is as good as anything here, so nothing is learned from it.
_BLIND = frozenset({
    "performance.recall", "performance.positive_rate", "performance.confusion_matrix",
    "performance.generalisation_gap", "calibration.expected_calibration_error",
    "calibration.maximum_calibration_error",
})  # fmt: skip


@dataclass(frozen=True)
class Check:
    """One value against what it must be. `verdict`: passed, failed, or told (shown, and not judged)."""

    key: str
    title: str
    value: float | None
    low: float | None
    high: float | None
    expected: str = ""
    verdict: str = TOLD
    reason: str = ""


def checks_of(*, kind: str, results: Iterable[Result], classes: Mapping[str, int]) -> list[Check]:
    """Every result of a made-up submission against what must come out."""
    return [_check(kind, result, classes) for result in results]


def verdict_of(*, kind: str, status: str, checks: Iterable[Check]) -> str:
    """passed, failed, or nothing while the run has not ended."""
    if status not in (RunStatus.SCORED, RunStatus.REJECTED, RunStatus.FAILED, RunStatus.CANCELLED):
        return ""
    if kind == "malformed":
        return PASSED if status == RunStatus.REJECTED else FAILED
    fine = status == RunStatus.SCORED and not any(check.verdict == FAILED for check in checks)
    return PASSED if fine else FAILED


def _check(kind: str, result: Result, classes: Mapping[str, int]) -> Check:
    found = Check(result.key, result.title or result.key, result.value, result.low, result.high)
    if result.state == "failed":
        return replace(found, verdict=FAILED, expected="a value", reason=result.reason or "It could not be computed.")
    if result.state == "not_applicable":
        return replace(found, reason=f"Not checked: {result.reason or 'predictions are not enough for it.'}")
    if result.value is None:
        return replace(found, reason=result.reason or "It has no value for such a submission.")
    best = best_of(result)
    if kind == "oracle":
        if best is None:
            return replace(found, reason="What the truth gets here depends on the data.")
        return _judged(found, abs(result.value - best) <= _near(result), f"{best:g}", "The truth gets less than that.")
    if best is None or result.metric in _BLIND or result.pillar not in ("performance", "calibration"):
        return replace(found, reason="A guess can do well here: read it beside the metrics of performance.")
    chance = chance_of(result, classes)
    if chance is None:
        fine = abs(result.value - best) > _near(result)
        return _judged(found, fine, f"not {best:g}", "A guess gets as much as the truth.")
    more = result.direction == "maximise"
    reached = next(bound for bound in (result.low if more else result.high, result.value) if bound is not None)
    fine = (reached - chance if more else chance - reached) <= _near(result)
    return _judged(found, fine, f"{'≤' if more else '≥'} {chance:.3f}", "A guess does better than chance.")


def _judged(found: Check, fine: bool, expected: str, reason: str) -> Check:
    return replace(found, verdict=PASSED if fine else FAILED, expected=expected, reason="" if fine else reason)


def best_of(result: Result) -> float | None:
    """What the truth must get, where it is known whatever the data are."""
    if result.metric in _BEST_OF_TRUTH and (result.key.count("[") == 1):
        return _BEST_OF_TRUTH[result.metric]
    if result.pillar not in ("performance", "calibration") or result.metric == "performance.positive_rate":
        return None
    offered = catalogue()["metrics"].get(result.metric)
    if offered is None:
        return None
    if result.direction in ("zero", "one"):
        return 0.0 if result.direction == "zero" else 1.0
    low, high = offered["range"]
    found = {"maximise": high, "minimise": low}.get(result.direction)
    return None if found is None else float(found)


def chance_of(result: Result, classes: Mapping[str, int]) -> float | None:
    """The best that naming the same for every item can reach; None where no formula of it is known here."""
    n = sum(classes.values())
    shares = [count / n for count in classes.values()] if n else []
    if not shares:
        return None
    simple = result.metric.partition(".")[2]
    if simple == "accuracy":
        return max(shares)
    if simple == "balanced_accuracy":
        return 1 / sum(share > 0 for share in shares)
    if simple == "roc_auc":
        return 0.5
    if simple == "log_loss":
        return -sum(share * math.log(share) for share in shares if share)
    return None


def _near(result: Result) -> float:
    return _NEAR_LOSS if result.metric in ("performance.log_loss", "calibration.brier_score") else _NEAR
