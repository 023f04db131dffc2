"""Invitations and teams."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from touchstone.accounts.models import User
from touchstone.api.authentication import job_refuse
from touchstone.api.base import ApiView, PageQuery, Strict, page_of
from touchstone.api.finding import organised_get
from touchstone.api.outputs import ParticipationOut
from touchstone.api.people_outputs import InvitationPageOut, NewInvitationOut, TeamOut, invitation_dict
from touchstone.api.present import page_url
from touchstone.api.schema import operation
from touchstone.competitions import teams
from touchstone.competitions.invitations import (
    invitation_accept,
    invitation_create,
    invitation_find,
    invitation_mail,
    invitation_revoke,
    invitations_open,
)
from touchstone.competitions.models import Competition, Invitation, Member, Participation
from touchstone.competitions.selectors import competition_get, participation_of
from touchstone.core.errors import NotFound
from touchstone.core.rates import INVITATIONS, rate_take

_ROLES = [Invitation.Role.PARTICIPANT.value, Invitation.Role.ORGANISER.value]


def _made(request: Request, made: Invitation, secret: str) -> Response:
    link = page_url(reverse("web:invitation", args=[secret]))
    try:
        mailed = invitation_mail(invitation=made, link=link)
    except OSError:  # the link is in the answer
        mailed = False
    return Response(NewInvitationOut({**invitation_dict(made), "link": link, "mailed": mailed}).data, status=201)


def _count(request: Request, email: str) -> None:
    if email:  # strangers get them
        rate_take(rate=INVITATIONS, subjects={"name": request.user.get_username()})


class Invitations(ApiView):
    """Links of organisers."""

    tag = "organising"
    scopes = {"GET": "organise", "POST": "organise"}

    class Input(Strict):
        """Whom to invite."""

        role = serializers.ChoiceField(_ROLES)
        email = serializers.CharField(
            required=False, default="", allow_blank=True, max_length=254, help_text="Sent there, where the site can."
        )

    @operation(
        operation_id="invitations_list",
        summary="Invitations that wait to be accepted",
        parameters=[PageQuery],
        responses=InvitationPageOut,
    )
    def get(self, request: Request, slug: str) -> Response:
        competition = organised_get(request, slug)
        found = invitations_open(competition=competition, by=request.user)
        rows, following = page_of(found, key="pk", **self.query(request, PageQuery))
        return Response(InvitationPageOut({"items": [invitation_dict(row) for row in rows], "next": following}).data)

    @operation(
        operation_id="invitations_create",
        summary="Invite somebody to take part or to organise",
        description="The answer holds the link, which works once, within 14 days; it is not kept.",
        request=Input,
        responses={201: NewInvitationOut},
    )
    def post(self, request: Request, slug: str) -> Response:
        competition = organised_get(request, slug)
        given = self.body(request, self.Input)
        _count(request, given["email"])
        return _made(request, *invitation_create(competition=competition, by=request.user, **given))


class InvitationDetail(ApiView):
    """Taking one back."""

    tag = "organising"
    scopes = {"DELETE": "organise"}

    @operation(
        operation_id="invitations_revoke", summary="Take an invitation back", request=None, responses={204: None}
    )
    def delete(self, request: Request, slug: str, invitation: int) -> Response:
        found = invitations_open(competition=organised_get(request, slug), by=request.user)
        return _revoked(request, found.filter(pk=invitation).first())


def _revoked(request: Request, found: Invitation | None) -> Response:
    if found is None:
        raise NotFound("There is no such open invitation.", "Somebody may have accepted it.")
    invitation_revoke(invitation=found, by=request.user)
    return Response(status=204)


class AcceptedOut(serializers.Serializer[Any]):
    """What one has become."""

    competition = serializers.CharField()
    role = serializers.CharField(help_text="participant, organiser or teammate.")
    participation = ParticipationOut(allow_null=True)


class InvitationAccept(ApiView):
    """Using a link."""

    tag = "competitions"
    scopes = {"POST": "submit"}

    class Input(Strict):
        """The link's secret, its last part."""

        secret = serializers.CharField(max_length=100)
        display_name = serializers.CharField(required=False, default="", allow_blank=True, max_length=100)
        accept_terms = serializers.BooleanField(required=False, default=False)

    @operation(
        operation_id="invitations_accept",
        summary="Accept an invitation: take part, organise, or join a team",
        request=Input,
        responses=AcceptedOut,
    )
    def post(self, request: Request) -> Response:
        given = self.body(request, self.Input)
        found = invitation_find(secret=given["secret"])
        made = invitation_accept(user=request.user, **given)
        body = {"competition": found.competition.slug, "role": found.role, "participation": None}
        if made is not None:
            body["participation"] = participation_dict(made, found.competition)
        return Response(AcceptedOut(body).data)


