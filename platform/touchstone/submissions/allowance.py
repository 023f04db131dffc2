"""How much of the intake checks one person may take: checks of models and archives cost minutes, and those that fail
take none of a quota, so they have limits of their own."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q
from django.utils.translation import gettext

from runners.spec.models import SubmissionKind
from touchstone.accounts.models import User
from touchstone.core.clock import now
from touchstone.core.errors import QuotaExceeded, TooOften
from touchstone.evaluations.models import Run, RunStatus
from touchstone.submissions.models import sent

_DAY = timedelta(days=1)
#: What is unpacked, loaded or called to be checked. A prediction file is read once, in milliseconds.
_KINDS = tuple(
    kind.value
    for kind in (SubmissionKind.MODEL, SubmissionKind.CODE, SubmissionKind.CONTAINER, SubmissionKind.ENDPOINT)
)
_WAITING = (RunStatus.RECEIVED, RunStatus.CHECKING)
_REFUSED = Q(status=RunStatus.REJECTED) | Q(status=RunStatus.FAILED, code__in=("check_broken", "check_time"))


def check_allowed(*, user: User, kind: str, lock: bool = False) -> None:
    """Raise `TooOften` while as many checks of `user` wait as may, `QuotaExceeded` after as many refusals in a day.

    Over all competitions: they share those who check. One query, or none for a kind that costs nothing. `lock`: in a
    transaction, hold the person's row, so that what is sent at once is counted one after the other.
    """
    if kind not in _KINDS:
        return
    if lock:
        User.objects.select_for_update(no_key=True).get(pk=user.pk)
    moment = now()
    recent = Run.objects.filter(
        submission__participation__user=user, submission__kind__in=_KINDS, submission__created_at__gt=moment - _DAY,
        rerun=None,
    ).filter(sent("submission__"), _REFUSED | Q(status__in=_WAITING))  # fmt: skip
    rows = recent.order_by("submission__created_at").values_list("status", "submission__created_at")
    waiting = sum(status in _WAITING for status, _ in rows)
    at_once, per_day = settings.TOUCHSTONE_IMAGE_CHECKS_AT_ONCE, settings.TOUCHSTONE_IMAGE_CHECKS_PER_DAY
    if waiting >= at_once:
        raise TooOften(
            gettext("%(waiting)s submissions of yours still wait for their check; at most %(at_once)s may.")
            % {"waiting": waiting, "at_once": at_once},
            gettext("Submit again when one of them is done; an upload that is complete is kept until then."),
        )
    # Those that wait count too: each may be refused.
    if len(rows) >= per_day:
        raise _spent(len(rows) - waiting, per_day, rows[len(rows) - per_day][1] + _DAY)


def _spent(refused: int, per_day: int, reset_at: datetime) -> QuotaExceeded:
    return QuotaExceeded(
        gettext(
            "The check refused %(refused)s models, archives and images of yours within a day; it "
            "looks at %(per_day)s, with those that wait for it. They took none of your quota."
        )
        % {"refused": refused, "per_day": per_day},
        gettext(
            "See why they were refused, and try the next on data that you can download; you can "
            "submit again at %(reset_at)s UTC."
        )
        % {"reset_at": f"{reset_at:%Y-%m-%d %H:%M}"},
        reset_at=reset_at,
    )
