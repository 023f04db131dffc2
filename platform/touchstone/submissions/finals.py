"""The final ranking: what participants chose, evaluated again on data that no phase before has shown.

A phase with `finalists` takes no submissions. Its organisers start the chosen ones, or of who chose none their best,
and publish the ranking with one act; until then nobody else sees it.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext as _

from touchstone.accounts.models import User
from touchstone.audit.services import audit_append
from touchstone.competitions.models import Participation, Phase
from touchstone.competitions.selectors import is_organiser, phase_finalists
from touchstone.core.clock import now
from touchstone.core.errors import Conflict, NotAllowed, NotFound
from touchstone.core.tasks import enqueue
from touchstone.evaluations.models import RunStatus
from touchstone.evaluations.services import run_receive
from touchstone.evaluations.services.runs import run_enqueue
from touchstone.evaluations.state import FINAL, run_transition
from touchstone.leaderboards.models import Leaderboard, LeaderboardEntry
from touchstone.leaderboards.paging import BEST_FIRST
from touchstone.submissions.models import Submission

#: Begun in one transaction; the others by a task.
_BATCH = 25


@dataclass(frozen=True)
class Finalist:
    """A submission of the phase before, and what became of it in the finals; None where it is not started.

    `chosen` is False for the best of somebody who chose none. A file of predictions holds answers for another split,
    so it `can_run` not.
    """

    participation: Participation
    submission: Submission
    chosen: bool
    final: Submission | None

    @property
    def can_run(self) -> bool:
        return self.submission.kind != Submission.Kind.PREDICTIONS


def source_of(*, phase: Phase) -> Phase:
    """The phase that the finalists come from. Raises `NotFound` for a phase that has none."""
    declared = phase_finalists(phase=phase)
    found = phase.competition.phases.filter(slug=declared["phase"]).first() if declared else None
    if found is None:
        raise NotFound(
            _("The phase %(phase)s has no finalists.") % {"phase": phase.slug},
            _("See competition.yml: phases[].finalists."),
        )
    return found


def finalists_of(*, phase: Phase) -> list[Finalist]:
    """Everybody's finalists, by name. Five queries, however many there are."""
    source, declared = source_of(phase=phase), phase_finalists(phase=phase) or {}
    scored = Submission.objects.filter(phase=source, withdrawn_at=None, run__status=RunStatus.SCORED)
    scored = scored.filter(participation__status=Participation.Status.ACTIVE).select_related("participation", "run")
    found: dict[int, list[tuple[Submission, bool]]] = {}
    for submission in scored.exclude(chosen_at=None).order_by("chosen_at"):
        mine = found.setdefault(submission.participation_id, [])
        if len(mine) < declared["choose"]:
            mine.append((submission, True))
    for submission in scored.filter(pk__in=_best(source)).exclude(participation__in=list(found)):
        found[submission.participation_id] = [(submission, False)]
    started = {row.idempotency_key: row for row in Submission.objects.filter(phase=phase).select_related("run")}
    rows = [
        Finalist(submission.participation, submission, chosen, started.get(_key(submission)))
        for each in found.values()
        for submission, chosen in each
    ]
    return sorted(rows, key=lambda row: (row.participation.display_name.lower(), row.submission.created_at))


def _best(source: Phase) -> list[object]:
    """The submissions on the first board of the phase, one of each participant."""
    board = source.leaderboards.order_by("pk").first()
    entries = LeaderboardEntry.objects.filter(leaderboard=board, hidden=False).order_by(*BEST_FIRST)
    return list(entries.values_list("run__submission_id", flat=True))


def _key(submission: Submission) -> str:
    """With a space, which no key of a participant has: nobody can have taken it."""
    return f"finals of {submission.pk}"


def finals_start(*, phase: Phase, by: User) -> int:
    """Submit what is not started yet, in the participants' names and at nobody's cost; how many are left for a task.

    Safe to repeat. Raises `NotAllowed`, `NotFound`, `Conflict` where nothing can be started.
    """
    if not is_organiser(user=by, competition=phase.competition):
        raise NotAllowed(_("Only organisers start the finals."), _("Ask one of them."))
    _check_open(phase)
    todo = [row for row in finalists_of(phase=phase) if row.can_run and row.final is None]
    if not todo:
        raise Conflict(
            _("There is nothing to start."),
            _("Every finalist is started, or none can be run: see the list."),
            "no_finalists",
        )
    with transaction.atomic():
        _lock_open(phase)
        for row in todo[:_BATCH]:
            _start(phase, row)
        audit_append(
            actor=by, act="finals.start", subject=f"phase:{phase.competition.slug}/{phase.slug}",
            data={"submissions": [str(row.submission.pk) for row in todo[:_BATCH]], "left": len(todo[_BATCH:])},
        )  # fmt: skip
        if todo[_BATCH:]:
            enqueue("touchstone.finals_start", str(phase.pk), str(by.pk))
    return len(todo[_BATCH:])


def _check_open(phase: Phase) -> None:
    if phase.published_at is not None:
        raise Conflict(_("The final ranking is published."), _("What is published stays as it is."))


def _lock_open(phase: Phase) -> None:
    """Nothing is started while the ranking is being published. In a transaction."""
    _check_open(Phase.objects.select_for_update(no_key=True).get(pk=phase.pk))


def _start(phase: Phase, row: Finalist) -> None:
    sent = row.submission
    final, created = Submission.objects.get_or_create(
        participation=row.participation, idempotency_key=_key(sent),
        defaults={
            "phase": phase, "kind": sent.kind, "files": sent.files, "image": sent.image,
            "endpoint": sent.endpoint, "credential": sent.credential, "message": sent.message,
            "name": sent.name, "source": "finals", "sent_by": sent.sent_by,
        },
    )  # fmt: skip
    if not created:
        return
    run = run_receive(submission=final)
    run_transition(
        run=run, to=RunStatus.CHECKING, reason="A finalist: its file was checked before.", counts_quota=False
    )
    run_enqueue(run=run, reason="In the queue of the finals.")


def finals_publish(*, phase: Phase, by: User) -> Phase:
    """Show the final ranking to everybody who may see the competition. It cannot be hidden again.

    Safe to repeat. Raises `NotAllowed`, `NotFound`, and `Conflict` while a finalist is not through.
    """
    if not is_organiser(user=by, competition=phase.competition):
        raise NotAllowed(_("Only organisers publish the final ranking."), _("Ask one of them."))
    with transaction.atomic():
        if Phase.objects.select_for_update(no_key=True).get(pk=phase.pk).published_at is None:
            _publish(phase, by)
    phase.refresh_from_db(fields=["published_at"])
    return phase


def _publish(phase: Phase, by: User) -> None:
    """The caller holds the row of the phase."""
    rows = [row for row in finalists_of(phase=phase) if row.can_run]
    ended = [row for row in rows if row.final is not None and row.final.run and row.final.run.status in FINAL]
    if not ended or len(ended) < len(rows):
        raise Conflict(
            _("%(value)s of %(n)s finalists are not through.") % {"value": len(rows) - len(ended), "n": len(rows)},
            _("Start those that are not started, and wait for those under way."), "finals_open",
        )  # fmt: skip
    Phase.objects.filter(pk=phase.pk).update(published_at=now())
    Leaderboard.objects.filter(phase=phase).update(version=F("version") + 1)
    audit_append(
        actor=by, act="finals.publish", subject=f"phase:{phase.competition.slug}/{phase.slug}",
        data={"submissions": len(ended)},
    )  # fmt: skip
