"""Teams: participants of several people. They share one name, one quota and all submissions.

Who founded it speaks for it: invites, removes, renames, hands over. Everything else any member does. People may join
while the competition runs; two teams are never merged, since that would give one team the quota of two.
"""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from touchstone.accounts.models import User
from touchstone.audit.services import audit_append
from touchstone.competitions.models import Competition, Invitation, Member, Participation
from touchstone.competitions.selectors import phase_is_over
from touchstone.core.clock import now
from touchstone.core.errors import Conflict, NotAllowed, NotFound, UserError
from touchstone.core.text import clean


def team_limit(*, competition: Competition) -> int:
    """Most people of one participant; 1 where there are no teams."""
    return int(competition.spec.get("teams", {}).get("members", 1))


def team_changes(*, competition: Competition) -> bool:
    """Whether teams may still change: until the last phase is over."""
    return any(not phase_is_over(phase=phase) for phase in competition.phases.all())


def invitations_open(*, participation: Participation) -> list[Invitation]:
    """Invitations into the team that somebody may still accept, newest first."""
    found = participation.invitations.filter(accepted_at=None, revoked_at=None, expires_at__gt=now())
    return list(found.filter(role=Invitation.Role.TEAMMATE))


def team_invite(*, participation: Participation, by: User, email: str = "") -> tuple[Invitation, str]:
    """Invite somebody into the team; returns the invitation and the secret of its link.

    Raises `NotAllowed`, and `Conflict` where the competition has no teams, is over, or the team is full.
    """
    from touchstone.competitions.invitations import invitation_create  # it builds on this module

    _check_head(participation, by, "invite")
    with transaction.atomic():
        row = _locked(participation)
        _check_room(row, invited=len(invitations_open(participation=row)))
        return invitation_create(
            competition=row.competition, role=Invitation.Role.TEAMMATE, by=by, email=email, participation=row
        )


def team_join(*, participation: Participation, user: User, accept_terms: bool) -> Participation:
    """Make `user` a member, who has been invited. Joining again changes nothing.

    Raises `UserError` (terms), and `Conflict` where the team is full, the competition over, or they take part with
    submissions of their own already. A participation in which nothing was sent ends instead.
    """
    with transaction.atomic():
        row = _locked(participation)
        if Member.objects.filter(participation=row, user=user).exists():
            return row
        if row.competition.terms and not accept_terms:
            raise UserError(
                _("The terms of this competition must be accepted to join it."),
                _("Read them, and accept them."), "terms", fields={"accept_terms": [_("Accept the terms.")]},
            )  # fmt: skip
        if row.status != Participation.Status.ACTIVE:
            raise Conflict(
                _("%(row)r does not take part now.") % {"row": row.display_name},
                _("Ask who invited you."),
                "team_inactive",
            )
        _check_room(row)
        _make_free(row, user)
        try:
            with transaction.atomic():
                Member.objects.create(competition=row.competition, participation=row, user=user)
        except IntegrityError:
            raise Conflict(
                _("You joined another team at the same time."), _("See the page of your participation.")
            ) from None
        _told(row, user, "team.join", user)
    return row


def _make_free(row: Participation, user: User) -> None:
    """End what would make `user` a member twice, where nothing is lost by it."""
    other = Member.everyone.filter(competition=row.competition, user=user).select_related("participation").first()
    if other is None:
        return
    if other.left_at is None and other.participation.members.count() > 1:
        raise Conflict(
            _("You are a member of %(participation)r in this competition.")
            % {"participation": other.participation.display_name},
            _("Nobody is in two teams: leave that one first."),
            "two_teams",
        )
    if other.participation.status == Participation.Status.REMOVED:
        raise Conflict(_("The organisers ended your participation in this competition."), _("Ask them."), "removed")
    same = other.participation_id == row.pk
    if not same and (other.left_at is not None or _has_sent(other.participation)):
        raise Conflict(
            _(
                "You have taken part as %(participation)r, with submissions; teams are not merged, since "
                "together they would have the quota of two."
            )
            % {"participation": other.participation.display_name},
            _("Go on with that participation, or take part together from the start of the next competition."),
            "team_merge",
        )
    other.delete()
    if not same:
        other.participation.delete()


def _has_sent(participation: Participation) -> bool:
    return participation.submissions.exists() or participation.pushed_images.exists()


def team_leave(*, participation: Participation, user: User) -> None:
    """Leave a team; the member who joined first after them speaks for it then. Raises `Conflict` for the only one."""
    _end(participation, user, by=user, act="team.leave")


