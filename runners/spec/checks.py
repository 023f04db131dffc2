"""Cross checks inside competition.yml: do its parts fit each other? Reads no other file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from runners.spec.access_checks import access_defects, finalist_defects
from runners.spec.board_checks import board_defects
from runners.spec.catalogue_file import Offer
from runners.spec.defects import Defect, suggestion
from runners.spec.draft import Draft
from runners.spec.metric_checks import metric_defects
from runners.spec.models import PhaseSpec, SubmissionKind


def cross_defects(draft: Draft) -> tuple[list[Defect], Offer]:
    """All defects between valid parts, and the result keys that the metrics give."""
    defects = [*_phases(draft), *finalist_defects(draft), *_slugs(draft), *_input(draft), *_attributes(draft)]
    defects += access_defects(draft)
    offer = Offer()
    defects += metric_defects(draft, offer)
    defects += board_defects(draft, offer)
    return defects, offer


def _phases(draft: Draft) -> Iterator[Defect]:
    splits = draft.names("data")
    for index, phase in draft.phases.items():
        if phase.split not in splits:
            hint = suggestion(phase.split, splits, what="Declared in data")
            yield draft.defect("unknown_split", ("phases", index, "split"), f"data has no split {phase.split}", hint)
        yield from _validation(draft, index, phase)
        if phase.feedback == "ladder":
            text = "ladder is not available in this version"
            yield draft.defect("unavailable", ("phases", index, "feedback"), text, "Use rounded or none.")
    yield from _overlaps(draft)
    yield from _leaving(draft)


def _leaving(draft: Draft) -> Iterator[Defect]:
    """Endpoints are sent the inputs of every split that a phase asks about: its organiser has to have said so."""
    if draft.submission is None or SubmissionKind.ENDPOINT not in draft.submission.kinds:
        return
    for index, phase in draft.phases.items():
        for key, name in (("split", phase.split), ("validation", phase.validation)):
            if name in draft.data and not draft.data[name].leaves_platform:
                text = f"this phase takes endpoints, and the inputs of {name} may not leave the platform"
                hint = f"Set leaves_platform: true in data.{name}, or take endpoint from submission.kinds."
                yield draft.defect("leak", ("phases", index, key), text, hint)


#: From open to secret.
_SECRECY = ("public", "inputs", "hidden")


def _validation(draft: Draft, index: int, phase: PhaseSpec) -> Iterator[Defect]:
    """The validation split is another one, and no more secret: who may see a run's log is decided by the phase's."""
    name, loc = phase.validation, ("phases", index, "validation")
    if name is None:
        return
    splits = draft.names("data")
    if name not in splits:
        hint = suggestion(name, splits, what="Declared in data")
        yield draft.defect("unknown_split", loc, f"data has no split {name}", hint)
    elif name == phase.split:
        text = f"{name} is also the split that the phase scores on: what is fitted on it would know the answers"
        yield draft.defect("value", loc, text, "Name a split of other items.")
    elif name in draft.data and phase.split in draft.data:
        own, other = (draft.data[split].visibility for split in (phase.split, name))
        if _SECRECY.index(other) > _SECRECY.index(own):
            text = f"{name} is {other} and the phase's own split {phase.split} is {own}: logs would give it away"
            yield draft.defect("leak", loc, text, "Fit on a split that is no more secret than the one scored on.")


def _overlaps(draft: Draft) -> Iterator[Defect]:
    phases = sorted(draft.phases.items(), key=lambda item: item[1].opens)
    longest, last = phases[0] if phases else (0, None)
    for index, phase in phases[1:]:
        if last is not None and (last.closes is None or last.closes > phase.opens):
            other = _name(last, longest)
            end = f"closes {_moment(last.closes)}" if last.closes else "never closes"
            text = f"opens {_moment(phase.opens)} while {other}, which {end}, is still open"
            hint = f"Let {other} close at or before {_moment(phase.opens)}."
            yield draft.defect("overlap", ("phases", index, "opens"), text, hint)
        if last is not None and last.closes is not None and (phase.closes is None or phase.closes > last.closes):
            longest, last = index, phase


def _name(phase: PhaseSpec, index: int) -> str:
    return f"{phase.slug} (phases[{index}])"


def _moment(value: datetime) -> str:
    return value.isoformat(timespec="minutes").replace("+00:00", "Z")


def _slugs(draft: Draft) -> Iterator[Defect]:
    for section in ("pages", "phases"):
        seen: dict[str, int] = {}
        for index, part in getattr(draft, section).items():
            if part.slug in seen:
                text = f"the slug {part.slug} is already that of {section}[{seen[part.slug]}]"
                yield draft.defect("duplicate", (section, index, "slug"), text, "Choose another slug.")
            seen.setdefault(part.slug, index)
    for name, count in Counter(concept_terms(draft)).items():
        if count > 1:
            text = f"the term {name} is defined {count} times"
            yield draft.defect("duplicate", ("concepts",), text, "Keep one definition.")


def concept_terms(draft: Draft) -> list[str]:
    """The terms of the concepts, as far as they are text."""
    concepts = draft.raw.get("concepts")
    terms = [item.get("term") for item in concepts if isinstance(item, dict)] if isinstance(concepts, list) else []
    return [term for term in terms if isinstance(term, str)]


def _input(draft: Draft) -> Iterator[Defect]:
    submission = draft.submission
    if submission is None:
        return
    for kind, count in Counter(submission.kinds).items():
        if count > 1:
            yield draft.defect("duplicate", ("submission", "kinds"), f"{kind.value} stands twice", "Keep one.")
    asked = [kind.value for kind in submission.kinds if kind is not SubmissionKind.PREDICTIONS]
    if asked and draft.raw.get("input") is None:
        text = f"submissions of kind {', '.join(asked)} are asked for answers, so `input` must say what they get"
        yield draft.defect("missing_key", ("submission", "kinds"), text, "Add `input: {kind: ..., shape: [...]}`.")


def _attributes(draft: Draft) -> Iterator[Defect]:
    for name, attribute in draft.attributes.items():
        if attribute.privileged in attribute.unprivileged:
            text = f"{attribute.privileged} cannot be both privileged and unprivileged"
            yield draft.defect("value", ("attributes", name, "unprivileged"), text, "Remove it from one.")
        if name in ("id", "label"):
            hint = "Choose another name."
            yield draft.defect("value", ("attributes", name), f"{name} is the name of a column of its own", hint)
