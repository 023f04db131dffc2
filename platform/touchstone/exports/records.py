"""The record of acts, as far as it is about one competition."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import CharField, Q, QuerySet, Value
from django.db.models.functions import Cast, Concat

from touchstone.accounts.models import User
from touchstone.audit.models import AuditEntry
from touchstone.competitions.models import Competition, Member, Participation
from touchstone.drafts.models import Draft
from touchstone.evaluations.models import Run
from touchstone.leaderboards.models import Leaderboard
from touchstone.submissions.models import Submission

_CHUNK = 500


def audit_rows(*, competition: Competition) -> Iterator[dict[str, Any]]:
    """The entries in order. Who acted is named as the boards name them; organisers by their account."""
    names = _names(competition)
    for entry in _entries(competition).order_by("sequence").iterator(chunk_size=_CHUNK):
        yield {
            "sequence": entry.sequence, "at": entry.at.isoformat(), "act": entry.act, "subject": entry.subject,
            "actor": names.get(entry.actor_id, "somebody else") if entry.actor_id else "the platform",
            "data": entry.data, "previous": entry.previous, "digest": entry.digest,
        }  # fmt: skip


def _entries(competition: Competition) -> QuerySet[AuditEntry]:
    slug = competition.slug
    sent = Submission.everything.filter(phase__competition=competition)
    of = {
        "submission": sent, "run": Run.objects.filter(submission__phase__competition=competition),
        "participation": Participation.everyone.filter(competition=competition),
        "leaderboard": Leaderboard.objects.filter(competition=competition),
        "draft": Draft.objects.filter(competition=competition),
    }  # fmt: skip
    found = Q(subject=f"competition:{slug}") | Q(subject__startswith=f"phase:{slug}/")
    for name, rows in of.items():
        found |= Q(subject__in=_subjects(name, rows))
    return AuditEntry.objects.filter(found)


def _subjects(name: str, rows: QuerySet[Any]) -> QuerySet[Any]:
    told = Concat(Value(f"{name}:"), Cast("pk", CharField()), output_field=CharField())
    return rows.order_by().annotate(told=told).values("told")


def _names(competition: Competition) -> dict[int, str]:
    members = Member.everyone.filter(competition=competition).select_related("participation")
    names = {member.user_id: member.participation.display_name for member in members}
    organisers = User.objects.filter(
        pk__in=[competition.owner_id, *competition.organisers.values_list("pk", flat=True)]
    )
    return names | dict(organisers.values_list("pk", "username"))
