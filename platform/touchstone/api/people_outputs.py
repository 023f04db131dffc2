"""What the answers about people and what they are told look like, and how they are filled."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from touchstone.competitions.models import Announcement, Invitation


class ParticipantOut(serializers.Serializer[Any]):
    """A participant as organisers see it."""

    name = serializers.CharField(source="display_name", help_text="On the boards; names the participant here.")
    account = serializers.CharField(source="user.username", help_text="Who speaks for it.")
    status = serializers.CharField(help_text="active, pending or removed.")
    reason = serializers.CharField(source="status_reason", allow_blank=True, help_text="Why it was refused or removed.")
    joined_at = serializers.DateTimeField()
    people = serializers.IntegerField(help_text="Members.")
    submissions = serializers.IntegerField(source="sent")
    last_submission = serializers.DateTimeField(source="sent_last", allow_null=True)


class ParticipantPageOut(serializers.Serializer[Any]):
    items = ParticipantOut(many=True)
    next = serializers.CharField(allow_blank=True, help_text="Cursor of the next page; empty at the end.")


class AnnouncementOut(serializers.Serializer[Any]):
    """Something the organisers tell."""

    id = serializers.IntegerField()
    title = serializers.CharField()
    markdown = serializers.CharField(allow_blank=True)
    audience = serializers.ChoiceField(["everybody", "participants", "one"])
    participant = serializers.CharField(allow_null=True, help_text="Whom it is to, where it is to one alone.")
    created_at = serializers.DateTimeField()
    withdrawn_at = serializers.DateTimeField(allow_null=True)


class AnnouncementPageOut(serializers.Serializer[Any]):
    items = AnnouncementOut(many=True)
    next = serializers.CharField(allow_blank=True, help_text="Cursor of the next page; empty at the end.")


class InvitationOut(serializers.Serializer[Any]):
    """A link that somebody may still use."""

    id = serializers.IntegerField()
    role = serializers.CharField(help_text="participant, organiser or teammate.")
    email = serializers.CharField(allow_blank=True, help_text="Whom it was meant for.")
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()


class NewInvitationOut(InvitationOut):
    """A link just made."""

    link = serializers.CharField(help_text="Works once. Shown in this answer only.")
    mailed = serializers.BooleanField(help_text="Whether it was sent to the address.")


class InvitationPageOut(serializers.Serializer[Any]):
    items = InvitationOut(many=True)
    next = serializers.CharField(allow_blank=True, help_text="Cursor of the next page; empty at the end.")


class MemberOut(serializers.Serializer[Any]):
    """A member of a team."""

    username = serializers.CharField(source="user.username")
    joined_at = serializers.DateTimeField()
    speaks = serializers.BooleanField(help_text="Invites, removes and renames.")


class TeamOut(serializers.Serializer[Any]):
    """One's participation and its people."""

    competition = serializers.CharField()
    name = serializers.CharField(help_text="On the boards.")
    status = serializers.CharField(help_text="active, pending or removed.")
    limit = serializers.IntegerField(help_text="The most people; 1 where there are no teams.")
    changes = serializers.BooleanField(help_text="Whether teams may still change.")
    members = MemberOut(many=True)
    invitations = InvitationOut(many=True)


def announcement_dict(row: Announcement) -> dict[str, Any]:
    """For `AnnouncementOut`."""
    to = row.participation
    return {
        "id": row.pk, "title": row.title, "markdown": row.markdown, "audience": "one" if to else row.audience,
        "participant": to.display_name if to else None, "created_at": row.created_at, "withdrawn_at": row.withdrawn_at,
    }  # fmt: skip


def invitation_dict(row: Invitation) -> dict[str, Any]:
    """For `InvitationOut`."""
    names = ("role", "email", "created_at", "expires_at")
    return {"id": row.pk, **{name: getattr(row, name) for name in names}}
