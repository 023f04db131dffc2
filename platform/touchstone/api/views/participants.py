"""For organisers: who takes part, and deciding about it; and what a competition's people are told."""

from __future__ import annotations

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from touchstone.api.authentication import PUBLIC
from touchstone.api.base import ApiView, PageQuery, Strict, page_of
from touchstone.api.finding import organised_get
from touchstone.api.idempotency import KEY, idempotent
from touchstone.api.people_outputs import (
    AnnouncementOut,
    AnnouncementPageOut,
    ParticipantOut,
    ParticipantPageOut,
    announcement_dict,
)
from touchstone.api.schema import operation
from touchstone.competitions.announcing import (
    announce,
    announcement_get,
    announcement_withdraw,
    announcements_read,
    announcements_visible,
)
from touchstone.competitions.models import Announcement, Competition, Participation
from touchstone.competitions.participant_lists import participant_named, participants_search
from touchstone.competitions.participants import (
    participation_approve,
    participation_refuse,
    participation_remove,
    participation_restore,
)
from touchstone.competitions.selectors import competition_get

_DECISIONS = ("approve", "refuse", "remove", "restore")


class Participants(ApiView):
    """The list."""

    tag = "organising"
    scopes = {"GET": "organise"}

    class Query(PageQuery):
        """Whom to look for."""

        q = serializers.CharField(
            required=False, default="", allow_blank=True, max_length=100, help_text="Of the name."
        )
        status = serializers.ChoiceField(
            ["", *Participation.Status.values], required=False, default="", help_text="Only those."
        )

    @operation(
        operation_id="participants_list",
        summary="Who takes part",
        description="The latest to join first. For organisers.",
        parameters=[Query],
        responses=ParticipantPageOut,
    )
    def get(self, request: Request, slug: str) -> Response:
        query = self.query(request, self.Query)
        competition = organised_get(request, slug)
        found = participants_search(
            user=request.user, competition=competition, q=query.pop("q"), status=query.pop("status")
        )
        rows, following = page_of(found, key="pk", moment="joined_at", **query)
        return Response(ParticipantPageOut({"items": rows, "next": following}).data)


class ParticipantDecision(ApiView):
    """Approving, refusing, removing and putting back."""

    tag = "organising"
    scopes = {"POST": "organise"}

    class Input(Strict):
        """Whom, and what."""

        participant = serializers.CharField(max_length=100, help_text="The name on the boards.")
        decision = serializers.ChoiceField(_DECISIONS)
        reason = serializers.CharField(
            required=False, default="", allow_blank=True, max_length=500,
            help_text="Needed to refuse and to remove; the participant reads it.",
        )  # fmt: skip

    @operation(
        operation_id="participants_decide",
        summary="Approve, refuse, remove or put back a participant",
        description="Who is removed submits nothing more; what was sent stays.",
        request=Input,
        responses=ParticipantOut,
    )
    def post(self, request: Request, slug: str) -> Response:
        competition = organised_get(request, slug)
        given = self.body(request, self.Input)
        row = participant_named(user=request.user, competition=competition, name=given["participant"])
        _decide(row, request, given["decision"], given["reason"])
        again = participant_named(user=request.user, competition=competition, name=row.display_name)
        return Response(ParticipantOut(again).data)


def _decide(row: Participation, request: Request, decision: str, reason: str) -> None:
    if decision == "approve":
        participation_approve(participation=row, by=request.user)
    elif decision == "restore":
        participation_restore(participation=row, by=request.user)
    else:
        decide = {"refuse": participation_refuse, "remove": participation_remove}[decision]
        decide(participation=row, by=request.user, reason=reason)


class Announcements(ApiView):
    """Reading and making them."""

    tag = "organising"
    scopes = {"GET": PUBLIC, "POST": "organise"}
    tags = True

    class Input(Strict):
        """Something to tell."""

        title = serializers.CharField(max_length=200)
        markdown = serializers.CharField(max_length=20_000, help_text="Markdown.")
        audience = serializers.ChoiceField(
            Announcement.Audience.values, required=False, default=Announcement.Audience.EVERYBODY.value,
            help_text="everybody who may see the competition, or its participants.",
        )  # fmt: skip
        participant = serializers.CharField(
            required=False, default="", allow_blank=True, max_length=100, help_text="To this one alone."
        )
        mail = serializers.BooleanField(
            required=False, default=False, help_text="By e-mail too, where the site sends it."
        )

    @operation(
        operation_id="announcements_list",
        summary="What the organisers have told",
        description="What the caller may read, newest first. `POST …/announcements/read` marks it as read.",
        parameters=[PageQuery],
        responses=AnnouncementPageOut,
    )
    def get(self, request: Request, slug: str) -> Response:
        competition = competition_get(user=request.user, slug=slug)
        found = announcements_visible(user=request.user, competition=competition)
        rows, following = page_of(found, key="pk", **self.query(request, PageQuery))
        return Response(
            AnnouncementPageOut({"items": [announcement_dict(row) for row in rows], "next": following}).data
        )

    @operation(
        operation_id="announcements_create",
        summary="Tell everybody, the participants, or one of them",
        parameters=[KEY],
        request=Input,
        responses={201: AnnouncementOut},
    )
    @idempotent
    def post(self, request: Request, slug: str) -> Response:
        competition = organised_get(request, slug)
        given = self.body(request, self.Input)
        to = _to(request, competition, given.pop("participant"))
        made = announce(competition=competition, by=request.user, participation=to, **given)
        return Response(AnnouncementOut(announcement_dict(made)).data, status=201)


def _to(request: Request, competition: Competition, name: str) -> Participation | None:
    return participant_named(user=request.user, competition=competition, name=name) if name else None


class AnnouncementWithdraw(ApiView):
    """Taking one off the pages."""

    tag = "organising"
    scopes = {"POST": "organise"}

    @operation(
        operation_id="announcements_withdraw",
        summary="Withdraw an announcement",
        description="It leaves the pages; what was sent by e-mail cannot be called back. Again changes nothing.",
        request=None,
        responses=AnnouncementOut,
    )
    def post(self, request: Request, slug: str, announcement: int) -> Response:
        competition = organised_get(request, slug)
        found = announcement_get(user=request.user, competition=competition, pk=announcement)
        announcement_withdraw(announcement=found, by=request.user)
        again = announcement_get(user=request.user, competition=competition, pk=announcement)
        return Response(AnnouncementOut(announcement_dict(again)).data)


class AnnouncementsRead(ApiView):
    """Taking the mark off."""

    tag = "account"
    scopes = {"POST": "read"}

    @operation(
        operation_id="announcements_read",
        summary="Mark a competition's announcements as read",
        description="`GET me/news` counts those that came since.",
        request=None,
        responses={204: None},
    )
    def post(self, request: Request, slug: str) -> Response:
        announcements_read(user=request.user, competition=competition_get(user=request.user, slug=slug))
        return Response(status=204)
