"""Fairness metrics and the reject option against the libraries of the field, on the same items with equal results."""

from __future__ import annotations

from typing import Any

from bench.probe import ProbeError, probe
from bench.rounds import ratio, say, summary

ROWS = {False: 10_000_000, True: 20_000}
#: Items of the reject option: AIF360 needs seconds for a few hundred.
SCORED = {False: 10_000, True: 300}
#: Calls in each process: of ours a few, of libraries that take minutes one.
_CALLS = {"native": 5, "measured": 5, "reject_native": 5}
_WHAT = {
    "measured": "the five as a competition gets them, by measure(): names of groups, states, details, 95 % intervals",
    "native": "the counting alone: table from int8 columns, the five values from the table",
    "aif360": "BinaryLabelDataset and ClassificationMetric, five metrics",
    "fairlearn": "MetricFrame of the three rates behind four of the metrics",
}
#: What `measured` and the reject option shall come to: how many times faster, and bytes beyond the data.
TARGETS = {"aif360": 200.0, "fairlearn": 1000.0, "reject_aif360": 500.0}
EXTRA_BYTES = 50_000_000
#: Sums of floats in another order.
_AGREE = 1e-9


def measure(*, quick: bool) -> dict[str, Any]:
    """CPU seconds and memory by way, each library's as a multiple of ours; all with one thread.

    Raises:
        ProbeError: a way could not be measured, or two ways do not agree.
    """
    n = ROWS[quick]
    found = {case: _ask(case, n) for case in _WHAT}
    told: dict[str, Any] = {"what": _WHAT, "rows": n}
    for case, answer in found.items():
        _same(found["measured"]["values"], answer["values"], case)
        told[case] = {"cpu_seconds": summary(answer["seconds"], digits=6), "extra_bytes": answer["extra_bytes"]}
    for case in ("aif360", "fairlearn"):
        for ours in ("measured", "native"):
            told[case][f"times_slower_than_{ours}"] = _times(found[case], found[ours])
    told["reject_option"] = _reject(SCORED[quick])
    extra = found["measured"]["extra_bytes"]
    reached = {
        case: told[case]["times_slower_than_measured"]["median"] >= TARGETS[case] for case in ("aif360", "fairlearn")
    }
    reached["reject_aif360"] = told["reject_option"]["times_slower_than_native"]["median"] >= TARGETS["reject_aif360"]
    reached["extra_bytes"] = extra is None or extra <= EXTRA_BYTES
    # Small sizes measure what a call costs, not what an item costs.
    return told | {"targets": {**TARGETS, "extra_bytes": EXTRA_BYTES}, "reached": None if quick else reached}


def _ask(case: str, n: int) -> dict[str, Any]:
    say(f"fairness: {case}, {n} items")
    question = {"case": case, "n": n, "rounds": _CALLS.get(case, 1)}
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    answer: dict[str, Any] = probe("bench.fairness_probe", question, environment=threads)
    return answer


def _reject(n: int) -> dict[str, Any]:
    ours, theirs = _ask("reject_native", n), _ask("reject_aif360", n)
    _same(ours["values"], theirs["values"], "reject_aif360")
    return {
        "what": "fitting SPD within 0.05 over 100 thresholds and 50 margins",
        "items": n,
        "native": {"cpu_seconds": summary(ours["seconds"], digits=6)},
        "aif360": {"cpu_seconds": summary(theirs["seconds"], digits=6)},
        "times_slower_than_native": _times(theirs, ours),
        "chosen": ours["values"],
    }


def _times(slow: dict[str, Any], fast: dict[str, Any]) -> dict[str, float | int]:
    """The one call of the slow way over each of the fast one."""
    return ratio(slow["seconds"] * len(fast["seconds"]), fast["seconds"])


def _same(expected: dict[str, float], found: dict[str, float], case: str) -> None:
    off = {name: (expected[name], value) for name, value in found.items() if abs(expected[name] - value) > _AGREE}
    if off:
        raise ProbeError(f"fairness: {case} gives other values than ours: {off}")
