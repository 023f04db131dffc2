"""Teams: who gets in, who gets out, and what each of them sees and may do afterwards."""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module

import pytest
from django.apps import apps
from django.core.files.base import ContentFile
from django.db import connection

from tests.factories.server import competition_make, participation_make, phase_of, run_make, submission_make, user_make
from touchstone.accounts.leaving import account_delete, export_archive
from touchstone.audit.models import AuditEntry
from touchstone.competitions import teams
from touchstone.competitions.invitations import invitation_accept, invitation_create
from touchstone.competitions.models import Competition, Invitation, Member, Participation, Phase
from touchstone.competitions.participants import participation_remove
from touchstone.competitions.selectors import competition_get, competition_visible, participation_get
from touchstone.competitions.services import participation_invite, participation_join
from touchstone.core.clock import now
from touchstone.core.errors import Conflict, NotAllowed, NotFound, QuotaExceeded
from touchstone.evaluations.models import RunStatus
from touchstone.evaluations.services import run_cancel
from touchstone.submissions.models import Submission
from touchstone.submissions.selectors import quota, submission_get, submissions_of
from touchstone.submissions.services import submission_create

pytestmark = pytest.mark.django_db


def arena(members: int = 3, **changes: object) -> Competition:
    return competition_make(teams={"members": members}, **changes)


def pair(competition: Competition, name: str = "Team") -> tuple[Participation, Member]:
    """A team of two: who founded it, and a member that came by an invitation."""
    team = participation_make(competition, display_name=name)
    _made, secret = teams.team_invite(participation=team, by=team.user)
    invitation_accept(secret=secret, user=user_make(), accept_terms=True)
    return team, Member.objects.exclude(user=team.user).get(participation=team)


def send(user, competition: Competition, text: str = "id,prediction\na,no\nb,yes\n") -> Submission:
    return submission_create(
        user=user, phase=phase_of(competition), kind="predictions", file=ContentFile(text.encode(), name="x.csv")
    )


def test_a_member_sees_and_does_what_the_founder_does() -> None:
    competition = arena(visibility="private")
    team, member = pair(competition)
    theirs = send(team.user, competition)
    mine = send(member.user, competition, "id,prediction\na,yes\nb,yes\n")

    assert participation_get(user=member.user, competition=competition) == team
    assert competition_get(user=member.user, slug=competition.slug) == competition
    assert competition in competition_visible(user=member.user)
    for user in (team.user, member.user):
        assert set(submissions_of(user=user)) == {theirs, mine}
    assert submission_get(user=member.user, id=theirs.pk) == theirs
    assert (theirs.sent_by, mine.sent_by) == (team.user, member.user)
    run_cancel(run=theirs.run, user=member.user)
    assert submission_get(user=team.user, id=theirs.pk).run.status == RunStatus.CANCELLED


def test_a_team_has_one_quota() -> None:
    competition = arena(
        phases=[{"slug": "main", "split": "test", "opens": "2020-01-01T00:00Z", "limits": {"total": 1}}]
    )
    team, member = pair(competition)
    send(team.user, competition)
    assert quota(participation=team, phase=phase_of(competition)).used_total == 1
    with pytest.raises(QuotaExceeded):
        send(member.user, competition)


def test_strangers_other_teams_and_former_members_see_nothing_of_it() -> None:
    competition = arena()
    team, member = pair(competition)
    theirs = send(team.user, competition)
    own = send(member.user, competition)
    other, _ = pair(arena())
    teams.team_leave(participation=team, user=member.user)

    for user in (user_make(), other.user, participation_make(competition).user, member.user):
        for each in (theirs, own):
            with pytest.raises(NotFound):
                submission_get(user=user, id=each.pk)
        assert not submissions_of(user=user, competition=competition).exists()
    with pytest.raises(NotAllowed):
        run_cancel(run=theirs.run, user=member.user)


