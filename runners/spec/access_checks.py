"""Checks of who may take part, and of phases that take finalists."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from runners.spec.defects import Defect, suggestion
from runners.spec.draft import Draft
from runners.spec.models import PhaseSpec

#: Where anybody has an address: such a domain keeps nobody out.
_ANYBODY = ("gmail.com", "outlook.com", "hotmail.com", "yahoo.com", "icloud.com", "proton.me", "gmx.de", "qq.com")


def access_defects(draft: Draft) -> Iterator[Defect]:
    """Domains named twice, and those that let everybody in."""
    if draft.access is None:
        return
    loc = ("access", "email_domains")
    for domain, count in Counter(draft.access.email_domains).items():
        if count > 1:
            yield draft.defect("duplicate", loc, f"the domain {domain} stands {count} times", "Keep one.")
        if domain in _ANYBODY:
            text = f"anybody can get an address at {domain}, so it keeps nobody out"
            yield draft.defect("value", loc, text, "Name domains of organisations, or use approval.")


def finalist_defects(draft: Draft) -> Iterator[Defect]:
    """A phase of finalists names another one, which opens earlier and takes submissions itself."""
    by_slug = {phase.slug: phase for phase in draft.phases.values()}
    for index, phase in draft.phases.items():
        if phase.finalists is None:
            continue
        loc = ("phases", index, "finalists", "phase")
        other = by_slug.get(phase.finalists.phase)
        if other is None:
            if draft.complete("phases"):
                hint = suggestion(phase.finalists.phase, [slug for slug in by_slug if slug != phase.slug])
                yield draft.defect("unknown_phase", loc, f"there is no phase {phase.finalists.phase}", hint)
            continue
        problem, hint = _problem(phase, other)
        if problem:
            yield draft.defect("value", loc, problem, hint)


def _problem(phase: PhaseSpec, other: PhaseSpec) -> tuple[str, str]:
    if other.slug == phase.slug:
        return "a phase cannot take finalists of itself", "Name the phase that participants submit to."
    if other.finalists is not None:
        return f"{other.slug} takes finalists itself: nobody submits to it", "Name the phase that is submitted to."
    if other.opens >= phase.opens:
        return f"{other.slug} does not open before {phase.slug}", "Name an earlier phase, or change when they open."
    return "", ""
