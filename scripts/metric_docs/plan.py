"""What is measured for each page: which data, with which parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runners.registry import AttackInfo, DefenceInfo, MetricInfo
from scripts.metric_docs.examples import parameters_of


@dataclass(frozen=True)
class Plan:
    """`data` is a key of `subjects.DATA`; `parameters` those of `metric`."""

    metric: str
    data: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


_DETECTOR = {"attribute": "group"}
#: Where a metric is measured on other data, or with other parameters, than its pillar's.
_OTHER: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "performance.confusion_matrix": ("garments", {}),
    "performance.log_loss": ("garments", {}),
    "performance.top_k_accuracy": ("garments", {"k": 2}),
    "performance.accuracy": ("recidivism", {}),
    "fairness.relative_performance": ("detector", {**_DETECTOR, "present": "unprivileged"}),
    "fairness.corrected_relative_performance": ("detector", {**_DETECTOR, "present": "unprivileged"}),
    "fairness.pristine_data_relative_performance": ("detector", {**_DETECTOR, "present": "unprivileged"}),
    "fairness.deepfake_data_relative_performance": ("detector", {**_DETECTOR, "present": "unprivileged"}),
    "robustness.attack": ("garments-models", {"attack": "pgd", "eps": 0.1, "items": 200}),
    "robustness.worst_case": (
        "garments-models",
        {"attacks": ["fgsm", "pgd", "square"], "eps": 0.1, "items": 60, "check_items": 0},
    ),
    "robustness.conditions": (
        "garments-models",
        {"attack": "pgd", "norm": "l2", "eps": 1.0, "items": 100, "defence": "median_smoothing", "check_items": 20},
    ),
    "robustness.bias": ("recidivism-models", {"attribute": "race", "attack": "pgd", "eps": 0.02, "items": 1000}),
    "robustness.confidence": ("garments-models", {"attack": "pgd", "eps": 0.1, "items": 200}),
    "robustness.mitigated_bias": (
        "recidivism-models",
        {"attribute": "race", "attack": "pgd", "eps": 0.02, "items": 1000, "check_items": 0},
    ),
    "robustness.corruptions": ("garments-models", {"items": 200}),
    "robustness.transfer": (
        "transferred",
        {"surrogates": ["mlp", "cnn"], "attack": "pgd", "eps": 0.1, "items": 200},
    ),
    "efficiency.peak_memory": ("memory", {}),
    "efficiency.latency_per_token": ("sequences", {}),
    "privacy.accuracy_epsilon": ("private", {}),
    "privacy.lira": ("members", {}),
    "privacy.accounted_epsilon": (
        "private",
        {"noise": 1.0, "rate": 0.05, "steps": 300, "delta": 1e-5, "claimed": 5},
    ),
    "robustness.overfitting_gap": ("training", {"attribute": "epoch"}),
    "efficiency.latency": ("garments", {"batch_sizes": [1, 64], "repeats": 100}),
    "efficiency.energy": ("garments", {"grid": 250, "watts": 15, "windows": 6, "seconds": 0.1}),
    "explainability.stability": ("garments-models", {"radius": 0.1, "items": 30}),
    "explainability.rank_agreement": ("garments-models", {"items": 40}),
    "privacy.attribute_inference": ("recidivism", {"attribute": "race"}),
    "privacy.extraction_fidelity": ("recidivism", {}),
    "privacy.unlearning": ("forgotten", {"reference": "retrained"}),
}
_PILLARS: Mapping[str, str] = {
    "performance": "recidivism", "calibration": "garments", "fairness": "recidivism",
    "robustness": "garments-models", "efficiency": "garments", "explainability": "garments-models",
    "privacy": "members",
}  # fmt: skip
#: Attacks that are measured in another norm, with less, or nothing else than their defaults.
_ATTACKS: Mapping[str, Mapping[str, Any]] = {
    "autoattack": {"steps": 20, "queries": 500, "items": 30},
    "boundary": {"norm": "l2", "eps": 1.5, "items": 20, "queries": 2000},
    "carlini_wagner": {"norm": "l2", "eps": 1.5, "items": 10},
    "deepfool": {"norm": "l2", "eps": 1.5, "items": 20},
    "hop_skip_jump": {"norm": "l2", "eps": 1.5, "items": 20},
}


def plan_of_metric(info: MetricInfo) -> Plan:
    """Where and how a metric is measured; what nothing is written down for by its pillar and its example."""
    if info.name in _OTHER:
        data, parameters = _OTHER[info.name]
        return Plan(info.name, data, parameters)
    return Plan(info.name, _PILLARS.get(info.pillar, "recidivism"), _suited(info))


def _suited(info: MetricInfo) -> dict[str, Any]:
    """The example's parameters, without what the items do not have."""
    given = parameters_of(info)
    return {key: value for key, value in given.items() if key not in ("threshold", "defence")}


def plan_of_attack(info: AttackInfo) -> Plan:
    """An attack by itself, as the metric `robustness.attack` runs it."""
    common = {"norm": info.norms[0], "eps": 0.1, "items": 60, "check_items": 0}
    return Plan("robustness.attack", "garments-models", {**common, **_ATTACKS.get(info.name, {}), "attack": info.name})


def plan_of_defence(info: DefenceInfo) -> Plan:
    """A defence with and without an attack that asks what is defended."""
    parameters = {"attack": "pgd", "norm": "l2", "eps": 1.0, "items": 60, "defence": info.name, "check_items": 0}
    return Plan("robustness.conditions", "garments-models", parameters)