def team_remove(*, participation: Participation, member: User, by: User) -> None:
    """Let somebody go. Raises `NotAllowed`, `NotFound`."""
    _check_head(participation, by, _("Only who speaks for the team may remove members."))
    if member.pk == by.pk:
        raise Conflict(_("You cannot remove yourself."), _("Leave the team instead."))
    _end(participation, member, by=by, act="team.remove")


def _end(participation: Participation, user: User, *, by: User, act: str) -> None:
    """Their open invitations end with them."""
    from touchstone.competitions.invitations import invitations_end  # it builds on this module

    with transaction.atomic():
        row = _locked(participation)
        member = Member.objects.filter(participation=row, user=user).first()
        if member is None:
            raise NotFound(_("This person is not a member of the team."), _("Load the page again."))
        heir = Member.objects.filter(participation=row).exclude(user=user).first()
        if heir is None:
            raise Conflict(
                _("You are the only member."), _("A team needs one; there is nothing to leave."), "only_member"
            )
        if row.user_id == user.pk:
            row.user_id = heir.user_id
            row.save(update_fields=["user"])
        if _has_sent(row):
            member.left_at = now()  # the team's quota was theirs too
            member.save(update_fields=["left_at"])
        else:
            member.delete()
        invitations_end(rows=Invitation.objects.filter(participation=row, invited_by=user), by=by)
        _told(row, by, act, user)


def team_hand_over(*, participation: Participation, to: User, by: User) -> None:
    """Let another member speak for the team. Raises `NotAllowed`, `NotFound`."""
    _check_head(participation, by, _("Only who speaks for the team may hand it over."))
    with transaction.atomic():
        row = _locked(participation)
        if not Member.objects.filter(participation=row, user=to).exists():
            raise NotFound(_("This person is not a member of the team."), _("Load the page again."))
        row.user = to
        row.save(update_fields=["user"])
        _told(row, by, "team.hand_over", to)


def participation_rename(*, participation: Participation, by: User, display_name: str) -> Participation:
    """Change the name on the leaderboards. Raises `NotAllowed`, `UserError`, `Conflict` where it is taken."""
    from touchstone.leaderboards.services import boards_touch  # it builds on this app
    from touchstone.transfers.models import MatrixEntry

    _check_head(participation, by, _("Only who speaks for the team may rename it."))
    name = clean(display_name.strip())
    if not name or len(name) > 100:
        raise UserError(
            _("A name on the leaderboard has between 1 and 100 characters."), _("Choose another."),
            fields={"display_name": [_("Between 1 and 100 characters.")]},
        )  # fmt: skip
    try:
        with transaction.atomic():
            row = _locked(participation)
            if row.display_name == name:
                return row
            before, row.display_name = row.display_name, name
            row.save(update_fields=["display_name"])
            MatrixEntry.objects.filter(submission__participation=row).update(name=name)
            boards_touch(participations=[row])
            audit_append(
                actor=by, act="participation.rename", subject=f"competition:{row.competition.slug}",
                data={"participation": row.pk, "from": before, "to": name},
            )  # fmt: skip
    except IntegrityError:
        raise Conflict(
            _("Somebody is called %(name)r in this competition.") % {"name": name},
            _("Choose another name for the leaderboard."),
            "name_taken",
            fields={"display_name": [_("Taken in this competition.")]},
        ) from None
    return row


def _locked(participation: Participation) -> Participation:
    """The row that submissions lock too: nobody submits while the team changes."""
    rows = Participation.objects.select_for_update(no_key=True, of=("self",)).select_related("competition")
    return rows.get(pk=participation.pk)


def _check_head(participation: Participation, by: User, refusal: str) -> None:
    if participation.user_id != by.pk:
        raise NotAllowed(
            refusal,
            _("Ask them; the page of the team says who it is."),
        )


def _check_room(row: Participation, *, invited: int = 0) -> None:
    limit = team_limit(competition=row.competition)
    if limit == 1:
        raise Conflict(_("This competition has no teams: each takes part alone."), _("Ask its organisers."), "no_teams")
    if not team_changes(competition=row.competition):
        raise Conflict(_("The competition is over; teams stay as they are."), "", "over")
    if row.members.count() + invited >= limit:
        waiting = _(", with %(n)s invited") % {"n": invited} if invited else ""
        raise Conflict(
            _("%(row)r is full: at most %(limit)s people%(waiting)s.")
            % {"row": row.display_name, "limit": limit, "waiting": waiting},
            _("Take back an invitation, or let somebody go first."),
            "team_full",
        )


def _told(row: Participation, by: User, act: str, user: User) -> None:
    audit_append(
        actor=by, act=act, subject=f"competition:{row.competition.slug}",
        data={"participation": row.pk, "user": user.username},
    )  # fmt: skip
