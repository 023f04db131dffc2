"""The page of one's participation."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from tests.factories.server import user_make
from touchstone.competitions.models import Invitation, Member, Participation

TEAM = "/c/open-one/team/"


@pytest.fixture
def team(world) -> Participation:
    """The participant's, in a competition of teams with room for one more."""
    size = Member.objects.filter(participation=world.participation).count()
    world.public.spec = world.public.spec | {"teams": {"members": size + 1}}
    world.public.save()
    return world.participation


def signed_in(user) -> Client:
    client = Client()
    client.force_login(user)
    return client


def invited(client: Client, user, **fields: str) -> str:
    """Invite by the page, and accept with the link that it shows."""
    html = client.post(TEAM, {"act": "invite", **fields}).content.decode()
    link = re.search(r"http://testserver(/invitations/[^<\s]+/)", html)
    assert link, html
    signed_in(user).post(link[1], {"accept_terms": "on"})
    return link[1]


def test_inviting_joining_handing_over_and_leaving(world, team) -> None:
    paul, mate = world.client("participant"), user_make("mate")
    link = invited(paul, mate)
    assert Member.objects.filter(participation=team, user=mate).exists()
    assert link not in paul.get(TEAM).content.decode()

    theirs = signed_in(mate)
    html = theirs.get(TEAM).content.decode()
    assert "speaks for the team" in html
    assert 'value="rename"' not in html
    assert theirs.get(f"/s/{world.run.submission_id}/").status_code == 200
    for act in ("leave", "remove", "hand-over"):  # asked before it is done
        member = world.participant if act == "leave" else mate
        assert paul.get(f"{TEAM}{act}/{member.pk}/").status_code == 200
    assert Member.objects.filter(participation=team, user__in=[mate, world.participant]).count() == 2

    paul.post(f"{TEAM}hand-over/{mate.pk}/")
    team.refresh_from_db()
    assert team.user == mate
    assert paul.post(f"{TEAM}leave/{world.participant.pk}/")["Location"] == "/c/open-one/"
    assert paul.get(f"/s/{world.run.submission_id}/").status_code == 404
    assert theirs.get(f"/s/{world.run.submission_id}/").status_code == 200


def test_what_one_may_not_do_is_not_there(world, team) -> None:
    mate = user_make("mate")
    invited(world.client("participant"), mate)
    theirs = signed_in(mate)
    paul = world.participant.pk
    for path in (f"{TEAM}remove/{paul}/", f"{TEAM}hand-over/{paul}/", f"{TEAM}leave/{paul}/", f"{TEAM}none/{mate.pk}/"):
        assert theirs.post(path).status_code == 404
    assert Member.objects.filter(participation=team, user__in=[mate, world.participant]).count() == 2
    assert world.client("stranger").get(TEAM).status_code == world.client("organiser").get(TEAM).status_code == 404


def test_an_invitation_is_listed_and_taken_back(world, team) -> None:
    paul = world.client("participant")
    paul.post(TEAM, {"act": "invite", "email": "mate@example.org"})
    row = Invitation.objects.get()
    assert "mate@example.org" in paul.get(TEAM).content.decode()

    assert world.client("stranger").post(f"{TEAM}invitations/{row.pk}/revoke/").status_code == 404
    assert paul.post(f"{TEAM}invitations/{row.pk}/revoke/")["Location"] == TEAM
    assert paul.post(f"{TEAM}invitations/{row.pk}/revoke/").status_code == 404
    row.refresh_from_db()
    assert row.revoked_at is not None


def test_refusals_stand_beside_the_field_and_keep_what_was_typed(world, team) -> None:
    paul = world.client("participant")
    response = paul.post(TEAM, {"act": "invite", "email": "no address"})
    assert response.status_code == 422
    assert 'value="no address"' in response.content.decode()
    response = paul.post(TEAM, {"act": "rename", "display_name": " "})
    assert response.status_code == 422
    assert "id_display_name_error" in response.content.decode()
    assert paul.post(TEAM, {"act": "rename", "display_name": "Rocks"})["Location"] == TEAM
    assert "Rocks" in world.client("anonymous").get("/c/open-one/leaderboard/main/main/").content.decode()


def test_without_teams_the_page_says_so(world) -> None:
    html = world.client("participant").get(TEAM).content.decode()
    assert "This competition has no teams" in html
    assert 'value="invite"' not in html


def test_mail_to_team_mates_is_limited_and_a_mail_server_that_fails_leaves_the_link(
    world, team, settings, monkeypatch
) -> None:
    from touchstone.competitions import invitations
    from touchstone.core import rates

    def refuse(*_args, **_more) -> None:
        raise OSError("no mail server")

    settings.TOUCHSTONE_EMAIL_URL, settings.TOUCHSTONE_RATE_LIMITS = "smtp://localhost", True
    monkeypatch.setitem(rates.INVITATIONS.limits, "name", 1)
    monkeypatch.setattr(invitations, "send_mail", refuse)
    paul = world.client("participant")
    assert (
        "http://testserver/invitations/" in paul.post(TEAM, {"act": "invite", "email": "a@b.example"}).content.decode()
    )
    paul.post(f"{TEAM}invitations/{Invitation.objects.get().pk}/revoke/")
    assert "Too many invitations" in paul.post(TEAM, {"act": "invite", "email": "c@d.example"}).content.decode()
    assert Invitation.objects.count() == 1
