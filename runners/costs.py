"""What metrics will ask, from the committed catalogue alone: for whoever has none of the evaluators' libraries.

Metrics and attacks declare what they ask beside their code, and `runners.forecast` adds that up where they are
installed. Here are the same counts as arithmetic on their parameters; a test holds the two against each other for every
metric and attack. A metric of an extension is not in it: `foretell` leaves it out, and `asks_something` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from runners.forecast import Forecast
from runners.registered import Access, Asks, Cost, Need
from runners.spec.catalogue_file import catalogue
from runners.spec.models import MetricUse
from runners.spec.parameters import parameter_problems

Parameters = Mapping[str, Any]
#: Questions of drawing an example to the boundary, and of the parts of AutoAttack and of ART's Carlini and Wagner.
_SHRINK, _SAMPLES, _TARGETED, _ART_ROUND = 16, 20, 1 + 2 * 9 * 4, Asks(10, 2)
_CHECKS = Asks(20, 10)
_SHORT = 200


def _pgd(p: Parameters) -> Asks:
    if p["engine"] == "art":
        starts = max(1, p["restarts"])
        return Asks(2 + starts, starts * p["steps"])
    starts, bisections = p["restarts"] + 1, p["bisections"]
    answers = 2 + starts * (1 + bisections) + (1 + min(bisections, 2)) * _SHRINK
    return Asks(answers, starts * p["steps"] * max(1, bisections))


def _apgd(p: Parameters) -> Asks:
    steps = (p["restarts"] + 1) * (p["steps"] + 1) * (2 if p["loss"] == "dlr" else 1)
    return Asks(2 + (1 + min(p["bisections"], 2)) * _SHRINK, steps * max(1, p["bisections"]))


def _autoattack(p: Parameters) -> Asks:
    rand = p["version"] == "rand"
    return Asks(0, 6 * _SAMPLES * p["steps"]) if rand else Asks(p["queries"], p["steps"] * _TARGETED)


def _carlini_wagner(p: Parameters) -> Asks:
    rounds = p["searches"] * p["steps"]
    return Asks(2) + _ART_ROUND * rounds if p["engine"] == "art" else Asks(1 + _SHRINK, rounds)


_ATTACKS: dict[str, Callable[[Parameters], Asks]] = {
    "apgd": _apgd,
    "autoattack": _autoattack,
    "boundary": lambda p: Asks(p["queries"]),
    "carlini_wagner": _carlini_wagner,
    "deepfool": lambda p: Asks(_SHRINK + p["steps"], p["steps"] * p["classes"]),
    "fgsm": lambda p: Asks(2, 2) if p["engine"] == "art" else Asks(1, 1),
    "hop_skip_jump": lambda p: Asks(p["queries"]),
    "pgd": _pgd,
    "square": lambda p: Asks(p["queries"] * (3 if p["engine"] == "art" else 1)),
    "universal": lambda p: Asks(2, p["steps"] * (300 if p["engine"] == "art" else 1)),
}


@dataclass(frozen=True)
class _Plan:
    """An attack with all its parameters."""

    name: str
    typed: Parameters

    @property
    def asks(self) -> Asks:
        return _ATTACKS[self.name](self.typed)

    @property
    def white(self) -> bool:
        return bool(catalogue_attack(self.name)["requires"] == "gradients")

    def changed(self, **typed: Any) -> _Plan:
        return replace(self, typed={**self.typed, **{key: typed[key] for key in typed if key in self.typed}})


def catalogue_attack(name: str) -> dict[str, Any]:
    """An attack's entry in the catalogue. Raises `KeyError` for one that is not in it."""
    entry: dict[str, Any] = _KNOWN["attacks"][name]
    return entry


_KNOWN = catalogue()


