"""Drafts: competitions written step by step, by several people, and published when they are sound."""

from __future__ import annotations

import uuid

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from touchstone.api.base import ApiView, PageQuery, Strict, page_of
from touchstone.api.draft_outputs import (
    DraftFileOut,
    DraftOut,
    DraftPageOut,
    DraftSectionOut,
    TemplatesOut,
    draft_dict,
    draft_summary,
    section_dict,
)
from touchstone.api.idempotency import KEY, idempotent
from touchstone.api.outputs import ImportOut
from touchstone.api.present import page_url
from touchstone.api.schema import Problem, operation
from touchstone.competitions.selectors import competition_get
from touchstone.core.errors import Conflict, NotFound
from touchstone.drafts.models import Draft
from touchstone.drafts.publishing import draft_publish
from touchstone.drafts.sections import STEPS
from touchstone.drafts.selectors import draft_get, drafts_visible, section_get
from touchstone.drafts.services import (
    draft_create,
    draft_delete,
    editor_add,
    editor_remove,
    file_put,
    file_remove,
    section_save,
    section_undo,
)
from touchstone.drafts.starting import templates
from touchstone.submissions.uploads import upload_get


def _draft(request: Request, key: uuid.UUID, *, status: int = 200) -> Response:
    return Response(DraftOut(draft_dict(draft_get(user=request.user, id=key))).data, status=status)


class Drafts(ApiView):
    """Those one works on, and a new one."""

    tag = "drafts"
    scopes = {"GET": "organise", "POST": "organise"}

    class Input(Strict):
        """What to begin from: nothing, a template, or a competition whose next version it will be."""

        title = serializers.CharField(
            required=False, default="", allow_blank=True, max_length=200, help_text="Not needed for a next version."
        )
        template = serializers.CharField(required=False, default="", allow_blank=True, max_length=100)
        competition = serializers.CharField(required=False, default="", allow_blank=True, max_length=100)

    @operation(
        operation_id="drafts_list",
        summary="Drafts that one works on",
        description="One's own, those one was let into, and next versions of competitions that one organises.",
        parameters=[PageQuery],
        responses=DraftPageOut,
    )
    def get(self, request: Request) -> Response:
        found = drafts_visible(user=request.user).select_related("owner", "competition")
        rows, following = page_of(found, key="pk", **self.query(request, PageQuery))
        return Response(DraftPageOut({"items": [draft_summary(row) for row in rows], "next": following}).data)

    @operation(
        operation_id="drafts_create",
        summary="Begin a draft",
        description="Empty, from a template, or as the next version of a competition.",
        parameters=[KEY],
        request=Input,
        responses={201: DraftOut},
    )
    @idempotent
    def post(self, request: Request) -> Response:
        given = self.body(request, self.Input)
        slug = given.pop("competition")
        competition = competition_get(user=request.user, slug=slug) if slug else None
        made = draft_create(user=request.user, competition=competition, **given)
        return _draft(request, made.pk, status=201)


class DraftTemplates(ApiView):
    """Ready-made competitions to begin from."""

    tag = "drafts"
    scopes = {"GET": "organise"}

    @operation(operation_id="drafts_templates", summary="Templates that a draft may begin from", responses=TemplatesOut)
    def get(self, request: Request) -> Response:
        return Response(TemplatesOut({"items": templates()}).data)


class DraftDetail(ApiView):
    """One draft."""

    tag = "drafts"
    scopes = {"GET": "organise", "DELETE": "organise"}
    tags = True

    @operation(
        operation_id="drafts_get",
        summary="A draft with its steps, their defects and its files",
        description="Defects as far as they can be told without reading data; publishing finds the others.",
        responses=DraftOut,
    )
    def get(self, request: Request, draft: uuid.UUID) -> Response:
        return _draft(request, draft)

    @operation(
        operation_id="drafts_delete", summary="Delete a draft", description="What was published stays.", request=None,
        responses={204: None},
    )  # fmt: skip
    def delete(self, request: Request, draft: uuid.UUID) -> Response:
        draft_delete(draft=draft_get(user=request.user, id=draft), user=request.user)
        return Response(status=204)


class DraftSections(ApiView):
    """One step."""

    tag = "drafts"
    scopes = {"GET": "organise", "PUT": "organise"}
    tags = True

    class Input(Strict):
        """The whole section."""

        body = serializers.DictField(help_text="Its part of competition.yml.")
        version = serializers.IntegerField(min_value=0, max_value=2**31 - 1, help_text="The one you began from.")

    @operation(operation_id="drafts_section", summary="A section of a draft", responses=DraftSectionOut)
    def get(self, request: Request, draft: uuid.UUID, step: str) -> Response:
        found = draft_get(user=request.user, id=draft)
        return Response(DraftSectionOut(section_dict(section_get(draft=found, name=_step(step)))).data)

    @operation(
        operation_id="drafts_section_save",
        summary="Save a section",
        description="Stored whether sound or not: the draft says what is wrong with it. Where somebody saved it since "
        "the version named, nothing is stored and the answer is 409: read the section again and put both together.",
        request=Input,
        responses=DraftSectionOut,
    )
    def put(self, request: Request, draft: uuid.UUID, step: str) -> Response:
        found = draft_get(user=request.user, id=draft)
        given = self.body(request, self.Input)
        section_save(draft=found, user=request.user, name=_step(step), **given)
        return Response(DraftSectionOut(section_dict(section_get(draft=found, name=step))).data)


