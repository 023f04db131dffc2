"""Cross checks of the metrics: do they exist, are their parameters right, do their needs hold?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from runners.spec.catalogue_file import Offer, catalogue, offer_of
from runners.spec.defects import Defect, Loc, suggestion
from runners.spec.draft import Draft
from runners.spec.models import MetricUse
from runners.spec.parameters import parameter_problems


def metric_defects(draft: Draft, offer: Offer) -> Iterator[Defect]:
    """Defects of the metrics. Fills `offer` with the result keys they give."""
    known = catalogue()
    for index, use in draft.metrics.items():
        entry = known["metrics"].get(use.use)
        loc: Loc = ("metrics", index)
        if entry is None:
            hint = suggestion(use.use, known["metrics"], what="Metrics")
            yield draft.defect("unknown_metric", (*loc, "use"), f"there is no metric named {use.use}", hint)
            continue
        yield from _parameters(draft, loc, use, entry, known["attacks"])
        yield from _conditions(draft, loc, use, entry["parameters"].get("properties", {}), known)
        yield from _needs(draft, loc, use, entry)
        if "surrogates" in entry["needs"]:
            yield from _surrogates(draft, loc, use)
        doubled = offer.add(offer_of(use, entry, draft.names("attributes")))
        if doubled:
            text = f"an earlier metric already gives the result {doubled[0]}"
            yield draft.defect("duplicate", loc, text, "Give this one a name of its own with `as: ...`.")


def _parameters(
    draft: Draft, loc: Loc, use: MetricUse, entry: dict[str, Any], attacks: dict[str, Any]
) -> Iterator[Defect]:
    given = dict(use.parameters)
    raw = draft.raw["metrics"][loc[1]]
    if "alias" in raw:  # the model's own word for `as`
        given.pop("alias", None)
        yield draft.defect("unknown_parameter", (*loc, "alias"), "`alias` is not a key here", "Did you mean as?")
    schema = entry["parameters"]
    name = given.get("attack") if "attack" in schema.get("properties", {}) else None
    attack = attacks.get(name) if isinstance(name, str) else None
    if isinstance(name, str) and attack is None:
        hint = suggestion(name, attacks, what="Attacks")
        yield draft.defect("unknown_attack", (*loc, "attack"), f"there is no attack named {name}", hint)
    also = attack["parameters"] if attack else None
    problems = parameter_problems(schema, given, also=also)
    if attack is not None and not any(problem.loc == ("norm",) for problem in problems):
        norm = given.get("norm")
        if isinstance(norm, str) and norm not in attack["norms"]:
            hint = suggestion(norm, attack["norms"], what="Norms it knows")
            yield draft.defect("parameter", (*loc, "norm"), f"the attack {name} does not know the norm {norm}", hint)
    for problem in problems:
        if problem.loc == ("attack",) and isinstance(name, str) and attack is None:
            continue  # told above, in better words
        yield draft.defect(problem.code, (*loc, *problem.loc), problem.message, problem.hint)


def _conditions(
    draft: Draft, loc: Loc, use: MetricUse, properties: dict[str, Any], known: dict[str, Any]
) -> Iterator[Defect]:
    """Names in a list of attacks, and a defence with its parameters."""
    given = use.parameters
    attacks, defence = given.get("attacks"), given.get("defence")
    for index, name in enumerate(attacks if "attacks" in properties and isinstance(attacks, list) else []):
        if isinstance(name, str) and name not in known["attacks"]:
            hint = suggestion(name, known["attacks"], what="Attacks")
            yield draft.defect("unknown_attack", (*loc, "attacks", index), f"there is no attack named {name}", hint)
    if "defence" not in properties or not isinstance(defence, str):
        return
    if defence not in known["defences"]:
        hint = suggestion(defence, known["defences"], what="Defences")
        yield draft.defect("unknown_defence", (*loc, "defence"), f"there is no defence named {defence}", hint)
        return
    values = given.get("defence_parameters")
    schema = known["defences"][defence]["parameters"]
    for problem in parameter_problems(schema, values if isinstance(values, dict) else {}):
        text = problem.message.replace("this metric", f"the defence {defence}")
        yield draft.defect(problem.code, (*loc, "defence_parameters", *problem.loc), text, problem.hint)


def _surrogates(draft: Draft, loc: Loc, use: MetricUse) -> Iterator[Defect]:
    given, declared = use.parameters.get("surrogates"), draft.names("surrogates")
    for index, name in enumerate(given if isinstance(given, list) else []):
        if isinstance(name, str) and name not in declared:
            hint = suggestion(name, declared, what="Declared in surrogates") or "Add `surrogates: {name: file}`."
            text = f"surrogates has no entry named {name}"
            yield draft.defect("unknown_surrogate", (*loc, "surrogates", index), text, hint)


def _needs(draft: Draft, loc: Loc, use: MetricUse, entry: dict[str, Any]) -> Iterator[Defect]:
    needs = entry["needs"]
    task = draft.task
    if "favourable" in needs and task is not None and task.favourable is None:
        text = f"{use.use} needs to know which outcome is good for people"
        yield draft.defect("missing_favourable", loc, text, "Add `favourable: ...` to task.")
    if "binary" in needs and task is not None and task.kind != "binary":
        yield draft.defect("not_binary", loc, f"{use.use} is defined for two classes only", "Remove the metric.")
    if "validation" in needs and draft.complete("phases") and not any(p.validation for p in draft.phases.values()):
        text = f"{use.use} is fitted on validation items, and no phase has a validation split"
        yield draft.defect("missing_validation", loc, text, "Add `validation: SPLIT` to a phase.")
    if "attributes" in needs:
        yield from _attributes(draft, loc, use)


def _attributes(draft: Draft, loc: Loc, use: MetricUse) -> Iterator[Defect]:
    declared = draft.names("attributes")
    given = use.parameters.get("attribute")
    names = given if isinstance(given, list) else [given]
    for name in names:
        if isinstance(name, str) and name not in declared:
            hint = suggestion(name, declared, what="Declared in attributes") or "Declare it in `attributes`."
            text = f"attributes has no entry named {name}"
            yield draft.defect("unknown_attribute", (*loc, "attribute"), text, hint)
    if given is None and not declared:
        hint = "Add `attributes: {name: {privileged: value}}`."
        yield draft.defect("missing_attributes", loc, f"{use.use} needs an attribute and none is declared", hint)