def test_who_leaves_a_team_that_has_submitted_does_not_begin_anew() -> None:
    competition = arena()
    team, member = pair(competition)
    submission_make(team)
    teams.team_leave(participation=team, user=member.user)

    with pytest.raises(Conflict) as caught:
        participation_join(competition=competition, user=member.user, accept_terms=True)
    assert caught.value.code == "left_team"
    with pytest.raises(Conflict):
        teams.team_join(participation=participation_make(competition), user=member.user, accept_terms=True)
    teams.team_join(participation=team, user=member.user, accept_terms=True)  # back to the same
    assert participation_get(user=member.user, competition=competition) == team
    teams.team_leave(participation=team, user=member.user)
    alone = participation_invite(competition=competition, user=member.user, by=competition.owner)
    assert participation_get(user=member.user, competition=competition) == alone


def test_who_leaves_before_anything_was_sent_is_free() -> None:
    competition = arena()
    team, member = pair(competition)
    teams.team_leave(participation=team, user=member.user)
    assert participation_join(competition=competition, user=member.user, accept_terms=True) != team


def test_two_teams_are_never_merged() -> None:
    competition = arena()
    team, _member = pair(competition)
    alone, busy = participation_make(competition), participation_make(competition)
    submission_make(busy)

    with pytest.raises(Conflict) as caught:
        teams.team_join(participation=team, user=busy.user, accept_terms=True)
    assert caught.value.code == "team_merge"
    elsewhere, third = pair(competition, "Others")
    with pytest.raises(Conflict) as caught:
        teams.team_join(participation=team, user=third.user, accept_terms=True)
    assert caught.value.code == "two_teams"
    teams.team_join(participation=team, user=alone.user, accept_terms=True)  # nothing was sent: it ends
    assert not Participation.objects.filter(pk=alone.pk).exists()
    assert elsewhere.members.count() == 2


def test_a_removed_participant_does_not_come_back_as_a_member() -> None:
    competition = arena()
    team, _member = pair(competition)
    removed = participation_make(competition, status="removed")
    with pytest.raises(Conflict) as caught:
        teams.team_join(participation=team, user=removed.user, accept_terms=True)
    assert caught.value.code == "removed"


def test_room_and_time() -> None:
    competition = arena(members=2)
    team, _member = pair(competition)
    with pytest.raises(Conflict) as caught:
        teams.team_invite(participation=team, by=team.user)
    assert caught.value.code == "team_full"
    with pytest.raises(Conflict):
        teams.team_join(participation=team, user=user_make(), accept_terms=True)
    lonely = participation_make(competition_make())
    with pytest.raises(Conflict) as caught:
        teams.team_invite(participation=lonely, by=lonely.user)
    assert caught.value.code == "no_teams"
    roomy, _ = pair(arena())
    Phase.objects.filter(competition=roomy.competition).update(closes=now() - timedelta(hours=1))
    with pytest.raises(Conflict) as caught:
        teams.team_invite(participation=roomy, by=roomy.user)
    assert caught.value.code == "over"


def test_an_open_invitation_takes_a_place() -> None:
    team = participation_make(arena(members=2))
    teams.team_invite(participation=team, by=team.user)
    with pytest.raises(Conflict):
        teams.team_invite(participation=team, by=team.user)


def test_only_the_founder_decides_until_it_is_handed_over() -> None:
    team, member = pair(arena())
    for act in (
        lambda: teams.team_invite(participation=team, by=member.user),
        lambda: teams.team_remove(participation=team, member=team.user, by=member.user),
        lambda: teams.team_hand_over(participation=team, to=member.user, by=member.user),
        lambda: teams.participation_rename(participation=team, by=member.user, display_name="Mine"),
    ):
        with pytest.raises(NotAllowed):
            act()
    teams.team_hand_over(participation=team, to=member.user, by=team.user)
    team.refresh_from_db()
    assert teams.participation_rename(participation=team, by=member.user, display_name=" Mine ").display_name == "Mine"
    other = participation_make(team.competition, display_name="Taken")
    with pytest.raises(Conflict):
        teams.participation_rename(participation=other, by=other.user, display_name="mine")
    acts = set(AuditEntry.objects.values_list("act", flat=True))
    assert {"team.join", "team.hand_over", "participation.rename", "invitation.accept"} <= acts


def test_the_founder_leaves_and_the_team_goes_on() -> None:
    team, member = pair(arena())
    teams.team_leave(participation=team, user=team.user)
    team.refresh_from_db()
    assert team.user == member.user
    with pytest.raises(Conflict):
        teams.team_leave(participation=team, user=member.user)


