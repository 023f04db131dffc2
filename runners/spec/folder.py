"""A competition's folder: read it, check everything, tell all defects at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from runners.spec.catalogue_file import Offer
from runners.spec.checks import cross_defects
from runners.spec.defects import Defect, SpecError, suggestion
from runners.spec.draft import Draft, make_draft
from runners.spec.folder_checks import file_defects, path_problem
from runners.spec.models import CompetitionSpec, SubmissionKind
from runners.spec.surrogate_checks import surrogate_defects
from runners.spec.yamlfile import read_yaml

if TYPE_CHECKING:
    from runners.data.check import SplitFacts

FILE = "competition.yml"


@dataclass(frozen=True)
class CheckReport:
    """`spec` is there exactly when there are no defects. `splits` holds the counts of every split that was read."""

    spec: CompetitionSpec | None
    defects: list[Defect]
    splits: dict[str, SplitFacts] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return not self.defects


def check_folder(folder: Path, *, data: bool = True) -> CheckReport:
    """Check a competition's folder. Never raises for what it holds.

    Args:
        data: False leaves the contents of the splits unread (then numpy and pyarrow are not needed).
    """
    problem = path_problem(folder, FILE)
    if problem or not (folder / FILE).is_file():
        found = ", ".join(sorted(path.name for path in folder.glob("*.y*ml"))) if folder.is_dir() else ""
        hint = f"Rename {found} to {FILE}." if found else f"The folder of a competition holds {FILE} at its top."
        text = problem or f"there is no {FILE} in this folder"
        return CheckReport(None, [Defect("missing_file", text, file=FILE, hint=hint)])
    document = read_yaml(folder / FILE)
    defects = list(document.defects)
    if document.data is None and defects:
        return CheckReport(None, defects)
    draft, found_defects = make_draft(document, file=FILE)
    defects += found_defects
    if draft is None:
        return CheckReport(None, defects)
    crossed, offer = cross_defects(draft)
    defects += crossed
    defects += file_defects(draft, folder)
    defects += surrogate_defects(draft, folder)
    splits = _check_data(draft, folder, offer, defects) if data else {}
    ordered = sorted(defects, key=lambda defect: (defect.file != FILE, defect.line or 0))
    return CheckReport(None if ordered else draft.spec, ordered, splits)


def load_competition(folder: Path, *, data: bool = True) -> CompetitionSpec:
    """The spec of a sound folder. Raises `SpecError` with all defects."""
    report = check_folder(folder, data=data)
    if report.spec is None:
        raise SpecError(report.defects)
    return report.spec


def _check_data(draft: Draft, folder: Path, offer: Offer, defects: list[Defect]) -> dict[str, SplitFacts]:
    # Arrow, numpy and Pillow load only where data is read: `import runners.spec` stays light.
    from runners.data.check import DataRules, check_data, known_groups

    folders = {}
    for name, entry in draft.data.items():
        path = folder / entry.path
        if not path_problem(folder, entry.path) and path.is_dir():
            folders[name] = (path, entry)
    kinds = draft.submission.kinds if draft.submission else ()
    rules = DataRules(
        task=draft.task,
        input=draft.input,
        attributes=draft.attributes,
        aggregate=draft.aggregate,
        declared=_declared(draft),
        scored={name for phase in draft.phases.values() for name in (phase.split, phase.validation) if name},
        asked=any(kind is not SubmissionKind.PREDICTIONS for kind in kinds),
    )
    report = check_data(folders, rules)
    defects += report.defects
    for key, loc in _group_keys(draft):
        found = offer.group_of(key)
        if found is None:
            continue
        attribute, group = found
        known = known_groups(report.facts, attribute)
        if known and group not in known:
            hint = suggestion(group, sorted(known), what=f"Values of {attribute}")
            defects.append(draft.defect("unknown_group", loc, f"no item has {attribute} = {group}", hint))
    return report.facts


def _declared(draft: Draft) -> list[str]:
    aggregate = draft.raw.get("aggregate")
    named = aggregate.get("by") if isinstance(aggregate, dict) else None
    return [*draft.names("attributes"), *([named] if isinstance(named, str) else [])]


def _group_keys(draft: Draft) -> list[tuple[str, tuple[str | int, ...]]]:
    """Result keys that leaderboards name, with their places."""
    from runners.spec.gates import parse_gate

    keys: list[tuple[str, tuple[str | int, ...]]] = []
    for index, board in draft.leaderboards.items():
        loc = ("leaderboards", index)
        keys.append((board.rank_by, (*loc, "rank_by")))
        keys += [(key, (*loc, "columns", position)) for position, key in enumerate(board.columns)]
        keys += [(key, (*loc, "utility", key)) for key in board.utility]
        for position, text in enumerate(board.gates):
            try:
                keys.append((parse_gate(text).key, (*loc, "gates", position)))
            except ValueError:  # told by the checks of the leaderboards
                continue
    return keys
