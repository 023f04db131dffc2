"""Where a person stands in a competition, and their next step: one answer for overview, submitting and joining."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from touchstone.competitions.models import Participation, Phase
from touchstone.competitions.selectors import Viewer, phase_finalists
from touchstone.core.clock import now
from touchstone.submissions.own import finals_of
from touchstone.submissions.selectors import Quota, quota, submissions_of
from touchstone.web import present
from touchstone.web.views.frame import Frame


def until(moment: datetime) -> str:
    """`3 h 12 min`: how long it is until then, to the minute and rounded up."""
    minutes = math.ceil((moment - now()).total_seconds() / 60)
    return present.duration(60 * max(1, minutes))


@dataclass(frozen=True)
class QuotaItem:
    """What is left of a phase's allowance."""

    phase: Phase
    quota: Quota

    @property
    def left_today(self) -> int:
        return max(0, (self.quota.per_day or 0) - self.quota.used_today)

    @property
    def left_total(self) -> int:
        return max(0, (self.quota.total or 0) - self.quota.used_total)

    @property
    def resets(self) -> str:
        """`5 again in 3 h 12 min (00:00 UTC)`; empty where nothing comes back with a new day."""
        if not self.quota.per_day:
            return ""
        back = self.quota.per_day
        if self.quota.total is not None:
            back = min(back, self.left_total)
        if back <= self.left_today or back == 0:
            return ""
        return _("%(n)d again in %(time)s (00:00 UTC)") % {"n": back, "time": until(self.quota.resets_at)}


def quotas_of(shown: Frame) -> list[QuotaItem]:
    """What is left in each open phase; nothing for who may not submit."""
    if shown.participation is None:
        return []
    return [QuotaItem(phase, quota(participation=shown.participation, phase=phase)) for phase in open_phases(shown)]


def open_phases(shown: Frame) -> list[Phase]:
    """The phases that take submissions now. Finals take none: they evaluate those that were chosen."""
    found = [item.phase for item in shown.phases if item.takes]
    return [phase for phase in found if phase_finalists(phase=phase) is None]


@dataclass(frozen=True)
class Standing:
    """`state` names it; `can_submit` whether a submission would be taken now; `url` leads to the next step."""

    state: str
    title: str
    text: str
    label: str = ""
    url: str = ""
    icon: str = "info"
    can_submit: bool = False


def standing_of(shown: Frame, user: Viewer, quotas: list[QuotaItem] | None = None) -> Standing:
    """The first thing that keeps somebody from submitting; where nothing does, what is worth doing."""
    joined = shown.joined
    if joined is None:
        return _outside(shown, user)
    if joined.status == Participation.Status.PENDING:
        return Standing(
            "pending", _("Waiting for approval"),
            _(
                "The organisers look at who joins. You can read everything here until then; data and submitting open "
                "with their approval."
            ),
            _("Read the rules"), reverse("web:rules", args=[shown.competition.slug]), icon="hourglass",
        )  # fmt: skip
    if joined.status == Participation.Status.REMOVED:
        reason = joined.status_reason or _("They gave no reason.")
        return Standing(
            "removed", _("The organisers ended your participation"),
            _("%(reason)s What you sent stays yours to see.") % {"reason": reason}, icon="ban",
        )  # fmt: skip
    return _inside(shown, user, quotas_of(shown) if quotas is None else quotas)


def _outside(shown: Frame, user: Viewer) -> Standing:
    slug = shown.competition.slug
    if shown.state == "closed":
        return Standing(
            "over", _("This competition is over"), _("Its leaderboard and its data stay."),
            _("See the leaderboard"), reverse("web:leaderboard", args=[slug]), icon="lock",
        )  # fmt: skip
    if shown.organiser:
        return Standing(
            "organiser", _("Run your competition"),
            _("Participants, submissions, announcements and the report. To submit too, join like everybody."),
            _("Manage"), reverse("web:manage", args=[slug]), icon="settings",
        )  # fmt: skip
    signed_in = user is not None and user.is_authenticated
    text = _("Read the terms and accept them; then you can submit.")
    if not signed_in:
        text = _("Read the terms, sign in, and accept them; then you can submit.")
    return Standing("outside", _("You have not joined yet"), text, _("Join"), reverse("web:join", args=[slug]), "user")


