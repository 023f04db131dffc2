"""What participants do with what they sent: name it, and choose finalists."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db import transaction
from django.utils.translation import gettext as _

from runners.spec.models import CompetitionSpec
from touchstone.accounts.models import User
from touchstone.audit.services import audit_append
from touchstone.competitions.models import Competition, Participation, Phase
from touchstone.competitions.selectors import is_member
from touchstone.core.clock import now
from touchstone.core.errors import Conflict, NotAllowed
from touchstone.core.text import clean
from touchstone.evaluations.models import RunStatus
from touchstone.submissions.models import Submission


@dataclass(frozen=True)
class Final:
    """A phase into which finalists of an earlier one go: `choose` of each participant, until it opens."""

    phase: Phase
    of: str
    choose: int

    @property
    def is_open(self) -> bool:
        """Whether the choice may still be changed."""
        return now() < self.phase.opens and self.phase.frozen_at is None


def finals_of(*, competition: Competition, phases: Iterable[Phase] | None = None) -> list[Final]:
    """The phases that take finalists, in order. `phases`: the competition's, where the caller has them."""
    spec = CompetitionSpec.model_validate(competition.spec)
    asked = {phase.slug: phase.finalists for phase in spec.phases if phase.finalists is not None}
    if not asked:
        return []
    rows = competition.phases.all() if phases is None else phases
    found = [(row, asked.get(row.slug)) for row in rows]
    return [Final(row, final.phase, final.choose) for row, final in found if final is not None]


def submission_name(*, submission: Submission, user: User, name: str, message: str | None = None) -> Submission:
    """Give a submission of one's own a name and a note, for oneself and one's team. Raises `NotAllowed`."""
    _check_own(submission, user)
    submission.name = clean(name.strip(), limit=100)
    fields = ["name"]
    if message is not None:
        submission.message = clean(message.strip(), limit=500)
        fields.append("message")
    with transaction.atomic():
        submission.save(update_fields=fields)
        audit_append(
            actor=user, act="submission.name", subject=f"submission:{submission.pk}", data={"name": submission.name}
        )
    return submission


def finalist_choose(*, submission: Submission, user: User, chosen: bool) -> Submission:
    """Choose a submission as a finalist, or undo it. Doing either twice changes nothing.

    Raises `NotAllowed`, and `Conflict` where no phase takes it, the choice is over, or as many are chosen already.
    """
    _check_own(submission, user)
    phase = submission.phase
    finals = [final for final in finals_of(competition=phase.competition) if final.of == phase.slug]
    if not finals:
        raise Conflict(
            _("No phase of %(competition)s takes finalists of %(phase)s.")
            % {"competition": phase.competition.slug, "phase": phase.slug},
            _("See the phases page."),
            "no_final",
        )
    final = next((final for final in finals if final.is_open), None)
    if final is None:
        raise Conflict(
            _("The phase %(phase)s has begun at %(opens)s UTC, or its board is frozen: the choice is "
"over.") % {"phase": finals[-1].phase.slug, "opens": f"{finals[-1].phase.opens:%Y-%m-%d %H:%M}"},
            _("What was chosen then takes part; where nothing was, the best submission does."), "choice_over",
        )  # fmt: skip
    with transaction.atomic():
        # The same lock as that of the quota: two choices at once are counted one after the other.
        Participation.objects.select_for_update(no_key=True).get(pk=submission.participation_id)
        row = Submission.objects.select_for_update(of=("self",)).select_related("run").get(pk=submission.pk)
        if (row.chosen_at is not None) == chosen:
            return row
        if chosen:
            _check_choice(row, final)
        row.chosen_at = now() if chosen else None
        row.save(update_fields=["chosen_at"])
        audit_append(
            actor=user, act="submission.choose" if chosen else "submission.unchoose", subject=f"submission:{row.pk}",
            data={"final": final.phase.slug},
        )  # fmt: skip
    submission.chosen_at = row.chosen_at
    return submission


def _check_choice(row: Submission, final: Final) -> None:
    if row.withdrawn_at is not None:
        raise Conflict(_("This submission is withdrawn."), _("Choose another."), "withdrawn")
    if row.run is None or row.run.status != RunStatus.SCORED:
        raise Conflict(
            _("Only a scored submission can be a finalist."), _("Wait until it is scored, or choose another.")
        )
    held = Submission.objects.filter(
        participation_id=row.participation_id, phase_id=row.phase_id, withdrawn_at=None
    ).exclude(chosen_at=None)
    if held.count() >= final.choose:
        raise Conflict(
            _("You have chosen %(choose)s already, which is as many as %(phase)s takes of each.")
            % {"choose": final.choose, "phase": final.phase.slug},
            _("Undo one of them first."),
            "enough_chosen",
        )


def _check_own(submission: Submission, user: User) -> None:
    if not is_member(user=user, participation=submission.participation):
        raise NotAllowed(_("Only the participant can do this."), _("Ask a member of the team."))
