"""Run every metric, attack and defence on real data, and keep what pages and figures show."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Mapping
from typing import Any

from runners import registry
from runners.contract import MetricResult
from runners.measure import measure
from scripts.metric_docs.curves import more_of
from scripts.metric_docs.data import DATA
from scripts.metric_docs.plan import Plan, plan_of_attack, plan_of_defence, plan_of_metric
from scripts.metric_docs.subjects import SEED, Subject

#: Details that a figure is drawn from, or a page tells.
_KEPT = frozenset({
    "accuracy_versus_eps", "success_versus_distance", "diagram", "chance", "points", "constant_ms", "factor_ms",
    "exponent", "class", "plausible", "classes", "confusion", "curve", "bins", "checkpoints", "severities", "accuracy",
    "attacks", "random_map", "warning", "base_rate", "positive", "favourable", "control", "objective", "before",
    "after", "batches", "larger_is_better", "most_frequent_answer", "largest_that_could_be_shown",
})  # fmt: skip
_DIGITS = 4


def measure_all(kept: Mapping[str, Any], only: frozenset[str]) -> dict[str, Any]:
    """Measure what is registered: all, or what `only` names; the rest stays as `kept` has it."""
    subjects: dict[str, list[Subject]] = {}
    out: dict[str, Any] = {
        "measured": {
            "month": time.strftime("%Y-%m"),
            "seed": SEED,
            "data": {key: {"about": d.about, "lines": d.lines} for key, d in DATA.items()},
        },
    }
    kinds: dict[str, tuple[Mapping[str, Any], Any]] = {
        "metrics": (registry.metrics(), plan_of_metric),
        "attacks": (registry.attacks(), plan_of_attack),
        "defences": (registry.defences(), plan_of_defence),
    }
    for kind, (known, plan) in kinds.items():
        done = out[kind] = {}
        for name, info in known.items():
            old = kept.get(kind, {}).get(name)
            done[name] = old if old is not None and only and name not in only else _one(name, plan(info), subjects)
    return out


def _one(name: str, plan: Plan, subjects: dict[str, list[Subject]]) -> dict[str, Any]:
    if plan.data not in subjects:
        subjects[plan.data] = DATA[plan.data].make()
    started = time.monotonic()
    rows = []
    for subject in subjects[plan.data]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results = list(measure(plan.metric, plan.metric, plan.parameters, subject.ctx))
        rows.append({"who": subject.name, "results": _results(plan.metric, results), **more_of(name, subject.ctx)})
    sys.stderr.write(f"{name}: {time.monotonic() - started:.1f} s\n")
    return {"metric": plan.metric, "data": plan.data, "parameters": dict(plan.parameters), "rows": rows}


def _results(name: str, results: list[MetricResult]) -> list[dict[str, Any]]:
    """Each result, rounded, without what is the same everywhere."""
    out = []
    for result in results:
        key = result.key.removeprefix(name).removeprefix(".")
        told = {
            "value": result.value, "low": result.low, "high": result.high, "n": result.n,
            "unit": result.unit, "state": "" if result.state == "ok" else result.state, "reason": result.reason,
            "details": {k: v for k, v in result.details.items() if k in _KEPT},
        }  # fmt: skip
        verdict = result.details.get("validity")
        if isinstance(verdict, dict):
            told["verdict"] = verdict.get("verdict")
        out.append({"key": key} | {k: rounded(v) for k, v in told.items() if v not in (None, "", {})})
    return out


def rounded(value: Any) -> Any:
    """The same JSON with numbers of four significant digits: what a figure can show."""
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    if isinstance(value, Mapping):
        return {key: rounded(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(entry) for entry in value]
    return value
