"""Every metric of the catalogue can be filled in, and what is left as it was by default is not written."""

import pytest

from runners.spec.parameters import parameter_problems
from touchstone.drafts.metric_parameters import KNOWN, Choices, parameters_of, read, shown

CHOICES = Choices(attributes=("sex", "race"), surrogates=("small",))
REQUIRED = {
    "attribute": "sex", "attack": "pgd", "attacks": ["pgd"], "eps": 0.5, "radius": 0.1, "surrogates": ["small"],
}  # fmt: skip


def _posted(metric, values):
    return {p.name: shown(p, values) for p in parameters_of(metric, values, CHOICES)}


def _required(metric):
    schema = KNOWN["metrics"][metric]["parameters"]
    listed = schema.get("properties", {}).get("attribute", {}).get("type") == "array"
    given = {**REQUIRED, "attribute": ["sex"]} if listed else REQUIRED
    return {name: given[name] for name in schema.get("required", [])}


@pytest.mark.parametrize("metric", sorted(KNOWN["metrics"]))
def test_defaults_survive(metric):
    values = _required(metric)
    found = read(metric, _posted(metric, values), CHOICES)
    assert (found.values, found.problems) == (values, {})
    names = {p.last for p in parameters_of(metric, values, CHOICES)}
    assert names >= set(KNOWN["metrics"][metric]["parameters"].get("properties", {})) - {
        "defence_parameters",
        "attack_parameters",
    }


@pytest.mark.parametrize("attack", sorted(KNOWN["attacks"]))
def test_defaults_of_attacks_survive(attack):
    values = {"attack": attack, "eps": 0.5, "norm": KNOWN["attacks"][attack]["norms"][-1], "defence": "jpeg"}
    schema = KNOWN["metrics"]["robustness.attack"]["parameters"]["properties"]["norm"]
    expected = {k: v for k, v in values.items() if k != "norm" or v != schema["default"]}
    posted = _posted("robustness.attack", values)
    assert set(KNOWN["attacks"][attack]["parameters"]["properties"]) <= set(posted)
    assert read("robustness.attack", posted, CHOICES).values == expected


CASES = [
    ("performance.accuracy", {"threshold": "tuned"}, {"threshold": "tuned"}),
    ("performance.accuracy", {"threshold": "0.25"}, {"threshold": 0.25}),
    ("efficiency.latency", {"batch_sizes": "1, 8"}, {"batch_sizes": [1, 8]}),
    ("privacy.attribute_inference", {"attribute": "sex", "hidden": "a, b"}, {"attribute": "sex", "hidden": ["a", "b"]}),
    ("privacy.membership_inference", {"attribute": "sex", "reference": "a, b"}, None),
    ("fairness.consistency", {"items": ""}, {"items": None}),
    ("robustness.corruptions", {"kinds": ["fog", "snow"]}, {"kinds": ["snow", "fog"]}),
    (
        "robustness.worst_case",
        {"attacks": ["square", "pgd"], "eps": "1", "attack_parameters.pgd.steps": "7"},
        {"attacks": ["pgd", "square"], "eps": 1.0, "attack_parameters": {"pgd": {"steps": 7}}},
    ),
    (
        "robustness.attack",
        {"attack": "pgd", "eps": "0.1", "steps": "9", "defence": "jpeg", "defence_parameters.quality": "60"},
        {"attack": "pgd", "eps": 0.1, "steps": 9, "defence": "jpeg", "defence_parameters": {"quality": 60}},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("metric", "typed", "expected"), CASES)
def test_reads(metric, typed, expected):
    values = _required(metric)
    given = {
        **_posted(metric, {**values, **{k: typed[k] for k in ("attack", "attacks", "defence") if k in typed}}),
        **typed,
    }
    found = read(metric, given, CHOICES)
    assert found.problems == {}
    if expected is not None:
        assert found.values == expected
    schema = KNOWN["metrics"][metric]["parameters"]
    also = KNOWN["attacks"]["pgd"]["parameters"] if found.values.get("attack") else None
    assert parameter_problems(schema, found.values, also=also) == []
    assert read(metric, _posted(metric, found.values), CHOICES) == found


WRONG = [
    ("performance.accuracy", {"threshold": "a half"}, "threshold", "or tuned"),
    ("performance.accuracy", {"threshold": "1.5"}, "threshold", "at most 1"),
    ("efficiency.latency", {"batch_sizes": "1, x"}, "batch_sizes", "whole number"),
    ("efficiency.latency", {"batch_sizes": "0"}, "batch_sizes", "at least 1"),
    ("efficiency.latency", {"repeats": "5"}, "repeats", "at least 30"),
    ("efficiency.energy", {"seconds": "0,5"}, "seconds", "point"),
    ("efficiency.energy", {"seconds": "1e999"}, "seconds", "finite"),
    ("robustness.attack", {"attack": "", "eps": "1"}, "attack", "needed"),
    ("robustness.attack", {"attack": "deepfool", "eps": "1", "norm": "linf"}, "norm", "DeepFool"),
    ("robustness.attack", {"attack": "pgd", "eps": ""}, "eps", "needed"),
    ("robustness.attack", {"attack": "pgd", "eps": "1", "steps": "0"}, "steps", "at least 1"),
    ("robustness.attack", {"attack": "pgd", "eps": "1", "defence": "jpeg", "defence_parameters.quality": "0"},
     "defence_parameters.quality", "at least 1"),
    ("robustness.worst_case", {"attacks": [], "eps": "1"}, "attacks", "at least one"),
    ("privacy.membership_inference", {"attribute": "sex", "reference": "a"}, "reference", "2 values"),
    ("fairness.disparate_impact", {"attribute": ""}, "attribute", "needed"),
]  # fmt: skip


@pytest.mark.parametrize(("metric", "typed", "name", "says"), WRONG)
def test_says_what_is_wrong(metric, typed, name, says):
    found = read(metric, typed, CHOICES)
    assert says in " ".join(found.problems[name])