def _inside(shown: Frame, user: Viewer, quotas: list[QuotaItem]) -> Standing:
    slug = shown.competition.slug
    submissions = reverse("web:submissions", args=[slug])
    choice = _choice(shown, user)
    if choice is not None:
        return choice
    if not quotas:
        return _frozen(shown, submissions) or _closed(shown)
    if all(item.quota.left == 0 for item in quotas):
        return _spent(quotas, submissions)
    if not submissions_of(user=user, competition=shown.competition).exists():
        return Standing(
            "first", _("Send your first submission"), _("The data page has what you need to make one."),
            _("Submit"), reverse("web:submit", args=[slug]), icon="upload", can_submit=True,
        )  # fmt: skip
    left = max((item.quota.left for item in quotas if item.quota.left is not None), default=None)
    text = _("There is no limit on submissions.")
    if left is not None:
        text = ngettext("You can send %d more now.", "You can send %d more now.", left) % left
    return Standing(
        "ready", _("Improve on your last submission"), text, _("Submit"), reverse("web:submit", args=[slug]), "upload",
        can_submit=True,
    )  # fmt: skip


def _frozen(shown: Frame, submissions: str) -> Standing | None:
    held = next((item.phase for item in shown.phases if item.state == "open" and item.phase.frozen_at), None)
    if held is None:
        return None
    text = _("The organisers have frozen this phase: nothing is taken and no board changes until they end it.")
    return Standing(
        "frozen", _("This phase is frozen"), f"{text} {held.frozen_reason}".strip(), _("My submissions"), submissions,
        "lock",
    )  # fmt: skip


def _choice(shown: Frame, user: Viewer) -> Standing | None:
    """Choose finalists: once what one chooses from is over, and until the choice is."""
    states = {item.phase.slug: item.state for item in shown.phases}
    for final in finals_of(competition=shown.competition, phases=[item.phase for item in shown.phases]):
        if not final.is_open or states.get(final.of) != "closed":
            continue
        mine = submissions_of(user=user, competition=shown.competition).filter(phase__slug=final.of)
        chosen = mine.exclude(chosen_at=None).count()
        if chosen < final.choose and mine.exists():
            values = {"chosen": chosen, "choose": final.choose, "time": until(final.phase.opens)}
            text = _(
                "%(chosen)d of %(choose)d chosen; %(time)s are left. Where nothing is chosen, your best takes part."
            )
            return Standing(
                "choose", _("Choose your finalists"), text % values,
                _("Choose"), reverse("web:submissions", args=[shown.competition.slug]), icon="flag",
            )  # fmt: skip
    return None


def _closed(shown: Frame) -> Standing:
    slug = shown.competition.slug
    if shown.next is not None:
        values = {"title": shown.next.title, "time": until(shown.next.opens)}
        return Standing(
            "early", _("No phase is open now"), _("%(title)s opens in %(time)s.") % values,
            _("Get the data"), reverse("web:data", args=[slug]), icon="clock",
        )  # fmt: skip
    return Standing(
        "over", _("All phases are over"), _("The leaderboard keeps the results."),
        _("See the leaderboard"), reverse("web:leaderboard", args=[slug]), icon="lock",
    )  # fmt: skip


def _spent(quotas: list[QuotaItem], submissions: str) -> Standing:
    resets = next((item.resets for item in quotas if item.resets), "")
    if not resets and any(
        item.quota.failed_today and item.quota.left == 0 and (item.left_today or item.left_total) for item in quotas
    ):
        resets = _("a new day begins in %s (00:00 UTC)") % until(quotas[0].quota.resets_at)
    text = (
        _("Until then, see what the last ones tell you: %s.") % resets
        if resets
        else _("You have used all submissions of this phase. Its results stay.")
    )
    return Standing(
        "none_left", _("Nothing left for now"), text, _("My submissions"), submissions, icon="hourglass"
    )  # fmt: skip
