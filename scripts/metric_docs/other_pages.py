"""The pages of attacks and defences, and the index of all."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from runners import registry
from runners.registry import AttackInfo, DefenceInfo, MetricInfo, get_metric
from scripts.metric_docs import parameters
from scripts.metric_docs.pages import NEEDS, text_of
from scripts.metric_docs.results import result_section

_END = "[All metrics](../README.md) · generated from the registry, `{}.py`"
_ELSEWHERE = (
    "Also in the `attacks` of [`robustness.worst_case`](../robustness/worst_case.md), and wherever a metric has the "
    "parameter `attack`."
)
_INTRODUCTION = (
    "One page for each, generated from the registry (`python -m scripts.metric_docs`); the figures are of results "
    "that were measured (`--measure`). Begin with the [guide](guide.md): how to read a result, thresholds, intervals, "
    "and what belongs to several metrics. The machine-readable form is `runners/spec/catalogue.json`."
)
_PILLARS: Mapping[str, str] = {
    "performance": "How often answers are right.",
    "calibration": "Whether probabilities mean what they say.",
    "fairness": "Whether groups of people, and persons who are alike, are treated alike.",
    "robustness": "What is left when somebody, or the weather, changes the inputs.",
    "efficiency": "What an answer costs.",
    "explainability": "Whether explanations of the answers can be believed.",
    "privacy": "What a submission gives away of its data, of people, and of itself.",
}


def attack_page(info: AttackInfo, entry: Mapping[str, Any] | None) -> str:
    """The page of an attack."""
    norms = " and ".join(info.norms)
    example = f"{{use: robustness.attack, attack: {info.name}, norm: {info.norms[0]}, eps: 0.1, items: 200}}"
    parts = [
        f"# {info.title}", f"Attack `{info.name}`", *text_of(info.function),
        "## Norms and access", f"{norms}. It asks through `{info.requires}`: {NEEDS[info.requires]}.",
        "## Cost", _attack_cost(info),
        "## Parameters", _parameters(info),
        "## In competition.yml", f"```yaml\nmetrics:\n  - {example}\n```",
        _ELSEWHERE,
        *(result_section(get_metric(entry["metric"]), entry, picture=f"attack.{info.name}") if entry else []),
        "## Limits", info.limits, "## Source", f"{info.reference}.", _END.format(_place(info.function)),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def defence_page(info: DefenceInfo, entry: Mapping[str, Any] | None) -> str:
    """The page of a defence."""
    back = "is exact: the derivative itself" if info.path == "exact" else "is a stand-in for the derivative (BPDA)"
    example = f"{{use: robustness.attack, attack: pgd, eps: 0.1, items: 200, defence: {info.name}}}"
    parts = [
        f"# {info.title}", f"Defence `{info.name}`", *text_of(info.function),
        "## Way back for gradients", f"It {back}. An attack on the defended model asks, and differentiates, both.",
        "## Cost", "The change of each input, on the judge's side, at every question; none of the submission.",
        "## Parameters", _parameters(info),
        "## In competition.yml", f"```yaml\nmetrics:\n  - {example}\n```",
        *(result_section(get_metric(entry["metric"]), entry, picture=f"defence.{info.name}") if entry else []),
        "## Limits", info.limits, "## Source", f"{info.reference}.", _END.format(_place(info.function)),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _parameters(info: AttackInfo | DefenceInfo) -> str:
    return "\n".join(
        parameters.table(info.parameters.model_json_schema(), inspect.getdoc(info.function) or "", info.name)
    )


def _attack_cost(info: AttackInfo) -> str:
    if info.queries is None:
        return "It does not say what it asks."
    asked = info.queries({name: field.default for name, field in info.parameters.model_fields.items()})
    total = asked if isinstance(asked, int) else asked.total
    return f"About {total:,} questions for each item attacked, with the defaults, as of an item that holds out."


def _place(function: Any) -> str:
    return str(function.__module__).replace(".", "/")


def index() -> str:
    """One line for each page, by pillar."""
    known = registry.metrics()
    pillars = dict.fromkeys([*_PILLARS, *(info.pillar for info in known.values())])
    parts = [
        "# Metrics, attacks and defences",
        _INTRODUCTION,
    ]
    for pillar in pillars:
        found = [info for info in known.values() if info.pillar == pillar]
        if found:
            parts += [f"## {pillar.capitalize()}", _PILLARS.get(pillar, ""), "\n".join(map(_line, found))]
    attacks = [f"* [`{a.name}`](attacks/{a.name}.md): {a.title}. {a.summary}" for a in registry.attacks().values()]
    defences = [f"* [`{d.name}`](defences/{d.name}.md): {d.title}. {d.summary}" for d in registry.defences().values()]
    parts += ["## Attacks", "\n".join(attacks), "## Defences", "\n".join(defences)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _line(info: MetricInfo) -> str:
    summary = " ".join(info.summary.split()).replace("<", "&lt;").replace("*", "\\*")
    return f"* [`{info.name}`]({info.pillar}/{info.name.partition('.')[2]}.md): {info.title}. {summary}"