def test_an_account_that_goes_hands_the_team_on_and_takes_its_own_along() -> None:
    competition = arena()
    team, member = pair(competition)
    founder = team.user
    own, other = submission_make(team, sent_by=founder), submission_make(team, sent_by=member.user)
    runs = [run_make(each) for each in (own, other)]

    with export_archive(user=founder) as out:
        held = out.read()
    account_delete(user=founder)

    assert str(own.pk).encode() in held
    assert str(other.pk).encode() not in held
    team.refresh_from_db()
    assert (team.user, team.display_name) == (member.user, "Team")
    for run in runs:
        run.refresh_from_db()
        assert run.status == RunStatus.QUEUED
    assert submission_get(user=member.user, id=own.pk) == own


def test_the_fill_gives_each_participation_its_one_member() -> None:
    competition = competition_make()
    people = [participation_make(competition) for _ in range(3)]
    Member.objects.exclude(participation=people[0]).delete()
    fill = import_module("touchstone.competitions.migrations.0006_members_fill").fill

    with connection.schema_editor() as editor:
        fill(apps, editor)
        fill(apps, editor)

    rows = Member.objects.order_by("participation").values_list("participation", "user", "competition")
    assert list(rows) == [(each.pk, each.user_id, competition.pk) for each in people]
    assert Member.objects.get(participation=people[2]).joined_at == people[2].joined_at


def test_joining_heals_a_participation_without_its_member() -> None:
    team = participation_make(competition_make())
    Member.objects.all().delete()
    assert participation_join(competition=team.competition, user=team.user, accept_terms=True) == team
    assert team.members.get().user == team.user


def _open_invitations(team: Participation) -> list[Invitation]:
    return teams.invitations_open(participation=team)


def test_open_invitations_end_with_who_sent_them() -> None:
    team, member = pair(arena(members=5))
    founder = team.user
    _made, secret = teams.team_invite(participation=team, by=founder)
    teams.team_hand_over(participation=team, to=member.user, by=founder)
    team.refresh_from_db()
    teams.team_invite(participation=team, by=member.user)
    assert len(_open_invitations(team)) == 2

    teams.team_leave(participation=team, user=founder)

    assert [row.invited_by for row in _open_invitations(team)] == [member.user]
    with pytest.raises(NotFound):
        invitation_accept(secret=secret, user=user_make(), accept_terms=True)
    assert AuditEntry.objects.filter(act="invitation.revoke").count() == 1
    participation_remove(participation=team, by=team.competition.owner, reason="cheated")
    assert _open_invitations(team) == []


def test_an_organiser_who_deletes_their_account_leaves_no_open_door() -> None:
    competition = arena()
    helper = user_make()
    competition.organisers.add(helper)
    role = Invitation.Role.PARTICIPANT.value
    _made, theirs = invitation_create(competition=competition, role=role, by=helper)
    _made, kept = invitation_create(competition=competition, role=role, by=competition.owner)

    account_delete(user=helper)

    with pytest.raises(NotFound):
        invitation_accept(secret=theirs, user=user_make(), accept_terms=True)
    assert invitation_accept(secret=kept, user=user_make(), accept_terms=True) is not None


def test_who_was_removed_reads_why_and_nothing_else_of_a_private_competition() -> None:
    private, public = arena(visibility="private"), arena(visibility="public")
    domain = arena(visibility="private", access={"email_domains": ["example.org"]})
    rows = {competition.slug: participation_make(competition) for competition in (private, public, domain)}
    for row in rows.values():
        assert row.competition in competition_visible(user=row.user)
        participation_remove(participation=row, by=row.competition.owner, reason="shared an account")

    for competition in (private, domain):
        user = rows[competition.slug].user
        assert competition not in competition_visible(user=user)
        with pytest.raises(NotAllowed, match="shared an account"):
            competition_get(user=user, slug=competition.slug)
    assert competition_get(user=rows[public.slug].user, slug=public.slug) == public
    private.organisers.add(rows[private.slug].user)
    assert competition_get(user=rows[private.slug].user, slug=private.slug) == private
