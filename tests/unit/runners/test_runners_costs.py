"""The counts that need none of the evaluators' libraries are those that metrics and attacks declare."""

import itertools

import pytest

from runners.costs import asks_something, foretell
from runners.forecast import forecast
from runners.registry import attacks, metrics
from runners.spec.models import MetricUse

REQUIRED = {"eps": 0.5, "radius": 0.1, "surrogates": ["a", "b"], "attribute": "sex", "attacks": ["pgd", "square"]}
ASKING = sorted(name for name, info in metrics().items() if info.queries is not None)
WITH_ATTACK = [name for name in ASKING if "attack" in metrics()[name].parameters.model_fields]
#: Other values than the defaults, of whatever has them.
VARIED = [
    {"items": 7, "repeats": 5, "batch": 3}, {"check_items": 0}, {"check_items": 9, "check_queries": 100},
    {"check_queries": 100000}, {"defence": "jpeg"}, {"steps": 30, "restarts": 0}, {"steps": 3, "restarts": 4},
    {"bisections": 0}, {"bisections": 1}, {"bisections": 9}, {"engine": "art"}, {"engine": "art", "restarts": 0},
    {"loss": "margin"}, {"loss": "dlr"}, {"version": "rand"}, {"queries": 60}, {"searches": 2}, {"classes": 3},
    {"source": "submission"}, {"method": "saliency"}, {"method": "integrated_gradients", "steps": 8},
    {"methods": ["occlusion"]}, {"methods": ["saliency", "occlusion"], "points": 4}, {"windows": 9}, {"samples": 3},
    {"smallest": 3, "largest": 77, "sizes": 6}, {"over": "input"}, {"batch_sizes": [1, 8, 8]}, {"budget": 50},
    {"kinds": ["fog", "snow"], "severities": [1, 3]}, {"lengths": 7}, {"seconds": 1.0, "windows": 6},
    {"attacks": ["fgsm", "hop_skip_jump"], "attack_parameters": {"hop_skip_jump": {"queries": 90}}},
    {"attacks": ["apgd"], "attack_parameters": {"apgd": {"loss": "margin"}}},
]  # fmt: skip


def _use(name, **more):
    fields = metrics()[name].parameters.model_fields
    attack = attacks().get(more.get("attack", "")) if name in WITH_ATTACK else None
    known = {*fields, *(attack.parameters.model_fields if attack else ())}
    given = {key: value for key, value in {**REQUIRED, **more}.items() if key in known}
    if attack is not None and name in WITH_ATTACK:
        given["norm"] = attack.norms[0]
    return MetricUse(use=name, **given)


def test_every_metric_that_asks_is_known():
    assert [name for name in metrics() if asks_something(name)] == ASKING


@pytest.mark.parametrize("name", ASKING)
def test_as_the_metric_declares(name):
    names = [""] if name not in WITH_ATTACK else sorted(attacks()) if name == "robustness.attack" else ["pgd", "square"]
    found = 0
    for more, attack, items in itertools.product([{}, *VARIED], names, (1000, 5)):
        use = _use(name, **({"attack": attack} if attack else {}), **more)
        declared = forecast([use], items=items)
        if declared:  # settings that the metric refuses are no case
            found += 1
            assert foretell([use], items=items) == declared, (more, attack, items)
    assert found >= 30


@pytest.mark.parametrize("access", [(), ("queries",), ("queries", "explanations"), ("queries", "gradients")])
def test_as_the_submission_offers(access):
    uses = [_use(name, attack="pgd") for name in ASKING]
    given = {"items": 20, "access": access, "lacking": ("favourable", "surrogates")}
    assert foretell(uses, **given) == forecast(uses, **given)


@pytest.mark.parametrize(
    "parameters", [{"attack": "pgdd"}, {"attack": None}, {"attack": "pgd", "steps": "many"}, {"attack": "deepfool"}]
)
def test_wrong_parameters_ask_nothing(parameters):
    assert foretell([MetricUse(use="robustness.attack", eps=1.0, **parameters)], items=5) == []