def _defaults(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {key: entry["default"] for key, entry in schema.get("properties", {}).items() if "default" in entry}


def _plan(name: str, given: Parameters) -> _Plan:
    schema = catalogue_attack(name)["parameters"]
    own = {key: value for key, value in given.items() if key in schema["properties"] and value is not None}
    return _Plan(name, {**_defaults(schema), **own})


def _checks(p: Parameters, items: int, plans: Sequence[_Plan]) -> Asks:
    """The most that the report beside a robust accuracy asks."""
    if not p["check_items"]:
        return Asks(0)
    most = p["check_queries"]
    short = [plan.changed(bisections=0) for plan in plans]
    again = [*short, *(plan.changed(restarts=0, queries=min(_SHORT, most)) for plan in short)]
    for plan in short:
        steps = next((name for name in ("steps", "iterations", "queries") if isinstance(plan.typed.get(name), int)), "")
        again += [plan.changed(**{steps: 2 * plan.typed[steps]})] if steps else []
    # The second white-box attack is PGD, whatever the attacks of the metric are.
    second = [_plan("pgd", {"bisections": 0})] if plans else []
    every = [plan for plan in again if plan.asks.total <= most] + second
    each = _CHECKS + sum((plan.asks for plan in every), Asks(max(most, 100)))
    return each * int(min(items, p["check_items"]))


def _attacked(p: Parameters, items: int, each: Asks, *, checks: bool, timed: bool = False) -> Cost:
    """A metric that attacks chosen items once, or twice where a defence is compared with none."""
    plan, chosen = _plan(p["attack"], p), min(items, p["items"] or items)
    asked = (each + plan.asks) * chosen
    if timed:
        asked += Asks(2 * (p["repeats"] + 1) * min(p["batch"], chosen))
    asked += _checks(p, chosen, [plan]) if checks else Asks(0)
    return Cost.of(asked, least=chosen, access="gradients" if plan.white else "queries")


def _twice(p: Parameters, cost: Cost, *, answers: int = 0) -> Cost:
    """With and without the defence; `answers` more where there is one."""
    if p["defence"] is None:
        return cost
    asked = Asks(cost.typical - cost.backward, cost.backward) * 2 + Asks(answers)
    return Cost.of(asked, least=2 * cost.least, access=cost.access)


def _worst_case(p: Parameters, items: int) -> Cost:
    plans = [_plan(name, (p["attack_parameters"] or {}).get(name, {})) for name in p["attacks"]]
    chosen = min(items, p["items"] or items)
    each = sum((plan.asks for plan in plans), Asks(2 * len(plans)))
    access: Access = "gradients" if all(plan.white for plan in plans) else "queries"
    return Cost.of(each * chosen + _checks(p, chosen, plans), least=chosen, access=access)


def _flat(typical: int, *, least: int | None = None, seconds: float = 0.0) -> Cost:
    return Cost(least=typical if least is None else least, typical=typical, seconds=seconds)


def _latency(p: Parameters, _items: int) -> Cost:
    sizes = sum(set(p["batch_sizes"]))
    return _flat(sizes * (p["warm_up"] + p["repeats"]), least=sizes * p["warm_up"])


def _energy(p: Parameters, _items: int) -> Cost:
    return _flat(p["batch_size"] * (p["windows"] + 1), seconds=p["windows"] * p["seconds"])


def _time_complexity(p: Parameters, _items: int) -> Cost:
    smallest, count = p["smallest"], p["sizes"]
    growth = (max(smallest, p["largest"]) / smallest) ** (1 / (count - 1))
    batches = p["over"] == "batch"
    items = int(sum(smallest * growth**step for step in range(count)) + 1e-6) if batches else count
    return _flat(items * (p["repeats"] + 1) + (smallest if batches else 1), least=0)


def _corruptions(p: Parameters, items: int) -> Cost:
    chosen = min(items, p["items"] or items)
    return _flat(chosen * (1 + len(set(p["kinds"])) * len(set(p["severities"]))))


def _explained(p: Parameters, method: str | None = None) -> Asks:
    """One explanation; the submission's own takes one question."""
    if p["source"] == "submission" and method is None:
        return Asks(1)
    name = method or p["method"]
    if name == "occlusion":
        return Asks(p["windows"] + 1)
    return Asks(0, p["steps"] if name == "integrated_gradients" else 1)


def _explanations(p: Parameters, items: int, *, times: int = 1, more: int = 0) -> Cost:
    """A question an item, `times` explanations of it, and `more` questions."""
    chosen = min(items, p["items"])
    asked = (Asks(1 + more) + _explained(p) * times) * chosen
    access: Access = "queries" if p["method"] == "occlusion" else "gradients"
    return Cost.of(asked, least=chosen, access="explanations" if p["source"] == "submission" else access)


def _rank_agreement(p: Parameters, items: int) -> Cost:
    chosen, own = min(items, p["items"]), int(p["source"] == "submission")
    removals = (len(p["methods"]) + own + 1) * (2 * (p["points"] + 1) + 1)
    asked = sum((_explained(p, method) for method in p["methods"]), Asks(1 + own + removals)) * chosen
    access: Access = "queries" if set(p["methods"]) <= {"occlusion"} else "gradients"
    return Cost.of(asked, least=chosen, access="explanations" if own else access)


_METRICS: dict[str, Callable[[Parameters, int], Cost]] = {
    "efficiency.energy": _energy,
    "efficiency.latency": _latency,
    "efficiency.latency_per_token": lambda p, _n: _flat(p["lengths"] * (p["repeats"] + 1) + 1, least=0),
    "efficiency.time_complexity": _time_complexity,
    "explainability.average_drop": lambda p, n: _explanations(p, n, more=6),
    "explainability.deletion_insertion": lambda p, n: _explanations(p, n, more=4 * (p["points"] + 1)),
    "explainability.randomisation": lambda p, n: _explanations(p, n, times=2),
    "explainability.rank_agreement": _rank_agreement,
    "explainability.sparsity": _explanations,
    "explainability.stability": lambda p, n: _explanations(p, n, times=p["samples"] + 1),
    "privacy.extraction_fidelity": lambda p, _n: _flat(p["budget"], least=0),
    "robustness.attack": lambda p, n: _attacked(p, n, Asks(2), checks=True),
    "robustness.bias": lambda p, n: _twice(p, _attacked(p, n, Asks(2), checks=True)),
    "robustness.conditions": lambda p, n: _twice(p, _attacked(p, n, Asks(3, 1), checks=True, timed=True)),
    "robustness.confidence": lambda p, n: _attacked(p, n, Asks(3, 1), checks=False),
    "robustness.corruptions": _corruptions,
    "robustness.mitigated_bias": lambda p, n: _twice(
        p, _attacked(p, n, Asks(3, 1), checks=True, timed=True), answers=n
    ),
    "robustness.transfer": lambda p, n: _flat(min(n, p["items"] or n) * (1 + len(set(p["surrogates"])))),
    "robustness.worst_case": _worst_case,
}


def asks_something(metric: str) -> bool:
    """Whether what a metric asks is known here; one that only reads answers asks nothing."""
    return metric in _METRICS


def foretell(
    uses: Iterable[MetricUse], *, items: int, access: Collection[Access] | None = None, lacking: Collection[Need] = ()
) -> list[Forecast]:
    """As `runners.forecast.forecast`, without the metrics themselves. Uses with wrong parameters ask nothing."""
    found = []
    for use in uses:
        entry = _KNOWN["metrics"].get(use.use)
        if entry is None or use.use not in _METRICS or not set(lacking).isdisjoint(entry["needs"]):
            continue
        if _wrong(use, entry["parameters"]):
            continue  # the check of the competition says what is wrong
        cost = _METRICS[use.use]({**_defaults(entry["parameters"]), **use.parameters}, items)
        if access is None or cost.access in access:
            backward = cost.backward if access is None or "gradients" in access else 0
            of = (use.prefix, use.use, _names(use), cost.access)
            found.append(Forecast(*of, cost.least, cost.typical, backward, cost.seconds))
    return found


def _wrong(use: MetricUse, schema: Mapping[str, Any]) -> bool:
    name, own = use.parameters.get("attack"), schema["properties"]
    several = use.parameters.get("attacks") if "attacks" in own else None
    attack = _KNOWN["attacks"].get(name) if "attack" in own and isinstance(name, str) else None
    if parameter_problems(schema, use.parameters, also=attack["parameters"] if attack else None):
        return True
    if "attack" in own and (
        attack is None or use.parameters.get("norm", own["norm"]["default"]) not in attack["norms"]
    ):
        return True
    return isinstance(several, list) and not set(several) <= set(_KNOWN["attacks"])


def _names(use: MetricUse) -> str:
    several = use.parameters.get("attacks")
    names = several if isinstance(several, list) else [use.parameters.get("attack") or ""]
    return ", ".join(str(name) for name in names)