class DraftSectionUndo(ApiView):
    """Taking the last save back."""

    tag = "drafts"
    scopes = {"POST": "organise"}

    class Input(Strict):
        """Which save."""

        version = serializers.IntegerField(min_value=0, max_value=2**31 - 1, help_text="The present one.")

    @operation(
        operation_id="drafts_section_undo",
        summary="Undo the last save of a section",
        description="Undoing again brings it back.",
        request=Input,
        responses=DraftSectionOut,
    )
    def post(self, request: Request, draft: uuid.UUID, step: str) -> Response:
        found = draft_get(user=request.user, id=draft)
        given = self.body(request, self.Input)
        section_undo(draft=found, user=request.user, name=_step(step), **given)
        return Response(DraftSectionOut(section_dict(section_get(draft=found, name=step))).data)


def _step(name: str) -> str:
    if name not in STEPS:
        raise NotFound(f"A draft has no step {name!r}.", f"Its steps are: {', '.join(STEPS)}.")
    return name


class DraftFiles(ApiView):
    """Files of the bundle that it will be."""

    tag = "drafts"
    scopes = {"PUT": "organise", "DELETE": "organise"}

    class Input(Strict):
        """Which file."""

        path = serializers.CharField(max_length=500, help_text="Inside the bundle, such as data/test/labels.csv.")
        upload = serializers.UUIDField(help_text="A complete upload.")

    class Query(Strict):
        """Which file."""

        path = serializers.CharField(max_length=500, help_text="Inside the bundle.")

    @operation(
        operation_id="drafts_file_put",
        summary="Put an upload among the files of a draft",
        description="In place of one that had this path.",
        request=Input,
        responses=DraftFileOut,
    )
    def put(self, request: Request, draft: uuid.UUID) -> Response:
        found = draft_get(user=request.user, id=draft)
        given = self.body(request, self.Input)
        upload = upload_get(user=request.user, id=given["upload"])
        if upload.completed_at is None:
            raise Conflict(
                "The upload is not complete.", "Send the missing parts and complete it.", "upload_incomplete"
            )
        made = file_put(draft=found, user=request.user, path=given["path"], sha256=upload.sha256, size=upload.size)
        return Response(DraftFileOut(made).data)

    @operation(
        operation_id="drafts_file_remove",
        summary="Take a file out of a draft",
        description="Taking out one that is not there changes nothing.",
        parameters=[Query],
        request=None,
        responses={204: None},
    )
    def delete(self, request: Request, draft: uuid.UUID) -> Response:
        found = draft_get(user=request.user, id=draft)
        file_remove(draft=found, user=request.user, path=self.query(request, self.Query)["path"])
        return Response(status=204)


class DraftEditors(ApiView):
    """Who works on it."""

    tag = "drafts"
    scopes = {"PUT": "organise", "DELETE": "organise"}

    class Input(Strict):
        """Whom."""

        username = serializers.CharField(max_length=150)

    @operation(
        operation_id="drafts_editor_add", summary="Let somebody work on a draft", request=Input, responses=DraftOut
    )
    def put(self, request: Request, draft: uuid.UUID) -> Response:
        found = draft_get(user=request.user, id=draft)
        editor_add(draft=found, by=request.user, name=self.body(request, self.Input)["username"])
        return _draft(request, draft)

    @operation(
        operation_id="drafts_editor_remove", summary="Take somebody off a draft", parameters=[Input], request=None,
        responses={204: None},
    )  # fmt: skip
    def delete(self, request: Request, draft: uuid.UUID) -> Response:
        found: Draft = draft_get(user=request.user, id=draft)
        editor_remove(draft=found, by=request.user, username=self.query(request, self.Input)["username"])
        return Response(status=204)


class DraftPublish(ApiView):
    """Making it a competition."""

    tag = "drafts"
    scopes = {"POST": "organise"}
    costly = {"POST"}

    class Input(Strict):
        """What may be lost."""

        replace = serializers.BooleanField(
            required=False, default=False,
            help_text="Drop phases and splits nobody submitted to, and publish over a version made meanwhile.",
        )  # fmt: skip

    @operation(
        operation_id="drafts_publish",
        summary="Publish a draft",
        description="A new competition is seen by its organisers alone until it is opened. A draft with defects "
        "changes nothing and answers 422 with all of them.",
        request=Input,
        responses={200: ImportOut, 201: ImportOut, (422, "application/problem+json"): Problem},
    )
    def post(self, request: Request, draft: uuid.UUID) -> Response:
        found = draft_get(user=request.user, id=draft)
        given = self.body(request, self.Input)
        outcome = draft_publish(draft=found, user=request.user, **given)
        slug = outcome.competition.slug
        body = {
            "competition": slug, "created": outcome.created, "changed": outcome.changed,
            "version": outcome.competition.version, "url": page_url(f"/c/{slug}/"),
        }  # fmt: skip
        return Response(ImportOut(body).data, status=201 if outcome.created else 200)
