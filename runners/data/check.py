"""All data splits of a competition: sound by themselves, complete for their use, and apart from each other."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from runners.attributes import Attribute
from runners.data.columns import Names, examples, plural
from runners.data.split import Split, examine_split
from runners.spec.defects import Defect, suggestion
from runners.spec.models import AggregateSpec, AttributeSpec, DataSpec, InputSpec, TaskSpec


@dataclass(frozen=True)
class SplitFacts:
    """Counts for the organiser: items, items of each class, items of each value of each attribute ("" is unknown)."""

    n_items: int
    classes: dict[str, int] = field(default_factory=dict)
    attributes: dict[str, dict[str, int]] = field(default_factory=dict)
    n_clusters: int | None = None
    parts: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "n_items": self.n_items, "classes": self.classes, "attributes": self.attributes,
            "n_clusters": self.n_clusters, "parts": list(self.parts),
        }  # fmt: skip


@dataclass(frozen=True)
class DataRules:
    """What the splits must fit. Parts of competition.yml that could not be typed are None or absent."""

    task: TaskSpec | None
    input: InputSpec | None
    attributes: Mapping[str, AttributeSpec]
    aggregate: AggregateSpec | None
    declared: Collection[str]
    """Columns that attributes and clusters may have although their entry could not be typed."""
    scored: Collection[str]
    """Names of the splits that phases use."""
    asked: bool
    """Whether submissions are asked, so that inputs are needed."""


@dataclass
class DataReport:
    facts: dict[str, SplitFacts] = field(default_factory=dict)
    defects: list[Defect] = field(default_factory=list)


def check_data(folders: Mapping[str, tuple[Path, DataSpec]], rules: DataRules) -> DataReport:
    """Check splits: name → (folder, its entry). Defects have `where` = data.NAME and files named from the bundle."""
    report = DataReport()
    ids: dict[str, Names] = {}
    for name, (folder, entry) in folders.items():
        split, defects = examine_split(
            folder,
            task=rules.task,
            input_spec=rules.input,
            attributes=rules.attributes,
            aggregate=rules.aggregate,
            tolerated=rules.declared,
        )
        if name in rules.scored:
            defects += _use_defects(split, rules, {defect.file.split(".")[0] for defect in defects})
        base = entry.path.rstrip("/")
        for defect in defects:
            file = f"{base}/{defect.file}" if defect.file else base
            report.defects.append(replace(defect, where=f"data.{name}", file=file))
        report.facts[name] = facts_of(split, rules.task)
        ids[name] = split.ids
    report.defects += _leaks(ids, {name: entry for name, (_, entry) in folders.items()})
    report.defects += _groups(report.facts, rules)
    return report


def facts_of(split: Split, task: TaskSpec | None) -> SplitFacts:
    """Counts of a split."""
    classes: dict[str, int] = {}
    if split.labels is not None and task is not None:
        classes = {name: int((split.labels == index).sum()) for index, name in enumerate(task.classes)}
    attributes = {name: _count(values) for name, values in split.attributes.items()}
    clusters = len(set(split.clusters)) if split.clusters is not None else None
    have = {
        "inputs": split.inputs is not None, "labels": split.labels is not None,
        "attributes": bool(split.attributes), "clusters": split.clusters is not None,
    }  # fmt: skip
    return SplitFacts(split.n, classes, attributes, clusters, tuple(part for part, there in have.items() if there))


def _count(values: Attribute) -> dict[str, int]:
    unknown = int((~values.known).sum())
    return ({"": unknown} if unknown else {}) | values.sizes()


def _use_defects(split: Split, rules: DataRules, broken: set[str]) -> list[Defect]:
    """What a split lacks for scoring. Parts whose files are already known to be broken are left out."""
    defects = []
    if split.labels is None and "labels" not in broken and rules.task is not None:
        hint = "Add labels.csv or labels.parquet with the columns id and label."
        defects.append(Defect("missing_file", "a phase scores on this split and it has no labels", hint=hint))
    elif split.labels is not None and "labels" not in broken and len(set(split.labels.tolist())) == 1:
        text = "all items have the same label, so nothing can be measured"
        defects.append(Defect("one_class", text, file="labels", hint="Add items of other classes."))
    if rules.asked and rules.input is not None and split.inputs is None and "inputs" not in broken:
        hint = "Add inputs.parquet, inputs.csv, inputs.npz or a folder inputs/."
        defects.append(Defect("missing_file", "submissions are asked and this split has no inputs", hint=hint))
    if rules.aggregate is not None and split.clusters is None and "clusters" not in broken:
        hint = f"Add clusters.csv with the columns id and {rules.aggregate.by}."
        defects.append(Defect("missing_file", "`aggregate` is declared and this split has no clusters", hint=hint))
    if "attributes" not in broken:
        defects += _attribute_defects(split, rules.attributes)
    return defects


def _attribute_defects(split: Split, attributes: Mapping[str, AttributeSpec]) -> list[Defect]:
    defects = []
    for name, attribute in attributes.items():
        if name not in split.attributes:
            hint = f"Add attributes.csv with the columns id and {name}."
            defects.append(Defect("missing_attribute", f"the split has no attribute {name}", hint=hint))
            continue
        values = split.attributes[name].sizes()
        if attribute.privileged not in values:
            text = f"the privileged value {attribute.privileged} of {name} occurs in no item"
            hint = suggestion(attribute.privileged, sorted(values), what="Values found")
            defects.append(Defect("unknown_group", text, file="attributes", hint=hint))
    return defects


def _groups(facts: Mapping[str, SplitFacts], rules: DataRules) -> list[Defect]:
    """Unprivileged values that occur in no split at all."""
    defects = []
    for name, attribute in rules.attributes.items():
        known = known_groups(facts, name)
        for value in attribute.unprivileged:
            if known and value not in known:
                text = f"the unprivileged value {value} occurs in no split"
                where = f"attributes.{name}.unprivileged"
                hint = suggestion(value, sorted(known), what="Values found")
                defects.append(Defect("unknown_group", text, where, hint=hint))
    return defects


def known_groups(facts: Mapping[str, SplitFacts], attribute: str) -> set[str]:
    """Every value of an attribute that some split has."""
    return {value for fact in facts.values() for value in fact.attributes.get(attribute, {}) if value}


def _leaks(ids: Mapping[str, Names], entries: Mapping[str, DataSpec]) -> list[Defect]:
    defects = []
    for public in (name for name in ids if entries[name].visibility == "public"):
        shown = set(ids[public])
        for hidden in (name for name in ids if entries[name].visibility == "hidden"):
            both = [str(item) for item in ids[hidden] if item in shown]
            if both:
                count = plural(len(both), "id")
                text = f"{count} of this hidden split and of the public split {public}: {examples(both)}"
                hint = "Take these items out of one; if they are different items, give them different ids."
                defects.append(Defect("leak", text, f"data.{hidden}", entries[hidden].path, hint=hint))
    return defects
