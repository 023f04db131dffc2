"""Announcements: to everybody, to the participants, or to one of them; on the pages and by e-mail."""

from __future__ import annotations

from typing import Any

import structlog
from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.urls import reverse
from django.utils.translation import gettext as _

from touchstone.accounts.models import User
from touchstone.audit.services import audit_append
from touchstone.competitions.models import Announcement, Competition, Member, Participation
from touchstone.competitions.selectors import Viewer, is_organiser, participation_of
from touchstone.core.clock import now
from touchstone.core.errors import NotAllowed, NotFound
from touchstone.core.tasks import enqueue
from touchstone.core.text import clean

log = structlog.get_logger(__name__)

_Audience = Announcement.Audience
_BATCH = 50


def mail_is_on() -> bool:
    """Whether this site sends e-mail."""
    return bool(settings.TOUCHSTONE_EMAIL_URL)


def announce(
    *,
    competition: Competition,
    by: User,
    title: str,
    markdown: str,
    audience: str = _Audience.EVERYBODY.value,
    participation: Participation | None = None,
    mail: bool = False,
) -> Announcement:
    """Tell everybody who may see the competition, its participants, or one participant alone. Raises `NotAllowed`."""
    _may(competition, by)
    with transaction.atomic():
        made = Announcement.objects.create(
            competition=competition, participation=participation, author=by, audience=audience,
            title=clean(title.strip(), limit=200), markdown=clean(markdown), mail_wanted=mail and mail_is_on(),
        )  # fmt: skip
        # Later than at import: the webhooks build on this app.
        from touchstone.hooks.events import announcement_event

        announcement_event(announcement=made)
        audit_append(
            actor=by, act="announcement.create", subject=f"competition:{competition.slug}",
            data={"announcement": made.pk, "title": made.title, "to_one": participation is not None},
        )  # fmt: skip
        if made.mail_wanted:
            enqueue("touchstone.announcement_mail", str(made.pk))
    return made


def announcement_withdraw(*, announcement: Announcement, by: User) -> None:
    """Take an announcement off the pages, and send no more of its e-mail. Safe to repeat. Raises `NotAllowed`."""
    _may(announcement.competition, by)
    with transaction.atomic():
        changed = Announcement.objects.filter(pk=announcement.pk, withdrawn_at=None).update(withdrawn_at=now())
        if changed:
            audit_append(
                actor=by, act="announcement.withdraw", subject=f"competition:{announcement.competition.slug}",
                data={"announcement": announcement.pk},
            )  # fmt: skip


def _may(competition: Competition, by: User) -> None:
    if not is_organiser(user=by, competition=competition):
        raise NotAllowed(_("Only organisers make announcements."), _("Ask one of them."))


def announcements_visible(*, user: Viewer, competition: Competition) -> QuerySet[Announcement]:
    """What `user` may read, the newest first. Withdrawn ones only organisers see, and messages who they are to."""
    found = Announcement.objects.filter(competition=competition).select_related("participation", "author")
    if is_organiser(user=user, competition=competition):
        return found
    own = participation_of(user=user, competition=competition)
    mine = Q(participation=None, audience=_Audience.EVERYBODY)
    if own is not None:
        mine |= Q(participation=own)
        if own.status == Participation.Status.ACTIVE:  # anybody may ask to take part: that alone lets them read nothing
            mine |= Q(participation=None)
    return found.filter(mine, withdrawn_at=None)


def announcement_get(*, user: Viewer, competition: Competition, pk: int) -> Announcement:
    """Raises `NotFound`, missing or not for this person alike."""
    found = announcements_visible(user=user, competition=competition).filter(pk=pk).first()
    if found is None:
        raise NotFound(_("There is no such announcement."), _("The list shows those there are."))
    found.competition = competition
    return found


def announcements_read(*, user: Viewer, competition: Competition) -> None:
    """Remember that a participant has looked at the announcements."""
    if user is not None and user.is_authenticated:
        Member.objects.filter(user_id=user.pk, competition=competition).update(news_read_at=now())


