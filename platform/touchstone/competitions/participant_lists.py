"""The participants of a competition as its organisers see them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any

from django.db.models import Count, Max, Q, QuerySet
from django.utils.translation import gettext as _

from touchstone.competitions.models import Competition, Participation
from touchstone.competitions.selectors import Viewer, is_organiser
from touchstone.core.errors import NotFound
from touchstone.core.text import csv_safe

#: What of a submission counts: no copy, and nothing made up for a check.
_SENT = Q(submissions__original=None, submissions__is_check=False)


def participants_search(
    *, user: Viewer, competition: Competition, q: str = "", status: str = ""
) -> QuerySet[Participation]:
    """The participants, with how many they are, what they sent and when last; for organisers, none for anybody else."""
    if not is_organiser(user=user, competition=competition):
        return Participation.objects.none()
    found = Participation.objects.filter(competition=competition).select_related("user")
    if status:
        found = found.filter(status=status)
    for word in q.split()[:10]:
        found = found.filter(Q(display_name__icontains=word) | Q(user__username__icontains=word))
    return found.annotate(
        sent=Count("submissions", filter=_SENT, distinct=True),
        sent_last=Max("submissions__created_at", filter=_SENT),
        people=Count("members", filter=Q(members__left_at=None), distinct=True),
    )


def participant_get(*, user: Viewer, competition: Competition, pk: int) -> Participation:
    """Raises `NotFound`."""
    found = participants_search(user=user, competition=competition).filter(pk=pk).first()
    if found is None:
        raise NotFound(_("There is no such participant in this competition."), _("The list shows those there are."))
    found.competition = competition
    return found


def participant_named(*, user: Viewer, competition: Competition, name: str) -> Participation:
    """The participant of that name on the boards, whatever its case. Raises `NotFound`."""
    found = participants_search(user=user, competition=competition).filter(display_name__iexact=name).first()
    if found is None:
        raise NotFound(
            _("There is no participant %(name)r in this competition.") % {"name": name},
            _("The list shows those there are."),
        )
    found.competition = competition
    return found


_COLUMNS = ("participant", "account", "status", "reason", "joined_at", "people", "submissions", "last_submission")


def participants_csv(*, participants: Iterable[Any]) -> Iterator[str]:
    """Lines of a CSV, the header first: what organisers may know, and no address of anybody."""
    yield _line(_COLUMNS)
    for row in participants:
        last = row.sent_last.isoformat() if row.sent_last else ""
        yield _line(
            (
                row.display_name, row.user.username, row.status, row.status_reason, row.joined_at.isoformat(),
                row.people, row.sent, last,
            )
        )  # fmt: skip


def _line(values: Iterable[Any]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\r\n").writerow([csv_safe(value) for value in values])
    return buffer.getvalue()
