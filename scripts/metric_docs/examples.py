"""An example of each metric in competition.yml: parameters that fit it, and what else the file has to declare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runners.registry import MetricInfo

#: What a parameter without a default is set to, by its name.
_GIVEN: Mapping[str, Any] = {
    "attribute": "race",
    "attack": "pgd",
    "attacks": ["fgsm", "pgd", "square"],
    "eps": 0.1,
    "norm": "linf",
    "radius": 0.1,
    "surrogates": ["plain", "robust"],
}
#: What an example says beside, or instead.
_MORE: Mapping[str, Mapping[str, Any]] = {
    "performance.accuracy": {"threshold": 0.5},
    "performance.top_k_accuracy": {"k": 3},
    "calibration.expected_calibration_error": {"bins": 10},
    "fairness.reject_option": {"objective": "di"},
    "fairness.equalized_odds_postprocessing": {"objective": "eod"},
    "fairness.intersectional_gap": {"rate": "false_positive_rate", "about": "positive"},
    "fairness.relative_performance": {"present": "African-American"},
    "robustness.attack": {"as": "pgd", "items": 200, "steps": 40},
    "robustness.worst_case": {"items": 200},
    "robustness.conditions": {
        "attack": "hop_skip_jump", "norm": "l2", "eps": 1.5, "items": 100, "queries": 1000,
        "defence": "median_smoothing",
    },
    "robustness.bias": {"eps": 0.02, "items": 1000},
    "robustness.corruptions": {"items": 500},
    "robustness.overfitting_gap": {"attribute": "epoch"},
    "efficiency.latency": {"batch_sizes": [1, 64]},
    "efficiency.energy": {"grid": 250, "watts": 15},
    "explainability.average_drop": {"items": 50},
    "explainability.deletion_insertion": {"method": "integrated_gradients"},
    "privacy.membership_inference": {"attribute": "member"},
    "privacy.dp_epsilon_lower_bound": {"claimed": 8},
    "privacy.unlearning": {"reference": "retrained"},
    "privacy.attribute_inference": {"attribute": "race"},
    "privacy.accounted_epsilon": {"noise": 1.1, "rate": 0.01, "steps": 10000, "delta": 1e-5, "claimed": 3},
    "privacy.accuracy_epsilon": {"noise": [8, 4, 2, 1], "rate": 0.05, "steps": 300},
}  # fmt: skip
#: Attributes that the examples name, and how each is declared.
ATTRIBUTES: Mapping[str, Mapping[str, Any]] = {
    "race": {"privileged": "Caucasian"},
    "sex": {"privileged": "Female"},
    "epoch": {"privileged": "60"},
    "epsilon": {"privileged": "inf"},
    "member": {"privileged": "no"},
    "unlearning": {"privileged": "unseen"},
    "retrained": {"privileged": "coat"},
}
_TASK = {"kind": "binary", "classes": ["no_recidivism", "recidivism"], "positive": "recidivism"}


def use_of(info: MetricInfo) -> dict[str, Any]:
    """The entry of the example under `metrics`: `use`, and parameters."""
    schema = info.parameters.model_json_schema()
    given: dict[str, Any] = {}
    for name in schema.get("required", []):
        entry = schema["properties"][name]
        value = _GIVEN.get(name, _any_value(entry))
        given[name] = ["race", "sex"] if name == "attribute" and entry.get("type") == "array" else value
    return {"use": info.name, **given, **_MORE.get(info.name, {})}


def parameters_of(info: MetricInfo) -> dict[str, Any]:
    """The parameters of the example alone."""
    return {key: value for key, value in use_of(info).items() if key not in ("use", "as")}


def _any_value(entry: Mapping[str, Any]) -> Any:
    """A value that a schema allows, for a parameter whose name says nothing."""
    if "enum" in entry:
        return entry["enum"][0]
    if entry.get("type") == "array":
        return [_any_value(entry.get("items", {}))] * max(1, entry.get("minItems", 1))
    if entry.get("type") in ("integer", "number"):
        low = entry.get("minimum", entry.get("exclusiveMinimum", 0) + 1)
        return min(low, entry.get("maximum", low))
    return "name"


def fragment(info: MetricInfo) -> dict[str, Any]:
    """The parts of competition.yml that the metric asks for, beside those every competition has."""
    use = use_of(info)
    out: dict[str, Any] = {}
    if "favourable" in info.needs or "binary" in info.needs:
        out["task"] = {**_TASK, **({"favourable": "no_recidivism"} if "favourable" in info.needs else {})}
    if "attributes" in info.needs:
        out["attributes"] = {name: dict(ATTRIBUTES[name]) for name in _attributes(info, use) if name in ATTRIBUTES}
    if "surrogates" in info.needs:
        out["surrogates"] = {name: f"surrogates/{name}.onnx" for name in use["surrogates"]}
    if info.name == "efficiency.latency_per_token":
        out["input"] = {"kind": "array", "shape": [256, 16], "sizes": {"axes": [0], "least": 64, "most": 2048}}
    if "validation" in info.needs:
        out["phases"] = [
            {"slug": "main", "split": "test", "validation": "open", "opens": "2026-01-01T00:00Z"},
        ]  # fmt: skip
    return {**out, "metrics": [use]}


def _attributes(info: MetricInfo, use: Mapping[str, Any]) -> list[str]:
    """The attributes that an example names, by itself or by default."""
    defaults = {name: field.default for name, field in info.parameters.model_fields.items()}
    named = use.get("attribute", defaults.get("attribute"))
    out = list(named) if isinstance(named, list | tuple) else [str(named)]
    reference = use.get("reference")
    return out + ([reference] if isinstance(reference, str) else [])


def yaml_of(part: Mapping[str, Any]) -> str:
    """The fragment as the text of a page: one key a line, what is below it in flow style."""
    lines = []
    for key, value in part.items():
        if key in ("metrics", "phases"):
            lines += [f"{key}:", *(f"  - {_flow(entry)}" for entry in value)]
        elif key in ("task", "input"):
            lines.append(f"{key}: {_flow(value)}")
        else:
            lines += [f"{key}:", *(f"  {name}: {_flow(entry)}" for name, entry in value.items())]
    return "\n".join(lines) + "\n"


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flow(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_flow(entry) for entry in value) + "]"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    # YAML would read these as a truth value or a number.
    text = str(value)
    return f'"{text}"' if isinstance(value, str) and (text in ("yes", "no") or text.isdigit()) else text
