"""What the answers about drafts look like, and how they are filled."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from touchstone.api.schema import DefectItem
from touchstone.drafts.models import Draft, DraftSection
from touchstone.drafts.selectors import bundle_files, draft_moved_on, draft_steps


class DraftSummaryOut(serializers.Serializer[Any]):
    """A competition in the making."""

    id = serializers.UUIDField()
    title = serializers.CharField(allow_blank=True)
    owner = serializers.CharField()
    competition = serializers.CharField(allow_null=True, help_text="The one whose next version it is.")
    base_version = serializers.IntegerField(allow_null=True, help_text="The version that it was begun from.")
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    published_at = serializers.DateTimeField(allow_null=True)


class DraftPageOut(serializers.Serializer[Any]):
    items = DraftSummaryOut(many=True)
    next = serializers.CharField(allow_blank=True, help_text="Cursor of the next page; empty at the end.")


class DraftStepOut(serializers.Serializer[Any]):
    """A section, and what is wrong with it as far as it can be told without reading data."""

    name = serializers.CharField()
    state = serializers.ChoiceField(["empty", "complete", "defects"])
    version = serializers.IntegerField(help_text="Rises with each save; 0: never saved.")
    updated_at = serializers.DateTimeField(allow_null=True)
    updated_by = serializers.CharField(allow_blank=True)
    defects = DefectItem(many=True)


class DraftFileOut(serializers.Serializer[Any]):
    path = serializers.CharField(help_text="Inside the bundle.")
    sha256 = serializers.CharField()
    size = serializers.IntegerField(help_text="Bytes.")


class DraftOut(DraftSummaryOut):
    """A draft in full."""

    moved_on = serializers.BooleanField(help_text="The competition got another version since.")
    editors = serializers.ListField(child=serializers.CharField(), help_text="Who works on it beside the owner.")
    steps = DraftStepOut(many=True)
    files = DraftFileOut(many=True)


class DraftSectionOut(serializers.Serializer[Any]):
    """A section: its part of competition.yml as JSON, sound or not."""

    name = serializers.CharField()
    version = serializers.IntegerField(help_text="Send it with what you save.")
    body = serializers.DictField()
    updated_at = serializers.DateTimeField(allow_null=True)
    updated_by = serializers.CharField(allow_blank=True)


class TemplateOut(serializers.Serializer[Any]):
    name = serializers.CharField()
    title = serializers.CharField()
    summary = serializers.CharField(allow_blank=True)


class TemplatesOut(serializers.Serializer[Any]):
    items = TemplateOut(many=True)


def draft_summary(draft: Draft) -> dict[str, Any]:
    """For `DraftSummaryOut`."""
    names = ("title", "base_version", "created_at", "updated_at", "published_at")
    return {
        "id": draft.pk, "owner": draft.owner.username,
        "competition": draft.competition.slug if draft.competition else None,
        **{name: getattr(draft, name) for name in names},
    }  # fmt: skip


def draft_dict(draft: Draft) -> dict[str, Any]:
    """For `DraftOut`."""
    steps = [
        {
            "name": step.name, "state": step.state, "version": step.version, "updated_at": step.updated_at,
            "updated_by": step.updated_by, "defects": step.defects,
        }
        for step in draft_steps(draft=draft)
    ]  # fmt: skip
    return {
        **draft_summary(draft), "moved_on": draft_moved_on(draft=draft), "steps": steps,
        "editors": sorted(draft.editors.values_list("username", flat=True)), "files": bundle_files(draft=draft),
    }  # fmt: skip


def section_dict(section: DraftSection) -> dict[str, Any]:
    """For `DraftSectionOut`."""
    by = section.updated_by
    return {
        "name": section.name, "version": section.version, "body": section.body, "updated_at": section.updated_at,
        "updated_by": by.username if by else "",
    }  # fmt: skip
