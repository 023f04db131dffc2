"""Typed parameters as rows of a table: type, default, bounds, what they mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

#: What parameters that many metrics and attacks share mean.
HELP: Mapping[str, str] = {
    "attribute": "attribute of the split, declared in `attributes`",
    "about": "which class the rates are about",
    "engine": "`native`, or the library that computes the value in its place",
    "threshold": "the positive class from this probability on; `tuned`: the best one on the validation split",
    "items": "items drawn by the run's seed; without it all of the split",
    "eps": "budget: the largest change of an item, in the units of the inputs",
    "norm": "how a change is measured",
    "attack": "one of the [attacks](../attacks/); its own parameters stand beside it",
    "attacks": "[attacks](../attacks/) that are run one after the other",
    "attack_parameters": "for each attack its own parameters",
    "defence": "one of the [defences](../defences/), put before the model",
    "defence_parameters": "those of the defence",
    "check_items": "items that the validity checks look at; 0 switches them off",
    "check_queries": "most questions an item that one check may ask",
    "method": "how attributions are made", "privacy.method": "how scores of membership are made",
    "methods": "explanations that are put in order",
    "loss": "what is climbed, or explained: margin of the class over the best other, or its log-probability",
    "baseline": "what hidden parts become: a number in the units of the inputs, or the mean item",
    "windows": "most windows that `occlusion` hides in turn", "efficiency.windows": "windows that are measured",
    "points": "equal steps in which parts go or come",
    "steps": "gradient steps", "explainability.steps": "points on the path of `integrated_gradients`",
    "privacy.steps": "steps of training",
    "restarts": "random starts beside the plain one",
    "bisections": "searches for the nearest example, over the budget",
    "step_size": "length of a step in the units of eps",
    "queries": "most questions about an item",
    "starts": "random points tried for a start where no other item gives one",
    "bins": "bins of the probability",
    "scheme": "bins of equal width, or of about as many items each",
    "minimum": "fewest items, of a bin or of a group",
    "average": "of the positive class, or the mean over classes",
    "objective": "which of SPD, DI, EOD and AOD is reported, and what a rule is fitted for",
    "alpha": "which entropy: 1 is Theil's, 2 half the squared coefficient of variation",
    "between_what": "the two sides, or each value of the attribute",
    "concentration": "weight of the prior that draws shares to one half",
    "of": "shares of what the submission says, or of the labels",
    "present": "the value of the attribute; the privileged one unless given",
    "draws": "pairs of control groups",
    "rate": "which rate of the groups is compared", "privacy.rate": "expected batch over training items",
    "level": "of the tests, corrected for their number",
    "neighbours": "nearest items that are compared, the item among them",
    "k": "places that count",
    "lower": "smallest value of the objective that is sought", "upper": "largest one",
    "thresholds": "thresholds that are tried",
    "fallback": "what is taken where nothing is within the bounds: the closest, or AIF360's choice",
    "cost": "which error of the scores is made equal",
    "repeats": "times that each question is timed",
    "warm_up": "questions before them that do not count",
    "batch_sizes": "items of a question; the first is the one that latency is of",
    "batch_size": "items of a question", "batch": "items of a question, or of a step",
    "smallest": "smallest size", "largest": "largest size", "hop_skip_jump.largest": "most probes of one estimate",
    "sizes": "how many sizes, in geometric steps",
    "seconds": "the most that it may take", "efficiency.energy.seconds": "length of a window",
    "pue": "overhead of the building (PUE)", "grid": "grams of CO2e a kilowatt-hour",
    "watts": "declared power, for the estimate",
    "kinds": "corruptions", "severities": "from 1, mild, to 5",
    "push": "move scores as far as the budget allows where that changes no class",
    "radius": "length of the change of an input, in its units", "samples": "neighbours of each item",
    "scale": "whether the size of the explanation is divided out",
    "hidden": "inputs that an attacker does not know", "label": "whether an attacker knows the true label",
    "budget": "questions that the attacker may ask",
    "member": "value of the attribute for items trained on", "non_member": "value for items that were not",
    "reference": "attributes that hold what other models say of each item",
    "delta": "of (ε, δ)-privacy", "confidence": "of the bound",
    "carlini_wagner.confidence": "margin that an example must have",
    "claimed": "an epsilon that is claimed, to be compared",
    "forget": "value of items to be forgotten", "retain": "value of items to be kept",
    "unseen": "value of items never trained on",
    "over": "what grows: items of a question, or the size of an item", "lengths": "how many lengths are asked",
    "source": "whose maps: the submission's own where it offers them, only these, or the platform's",
    "noise": "noise multiplier of DP-SGD",
    "privacy.accuracy_epsilon.noise": "noise multiplier of each level",
    "tolerance": "accuracy that may be lost at the level that counts as reached",
    "pool": "what shadows are trained on", "shadows": "models that the attacker trains",
    "surrogates": "models of the competition's `surrogates`", "draw": "seed of items and attack, the same for all",
    "onward": "gradient steps that carry an example on to the whole budget",
    "quality": "of the JPEG file", "window": "width of the square in pixels",
    "first": "share of the image that the first rectangles take", "initial": "probes of the first estimate",
    "proposals": "sideways steps tried in a round", "around": "length of the first sideways step, relative",
    "toward": "length of the first step nearer, relative", "searches": "weights tried",
    "overshoot": "how far beyond the boundary, relative", "classes": "most likely classes that are looked at",
    "sureness": "margin beyond which an item counts no more", "version": "`rand` for models that answer at random",
}  # fmt: skip
_BOUNDS = (
    ("minimum", "≥ {}"), ("exclusiveMinimum", "> {}"), ("maximum", "≤ {}"), ("exclusiveMaximum", "< {}"),
    ("minItems", "at least {}"), ("maxItems", "at most {}"),
)  # fmt: skip
_WORDS = {
    "string": "text", "integer": "whole number", "number": "number", "boolean": "true or false", "object": "mapping",
    "array": "list", "null": "nothing",
}  # fmt: skip


def table(schema: Mapping[str, Any], doc: str = "", whose: str = "") -> list[str]:
    """Lines of Markdown; a sentence where there is no parameter. `doc` may explain one under `Args:`.

    `whose`: the metric or attack, for parameters whose name means something else there.
    """
    entries = schema.get("properties", {})
    if not entries:
        return ["It takes no parameters."]
    said = told(doc)
    lines = ["| parameter | type | default | bounds | meaning |", "|---|---|---|---|---|"]
    for name, entry in entries.items():
        default = "required" if name in schema.get("required", []) else _default(entry.get("default"))
        meaning = said.get(name) or entry.get("description") or _help(name, whose)
        cells = (f"`{name}`", kind(entry), default, bounds(entry), meaning)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return lines


def _help(name: str, whose: str) -> str:
    """What a parameter means to this metric or attack, to its pillar, or everywhere."""
    keys = (f"{whose}.{name}", f"{whose.partition('.')[0]}.{name}", name)
    return next((HELP[key] for key in keys if key in HELP), "")


def kind(entry: Mapping[str, Any]) -> str:
    """The type in words, choices spelled out."""
    if "anyOf" in entry:
        parts = [kind(option) for option in entry["anyOf"] if option.get("type") != "null"]
        return " or ".join(dict.fromkeys(parts))
    if "enum" in entry or "const" in entry:
        return ", ".join(f"`{value}`" for value in entry.get("enum", [entry.get("const")]))
    if entry.get("type") == "array":
        inside = entry.get("items") or (entry.get("prefixItems") or [{}])[0]
        return f"list of {kind(inside)}" if inside else "list"
    return _WORDS.get(str(entry.get("type")), "any")


def bounds(entry: Mapping[str, Any]) -> str:
    """What limits the value, or the entries of a list."""
    parts = [text.format(_written(entry[key])) for key, text in _BOUNDS if key in entry]
    parts += [found for option in entry.get("anyOf", []) if (found := bounds(option))]
    inside = bounds(entry["items"]) if isinstance(entry.get("items"), dict) else ""
    return ", ".join([*parts, *([f"each {inside}"] if inside else [])])


def _written(value: float) -> str:
    """A bound: whole numbers in full while they are short."""
    whole = float(value).is_integer() and abs(value) < 1e9
    return f"{int(value):,}" if whole else f"{value:g}"


def _default(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ", ".join(f"`{entry}`" for entry in value) if value else "none"
    return f"`{value}`"


def told(doc: str) -> dict[str, str]:
    """What a docstring says of parameters under `Args:`, by name."""
    if "Args:" not in doc:
        return {}
    part = re.split(r"\n\s*\n", doc.partition("Args:")[2])[0]
    out: dict[str, str] = {}
    for line in re.split(r"\n(?=    \w+:)", part):
        name, _, text = line.strip().partition(":")
        if name.isidentifier():
            out[name] = " ".join(text.split())
    return out
