"""A draft as the competition that it would be: objects that are in memory alone, for the pages that visitors read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from runners.spec.draft import Draft as Parts
from runners.spec.draft import make_draft
from runners.spec.models import ConceptSpec, LeaderboardSpec, PhaseSpec, SubmissionSpec
from runners.spec.yamlfile import Document
from touchstone.competitions.models import Competition, DataSplit, Phase
from touchstone.competitions.selectors import open_files
from touchstone.drafts.datacard import card_markdown
from touchstone.drafts.inspections import data_files, split_found
from touchstone.drafts.models import Draft
from touchstone.drafts.sections import KIT, competition_data, text_of
from touchstone.drafts.selectors import FILE, draft_bodies
from touchstone.leaderboards.models import Leaderboard

#: Who may send what, where the draft says nothing sound.
_SUBMISSION = SubmissionSpec.model_validate({"kinds": ["predictions"]})


@dataclass(frozen=True)
class PreviewSplit:
    """A split with the files that a visitor could download, and what a look into the data found in it."""

    split: DataSplit
    files: list[dict[str, Any]]


@dataclass(frozen=True)
class DraftPreview:
    """What is sound of a draft; the rest is left out. Nothing of it is saved, and nothing may be.

    `boards` is empty where the draft as a whole is not sound: what they show hangs on all of it.
    """

    competition: Competition
    phases: list[Phase]
    splits: list[PreviewSplit]
    boards: list[Leaderboard]


def draft_preview(*, draft: Draft) -> DraftPreview:
    """The competition that the draft would be. Four queries. The caller has made sure that its reader may."""
    bodies = draft_bodies(draft=draft)
    files = dict(draft.files.values_list("path", "sha256"))
    parts, _defects = make_draft(Document(data=competition_data(bodies=bodies, files=files)), file=FILE)
    if parts is None:  # never: it is a mapping
        raise ValueError("a draft is no mapping")
    competition = _competition(draft, bodies, parts, kit=any(path.startswith(f"{KIT}/") for path in files))
    splits = _splits(draft, competition, parts)
    by_name = {item.split.name: item.split for item in splits}
    phases = [_phase(competition, n, phase, by_name) for n, phase in parts.phases.items()]
    boards = [_board(competition, phases, board) for board in parts.spec.leaderboards] if parts.spec else []
    return DraftPreview(competition, phases, splits, [board for board in boards if board is not None])


def _competition(draft: Draft, bodies: Mapping[str, Mapping[str, Any]], parts: Parts, *, kit: bool) -> Competition:
    about, present = bodies["about"], draft.competition
    made = Competition(
        slug=text_of(about.get("slug")), title=text_of(about.get("title")) or draft.title, owner=draft.owner,
        summary=text_of(about.get("summary")), visibility=_visibility(parts), spec=_spec(parts),
        pages=_pages(about.get("pages")), terms=text_of(about.get("terms")), image=text_of(about.get("image")),
        data_card=card_markdown(_table(bodies["data"].get("data_card"))), starting_kit="kit" if kit else "",
        version=present.version + 1 if present is not None else 1,
    )  # fmt: skip
    made.updated_at = draft.updated_at
    return made


def _spec(parts: Parts) -> dict[str, Any]:
    """As the pages read it: whole where the draft is sound, else of the parts that are."""
    if parts.spec is not None:
        return parts.spec.model_dump(mode="json", by_alias=True)
    raw = parts.raw
    return {
        "title": parts.text("title"), "licence": parts.text("licence"),
        "task": _dump(parts.task) or {"kind": "", "classes": []}, "input": _dump(parts.input),
        "submission": _dump(parts.submission or _SUBMISSION),
        "concepts": [_dump(one) for one in map(_concept, _rows(raw.get("concepts"))) if one is not None],
        "attributes": {name: _dump(one) for name, one in parts.attributes.items()},
        "metrics": [_dump(one) for one in parts.metrics.values()],
        "phases": [_dump(one) for one in parts.phases.values()],
        "leaderboards": [_dump(one) for one in parts.leaderboards.values()],
    }  # fmt: skip


def _visibility(parts: Parts) -> str:
    given = parts.text("visibility")
    return given if given in Competition.Visibility.values else str(Competition.Visibility.PRIVATE)


def _rows(raw: object) -> list[dict[str, Any]]:
    return [row for row in raw if isinstance(row, dict)] if isinstance(raw, list) else []


def _table(raw: object) -> Mapping[str, Any]:
    return raw if isinstance(raw, dict) else {}


def _dump(part: BaseModel | None) -> Any:
    return None if part is None else part.model_dump(mode="json", by_alias=True)


def _concept(raw: object) -> ConceptSpec | None:
    try:
        return TypeAdapter(ConceptSpec).validate_python(raw)
    except ValidationError:
        return None


def _pages(raw: object) -> list[dict[str, str]]:
    """Those that have an address and a title, sound or not."""
    told = [{key: text_of(row.get(key)) for key in ("slug", "title", "markdown")} for row in _rows(raw)]
    return [row | {"title": row["title"] or row["slug"]} for row in told if row["slug"]]


def _splits(draft: Draft, competition: Competition, parts: Parts) -> list[PreviewSplit]:
    found, stored = split_found(draft=draft), data_files(draft=draft)
    splits = []
    for name, spec in parts.data.items():
        facts = found.get(name) or {}
        counts = {key: _counts(value) for key, value in (facts.get("attributes") or {}).items()}
        split = DataSplit(
            competition=competition, name=name, visibility=spec.visibility, n_items=facts.get("n") or 0,
            facts={"classes": _counts(facts.get("classes")), "attributes": counts},
            files=[{"name": n, "sha256": f.sha256, "size": f.size} for n, f in sorted(stored.get(name, {}).items())],
        )  # fmt: skip
        splits.append(PreviewSplit(split, open_files(split=split)))
    return splits


def _counts(raw: object) -> dict[str, int]:
    """{value: how many} of what the look into the data found."""
    values = raw.get("values") if isinstance(raw, dict) else None
    return {str(value): int(count) for value, count in values or ()}


def _phase(competition: Competition, position: int, spec: PhaseSpec, splits: Mapping[str, DataSplit]) -> Phase:
    return Phase(
        competition=competition, slug=spec.slug, title=spec.title or spec.slug, position=position,
        split=splits.get(spec.split) or DataSplit(competition=competition, name=spec.split),
        opens=spec.opens, closes=spec.closes, per_day=spec.limits.per_day, total=spec.limits.total,
        feedback=spec.feedback, logs=spec.logs,
    )  # fmt: skip


def _board(competition: Competition, phases: list[Phase], spec: LeaderboardSpec) -> Leaderboard | None:
    """The board in its phase, or in the first one."""
    phase = next((one for one in phases if spec.phase in (None, one.slug)), None)
    if phase is None:
        return None
    body = spec.model_dump(mode="json")
    return Leaderboard(competition=competition, phase=phase, slug=spec.slug, title=spec.title or spec.slug, spec=body)