def participation_dict(row: Participation, competition: Competition) -> dict[str, Any]:
    """For `ParticipationOut`."""
    names = ("display_name", "joined_at", "status")
    return {"competition": competition.slug, **{name: getattr(row, name) for name in names}}


class Team(ApiView):
    """One's participation: the name on the board, and the people."""

    tag = "teams"
    scopes = {"GET": "read", "PATCH": "submit"}

    class Input(Strict):
        """Another name."""

        name = serializers.CharField(max_length=100, help_text="On the boards, from now on.")

    @operation(
        operation_id="teams_get",
        summary="One's participation and its people",
        description="Whoever takes part alone is a team of one.",
        responses=TeamOut,
    )
    def get(self, request: Request, slug: str) -> Response:
        return _team(_mine(request, slug), request)

    @operation(operation_id="teams_rename", summary="Change the name on the boards", request=Input, responses=TeamOut)
    def patch(self, request: Request, slug: str) -> Response:
        job_refuse(request)
        mine = _mine(request, slug)
        name = self.body(request, self.Input)["name"]
        teams.participation_rename(participation=mine, by=request.user, display_name=name)
        return _team(_mine(request, slug), request)


class TeamInvitations(ApiView):
    """Asking somebody in."""

    tag = "teams"
    scopes = {"POST": "submit"}

    class Input(Strict):
        """Whom, if it is to be sent."""

        email = serializers.CharField(required=False, default="", allow_blank=True, max_length=254)

    @operation(
        operation_id="teams_invite",
        summary="Invite somebody into one's team",
        description="The answer holds the link, which works once, within 14 days; it is not kept.",
        request=Input,
        responses={201: NewInvitationOut},
    )
    def post(self, request: Request, slug: str) -> Response:
        job_refuse(request)
        mine = _mine(request, slug)
        email = self.body(request, self.Input)["email"]
        _count(request, email)
        return _made(request, *teams.team_invite(participation=mine, by=request.user, email=email))


class TeamInvitation(ApiView):
    """Taking one back."""

    tag = "teams"
    scopes = {"DELETE": "submit"}

    @operation(
        operation_id="teams_invite_revoke", summary="Take an invitation into one's team back", request=None,
        responses={204: None},
    )  # fmt: skip
    def delete(self, request: Request, slug: str, invitation: int) -> Response:
        job_refuse(request)
        waiting = teams.invitations_open(participation=_mine(request, slug))
        return _revoked(request, next((each for each in waiting if each.pk == invitation), None))


class TeamMember(ApiView):
    """Leaving, letting go, handing over."""

    tag = "teams"
    scopes = {"POST": "submit"}

    class Input(Strict):
        """What, and with whom."""

        act = serializers.ChoiceField(["leave", "remove", "hand_over"])
        username = serializers.CharField(
            required=False, default="", allow_blank=True, max_length=150, help_text="Of whom to remove or hand over to."
        )

    @operation(
        operation_id="teams_change",
        summary="Leave one's team, remove a member, or let another speak for it",
        description="What was submitted stays with the team. Who leaves one that has submitted can take part in this "
        "competition again only with the same team.",
        request=Input,
        responses={204: None},
    )
    def post(self, request: Request, slug: str) -> Response:
        job_refuse(request)
        mine = _mine(request, slug)
        given = self.body(request, self.Input)
        if given["act"] == "leave":
            teams.team_leave(participation=mine, user=request.user)
            return Response(status=204)
        member = _member(mine, given["username"])
        if given["act"] == "remove":
            teams.team_remove(participation=mine, member=member, by=request.user)
        else:
            teams.team_hand_over(participation=mine, to=member, by=request.user)
        return Response(status=204)


def _member(mine: Participation, username: str) -> User:
    found = Member.objects.filter(participation=mine, user__username=username).select_related("user").first()
    if found is None:
        raise NotFound(f"{username!r} is no member of this team.", "GET the team: it lists its members.")
    return found.user


def _mine(request: Request, slug: str) -> Participation:
    competition = competition_get(user=request.user, slug=slug)
    found = participation_of(user=request.user, competition=competition)
    if found is None:
        raise NotFound("You do not take part in this competition.", "Join it first.")
    found.competition = competition
    return found


def _team(mine: Participation, request: Request) -> Response:
    members = list(Member.objects.filter(participation=mine).select_related("user"))
    body = {
        "competition": mine.competition.slug, "name": mine.display_name, "status": mine.status,
        "limit": teams.team_limit(competition=mine.competition),
        "changes": teams.team_changes(competition=mine.competition),
        "members": [
            {"user": each.user, "joined_at": each.joined_at, "speaks": each.user_id == mine.user_id} for each in members
        ],
        "invitations": [invitation_dict(each) for each in teams.invitations_open(participation=mine)],
    }  # fmt: skip
    return Response(TeamOut(body).data)