def announcements_unread(*, user: Viewer, competition: Competition, participation: Participation) -> int:
    """How many came since a participant last looked, or since they joined. One query."""
    seen = Member.objects.filter(participation=participation, user_id=user.pk if user else None)
    row = seen.values_list("news_read_at", "joined_at").first()
    if row is None:
        return 0
    mine = Q(participation=None) | Q(participation=participation)
    fresh = Announcement.objects.filter(mine, competition=competition, withdrawn_at=None)
    return fresh.filter(created_at__gt=row[0] or row[1]).count()


def news_of(*, user: Viewer) -> list[dict[str, Any]]:
    """{competition, unread} of what somebody takes part in and has not looked at, by name. One query."""
    if user is None or not user.is_authenticated:
        return []
    mine = Member.objects.filter(user_id=user.pk, participation__status=Participation.Status.ACTIVE)
    mine = mine.filter(competition__opened_at__isnull=False).annotate(since=Coalesce("news_read_at", "joined_at"))
    fresh = Announcement.objects.filter(
        Q(participation=None) | Q(participation=OuterRef("participation")), competition=OuterRef("competition"),
        withdrawn_at=None, created_at__gt=OuterRef("since"),
    )  # fmt: skip
    counted = fresh.order_by().values("competition").annotate(n=Count("pk")).values("n")
    rows = mine.annotate(unread=Subquery(counted)).filter(unread__gt=0).order_by("competition__slug")
    return [{"competition": slug, "unread": unread} for slug, unread in rows.values_list("competition__slug", "unread")]


def announcement_mail(*, announcement_id: object) -> int:
    """Send the next e-mails of an announcement, a message to each person; how many were sent.

    Each is marked before it is sent: a process that dies may lose one, and doubles none.
    """
    sent = 0
    while sent < _BATCH:
        user = _next_reader(announcement_id)
        if user is None:
            return sent
        _send(announcement_id, user)
        sent += 1
    enqueue("touchstone.announcement_mail", str(announcement_id))
    return sent


def announcements_mail() -> int:
    """Go on with every e-mail that is not through: for the clock, should a task have been lost."""
    waiting = Announcement.objects.filter(mail_wanted=True, mailed_at=None, withdrawn_at=None)
    return sum(announcement_mail(announcement_id=pk) for pk in list(waiting.values_list("pk", flat=True)[:10]))


def _next_reader(announcement_id: object) -> User | None:
    with transaction.atomic():
        row = Announcement.objects.select_for_update(no_key=True, of=("self",)).filter(
            pk=announcement_id, mail_wanted=True, mailed_at=None, withdrawn_at=None
        ).first()  # fmt: skip
        if row is None:
            return None
        members = Member.objects.filter(competition=row.competition_id, user_id__gt=row.mail_from)
        members = members.filter(participation__status=Participation.Status.ACTIVE)
        if row.participation_id is not None:
            members = members.filter(participation=row.participation_id)
        member = members.exclude(user__email="").filter(user__is_active=True).select_related("user")
        found = member.order_by("user_id").first()
        if found is None:
            row.mailed_at = now()
            row.save(update_fields=["mailed_at"])
            return None
        row.mail_from = found.user_id
        row.save(update_fields=["mail_from"])
    return found.user


def _send(announcement_id: object, user: User) -> None:
    row = Announcement.objects.select_related("competition").get(pk=announcement_id)
    address = settings.TOUCHSTONE_BASE_URL.rstrip("/") + reverse("web:announcements", args=[row.competition.slug])
    title, name = " ".join(row.title.split()), " ".join(row.competition.title.split())
    body = f"{row.markdown}\n\n--\n{name}: {address}\n"
    try:
        EmailMessage(f"{name}: {title}", body, to=[user.email]).send()
    except OSError as error:  # smtplib's too: one address that is refused must not keep the others waiting
        log.warning("announcement.mail_failed", announcement=row.pk, user=user.pk, error=type(error).__name__)
