"""From plain data to models, keeping whatever part is valid.

A file with one wrong value in `task` can still have two overlapping phases: the cross checks run
on every part that could be typed, so one call tells everything.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from runners.spec.defects import Defect, Loc, path_text
from runners.spec.models import (
    AccessSpec,
    AggregateSpec,
    AttributeSpec,
    CompetitionSpec,
    DataSpec,
    InputSpec,
    LeaderboardSpec,
    MetricUse,
    PageSpec,
    PhaseSpec,
    SubmissionSpec,
    TaskSpec,
)
from runners.spec.wording import defects_of
from runners.spec.yamlfile import Document

T = TypeVar("T")


@dataclass
class Draft:
    """The valid parts of a competition. Lists keep the index that a part has in the file.

    `spec` is there when the whole file is valid by itself; `raw` is the plain data.
    """

    document: Document
    file: str
    raw: dict[str, Any]
    spec: CompetitionSpec | None = None
    task: TaskSpec | None = None
    input: InputSpec | None = None
    submission: SubmissionSpec | None = None
    aggregate: AggregateSpec | None = None
    access: AccessSpec | None = None
    data: dict[str, DataSpec] = field(default_factory=dict)
    attributes: dict[str, AttributeSpec] = field(default_factory=dict)
    pages: dict[int, PageSpec] = field(default_factory=dict)
    phases: dict[int, PhaseSpec] = field(default_factory=dict)
    metrics: dict[int, MetricUse] = field(default_factory=dict)
    leaderboards: dict[int, LeaderboardSpec] = field(default_factory=dict)

    def defect(self, code: str, loc: Loc, message: str, hint: str = "") -> Defect:
        """A defect of the file at a key path, with its line."""
        return Defect(code, message, path_text(loc), self.file, self.document.line(loc), hint)

    def names(self, section: str) -> list[str]:
        """The names declared in a mapping such as `data`, valid or not."""
        value = self.raw.get(section)
        return list(value) if isinstance(value, dict) else []

    def text(self, key: str) -> str:
        """A top-level text, or nothing where it is missing or of another type."""
        value = self.raw.get(key)
        return value if isinstance(value, str) else ""

    def complete(self, section: str) -> bool:
        """Whether every entry of a section could be typed."""
        raw = self.raw.get(section)
        return isinstance(raw, (list, dict)) and len(getattr(self, section)) == len(raw)


def _errors(data: Any) -> tuple[CompetitionSpec | None, list[Any]]:
    try:
        return CompetitionSpec.model_validate_json(json.dumps(data), strict=True), []
    except ValidationError as error:
        return None, list(error.errors(include_url=False))


def make_draft(document: Document, *, file: str) -> tuple[Draft | None, list[Defect]]:
    """Type the data of a document. The draft is None where it is no mapping at all."""
    data = document.data
    if not isinstance(data, dict):
        hint = "See the minimal example in docs/competition-format.md."
        return None, [Defect("type", "expected keys and values at the top", "", file, 1, hint)]
    spec, errors = _errors(data)
    cleaned = copy.deepcopy(data)
    for error in errors:
        if error["type"] == "extra_forbidden":
            _remove(cleaned, error["loc"])
    if cleaned != data:
        # Rules about several keys of one mapping are checked only once its keys are right.
        spec, more = _errors(cleaned)
        seen = {(error["loc"], error["type"]) for error in errors}
        errors += [error for error in more if (error["loc"], error["type"]) not in seen]
    draft = Draft(document, file, cleaned, spec)
    _fill(draft)
    return draft, defects_of(errors, document, file=file)


def _remove(data: Any, loc: Loc) -> None:
    for part in loc[:-1]:
        data = data[part]
    del data[loc[-1]]


def _typed(kind: type[T], value: Any) -> T | None:
    try:
        typed: T = TypeAdapter(kind).validate_json(json.dumps(value), strict=True)
    except ValidationError:  # its defects are already listed
        return None
    return typed


def _entries(value: Any) -> list[tuple[Any, Any]]:
    if isinstance(value, dict):
        return list(value.items())
    return list(enumerate(value)) if isinstance(value, list) else []


def _fill(draft: Draft) -> None:
    for name, kind in _SINGLE.items():
        if draft.raw.get(name) is not None:
            setattr(draft, name, _typed(kind, draft.raw[name]))
    for name, kind in _MANY.items():
        typed = {key: _typed(kind, value) for key, value in _entries(draft.raw.get(name))}
        setattr(draft, name, {key: value for key, value in typed.items() if value is not None})


_SINGLE: dict[str, Any] = {
    "task": TaskSpec, "input": InputSpec, "submission": SubmissionSpec, "aggregate": AggregateSpec,
    "access": AccessSpec,
}  # fmt: skip
_MANY: dict[str, Any] = {
    "data": DataSpec, "attributes": AttributeSpec, "pages": PageSpec, "phases": PhaseSpec,
    "metrics": MetricUse, "leaderboards": LeaderboardSpec,
}  # fmt: skip
