"""Events as messages: who listens, and what they are told.

A message never says more than the participant it is about may see on the pages: no labels, no results that the phase
keeps back, no logs. It is written in the transaction of the event, so the two stand or fall together.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import orjson
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.urls import reverse
from django.utils import translation

from touchstone.competitions.models import Announcement, Competition, Member, Phase
from touchstone.core.clock import now
from touchstone.core.tasks import enqueue
from touchstone.evaluations.models import Result, Run, RunStatus
from touchstone.evaluations.visibility import results_blunted, results_hidden
from touchstone.hooks.models import Delivery, Webhook
from touchstone.leaderboards.models import Leaderboard
from touchstone.submissions.models import Submission

#: Of the form of messages; another number is another form.
VERSION = 1
DELIVER = "touchstone.hooks_deliver"
PING = "ping"
OF_SUBMISSIONS = tuple(
    f"submission.{name}" for name in ("received", "scored", "failed", "rejected", "cancelled", "withdrawn")
)
#: What organisers may hear of.
EVENTS = (*OF_SUBMISSIONS, "board.changed", "competition.opened", "competition.closed", "announcement")

_BOARD_PAUSE = timedelta(seconds=60)
#: A phase that opened or closed longer ago is no news: the scheduler was away for a day.
_STALE = timedelta(days=1)
_ENDED = {
    RunStatus.SCORED: "scored", RunStatus.FAILED: "failed", RunStatus.REJECTED: "rejected",
    RunStatus.CANCELLED: "cancelled",
}  # fmt: skip


def submission_event(*, submission: Submission, what: str, run: Run | None = None, **more: Any) -> None:
    """Tell of a submission. Made-up ones and copies are told to nobody."""
    if submission.original_id is not None or submission.is_check:
        return
    event, phase = f"submission.{what}", submission.phase
    participants = Member.objects.filter(participation=submission.participation_id).values("user_id")
    own = Q(competition=None, owner__in=participants)
    hooks = list(_listening(event, _organisers(phase.competition) | own))
    if hooks:
        _write(hooks, event, _submission(submission, run or submission.run) | more)


def run_event(*, run: Run, to: RunStatus) -> None:
    """Tell how a run ended. One that was evaluated again is told where it was scored, and then says so.

    Only of a run that counts: another is not shown, and is told of when it begins to count.
    """
    what, again = _ENDED.get(to), run.rerun_id is not None
    if what is None or run.submission.run_id != run.pk or (again and to != RunStatus.SCORED):
        return
    submission_event(submission=run.submission, what=what, run=run, **({"evaluated_again": True} if again else {}))


def board_event(*, board: Leaderboard) -> None:
    """Tell that a board has changed: once a minute at most, a minute after the first change."""
    competition = Competition(pk=board.competition_id)
    hooks = list(_listening("board.changed", _organisers(competition)))
    if not hooks:
        return
    key = f"board:{board.pk}"
    waiting = Delivery.objects.filter(webhook__in=hooks, key=key, status=Delivery.Status.WAITING, attempts=0)
    told = set(waiting.values_list("webhook_id", flat=True))
    row = Leaderboard.objects.select_related("phase__competition").get(pk=board.pk)
    slug, phase = row.phase.competition.slug, row.phase.slug
    data = {
        "competition": slug, "phase": phase, "board": row.slug,
        "url": _page("web:board", slug, phase, row.slug),
    }  # fmt: skip
    _write([hook for hook in hooks if hook.pk not in told], "board.changed", data, key=key, after=_BOARD_PAUSE)


def announcement_event(*, announcement: Announcement) -> None:
    """Tell that something was announced; what it says is on the page."""
    competition = announcement.competition
    hooks = list(_listening("announcement", _organisers(competition)))
    if hooks:
        data = {
            "competition": competition.slug, "title": announcement.title,
            "audience": "one participant" if announcement.participation_id else announcement.audience,
            "url": _page("web:announcements", competition.slug),
        }  # fmt: skip
        _write(hooks, "announcement", data)


def phases_event() -> int:
    """Tell of phases that opened or closed since their webhooks were made; how many messages. For the clock."""
    told = 0
    for event, field in (("competition.opened", "opens"), ("competition.closed", "closes")):
        for hook in Webhook.objects.filter(enabled=True, events__contains=[event]).exclude(competition=None):
            since = max(hook.created_at, now() - _STALE)
            phases = Phase.objects.filter(**{"competition": hook.competition_id, f"{field}__range": (since, now())})
            for phase in phases.select_related("competition"):
                told += _phase(hook, event, phase, getattr(phase, field))
    return told


def ping_event(*, webhook: Webhook) -> None:
    """A message that only says that messages arrive."""
    _write([webhook], PING, {"webhook": str(webhook.pk)})


def _phase(hook: Webhook, event: str, phase: Phase, moment: datetime) -> int:
    key = f"{event}:{phase.pk}:{moment.isoformat()}"
    told = Delivery.objects.filter(webhook=hook, key=key)
    allowed = _listening(event, _organisers(phase.competition)).filter(pk=hook.pk)
    if told.exists() or not allowed.exists():
        return 0
    slug = phase.competition.slug
    data = {
        "competition": slug, "phase": phase.slug, "title": phase.title, "opens": phase.opens, "closes": phase.closes,
        "url": _page("web:phases", slug),
    }  # fmt: skip
    with transaction.atomic():
        # Under the lock of the webhook, asked again: another process may have told it since.
        held = Webhook.objects.select_for_update(no_key=True).filter(pk=hook.pk).first()
        if held is None or told.exists():
            return 0
        _write([hook], event, data, key=key)
    return 1


def _organisers(competition: Competition) -> Q:
    """Webhooks of a competition, as long as who made them organises it."""
    owner = Q(owner__organised_competitions=competition.pk) | Q(owner=F("competition__owner"))
    return Q(competition=competition.pk) & (owner | Q(owner__is_superuser=True))


def _listening(event: str, whose: Q) -> QuerySet[Webhook]:
    found = Webhook.objects.filter(whose, enabled=True, owner__is_active=True, events__contains=[event])
    return found.distinct()


def _write(
    hooks: Iterable[Webhook], event: str, data: dict[str, Any], *, key: str = "", after: timedelta = timedelta()
) -> None:
    moment = now()
    body = orjson.dumps({"type": event, "version": VERSION, "timestamp": moment, "data": data}, default=str).decode()
    rows = [Delivery(webhook=hook, event=event, key=key, body=body, next_at=moment + after) for hook in hooks]
    if rows:
        Delivery.objects.bulk_create(rows)
        if not after:
            enqueue(DELIVER)


def _submission(submission: Submission, run: Run | None) -> dict[str, Any]:
    phase, participation = submission.phase, submission.participation
    told: dict[str, Any] = {
        "competition": phase.competition.slug,
        "phase": phase.slug,
        "submission": {
            "id": str(submission.pk), "kind": submission.kind, "name": submission.name,
            "participant": participation.display_name, "created_at": submission.created_at,
            "status": "" if run is None else str(run.status), "verdict": "" if run is None else run.verdict,
            "code": "" if run is None else run.code,
            "url": _page("web:submission", submission.pk),
        },
    }  # fmt: skip
    if run is not None and run.status == RunStatus.SCORED:
        with translation.override("en"):  # for programs
            hidden = results_hidden(run=run, phase=phase)
        shown = [] if hidden else results_blunted(results=Result.objects.filter(run=run), phase=phase)
        told["results_hidden"] = hidden
        told["results"] = [
            {"key": r.key, "value": r.value, "low": r.low, "high": r.high, "unit": r.unit, "direction": r.direction}
            for r in shown
        ]
    return told


def _page(name: str, *parts: object) -> str:
    return str(settings.TOUCHSTONE_BASE_URL) + reverse(name, args=parts)
