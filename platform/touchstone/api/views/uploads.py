"""Uploads by parts."""

from __future__ import annotations

import base64
import binascii
import re
import uuid
from typing import Any

from django.conf import settings
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response

from touchstone.accounts.scopes import allows
from touchstone.api.authentication import own_competition, token_reach
from touchstone.api.base import ApiView, Strict
from touchstone.api.outputs import PartOut, UploadOut
from touchstone.api.present import upload_dict
from touchstone.api.schema import operation
from touchstone.competitions.selectors import competition_get
from touchstone.core.errors import TooLarge, UserError
from touchstone.submissions.services import upload_complete, upload_create, upload_part_put
from touchstone.submissions.uploads import upload_cancel, upload_get, upload_live

_DIGEST = re.compile(r"(?:^|,)\s*sha-256=:([A-Za-z0-9+/=]+):")


class RawParser(BaseParser):
    """A body of bytes, read by the view."""

    media_type = "application/octet-stream"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        return stream


class Uploads(ApiView):
    """Beginning an upload."""

    tag = "uploads"
    scopes = {"POST": "submit"}
    competition_in = {"POST": "body or own"}

    class Input(Strict):
        """What will be sent."""

        name = serializers.CharField(max_length=255, help_text="Shown to people; never used as a path.")
        size = serializers.IntegerField(min_value=1, help_text="Bytes.")
        sha256 = serializers.RegexField(r"^[0-9a-f]{64}\Z", help_text="Of the whole file, lower-case hex.")
        competition = serializers.SlugField(
            required=False, default="", allow_blank=True,
            help_text="What it is for, where the token is limited to competitions; then it is good for nothing else.",
        )  # fmt: skip

    @operation(
        operation_id="uploads_create",
        summary="Begin or continue an upload",
        description="200 and the upload there is, where the caller has a live one of the same content; else 201.",
        request=Input,
        responses={200: UploadOut, 201: UploadOut},
    )
    def post(self, request: Request) -> Response:
        given = self.body(request, self.Input)
        reach = token_reach(request, "submit")
        slug = given.pop("competition") or own_competition(request, "submit")
        found = upload_live(user=request.user, size=given["size"], sha256=given["sha256"], only=slug if reach else "")
        bound = competition_get(user=request.user, slug=slug) if reach and not found else None
        larger = bool(reach) and allows(request.auth.scopes, "organise", slug)
        upload = found or upload_create(user=request.user, competition=bound, may_be_bundle=larger, **given)
        return Response(UploadOut(upload_dict(upload)).data, status=200 if found else 201)


class UploadDetail(ApiView):
    """The state of an upload."""

    tag = "uploads"
    scopes = {"GET": "submit", "DELETE": "submit"}

    @operation(
        operation_id="uploads_get",
        summary="The parts held so far",
        description="And, where the site keeps its files on S3-compatible storage, URLs for the next 50 missing parts.",
        responses=UploadOut,
    )
    def get(self, request: Request, upload: uuid.UUID) -> Response:
        return Response(UploadOut(upload_dict(upload_get(user=request.user, id=upload))).data)

    @operation(
        operation_id="uploads_cancel",
        summary="Give up an unfinished upload",
        description="What arrived of it is removed at once. A complete one answers 409.",
        request=None,
        responses={204: None},
    )
    def delete(self, request: Request, upload: uuid.UUID) -> Response:
        upload_cancel(upload=upload_get(user=request.user, id=upload))
        return Response(status=204)


class UploadPart(ApiView):
    """One part."""

    tag = "uploads"
    scopes = {"PUT": "submit"}
    parser_classes = [RawParser]

    @operation(
        operation_id="uploads_part",
        summary="Send one part",
        description="The bytes as they are. Sending a part again is harmless. With `Content-Digest` (RFC 9530) damage "
        "on the way is noticed at once.",
        parameters=[
            OpenApiParameter("Content-Digest", str, OpenApiParameter.HEADER, description="sha-256=:BASE64:"),
            OpenApiParameter("X-Content-SHA256", str, OpenApiParameter.HEADER, description="The same in hex."),
        ],
        request={"application/octet-stream": OpenApiTypes.BINARY},
        responses=PartOut,
    )
    def put(self, request: Request, upload: uuid.UUID, number: int) -> Response:
        found = upload_get(user=request.user, id=upload)
        digest = _digest(request)
        data = _read(request, limit=found.part_size)
        part = upload_part_put(upload=found, number=number, data=data, sha256=digest)
        return Response(PartOut({"number": number, **part}).data)


class UploadComplete(ApiView):
    """The end of an upload."""

    tag = "uploads"
    scopes = {"POST": "submit"}

    @operation(
        operation_id="uploads_complete",
        summary="Put the parts together",
        description="Verifies size and SHA-256 of the whole. Completing again changes nothing.",
        request=None,
        responses=UploadOut,
    )
    def post(self, request: Request, upload: uuid.UUID) -> Response:
        found = upload_get(user=request.user, id=upload)
        upload_complete(upload=found)
        return Response(UploadOut(upload_dict(found)).data)


def _digest(request: Request) -> str:
    """The SHA-256 that the sender announced for this part, hex; empty where none is announced."""
    header = request.headers.get("Content-Digest", "")
    if header:
        match = _DIGEST.search(header)
        try:
            raw = base64.b64decode(match[1], validate=True) if match else b""
        except binascii.Error:
            raw = b""
        if len(raw) != 32:
            raise UserError(
                "The Content-Digest header holds no SHA-256.", "Write `Content-Digest: sha-256=:BASE64:`.", "bad_digest"
            )
        return raw.hex()
    plain = request.headers.get("X-Content-SHA256", "").lower()
    if plain and not re.fullmatch(r"[0-9a-f]{64}", plain):
        raise UserError(
            "The X-Content-SHA256 header is not 64 hex digits.", "Send the part's SHA-256 in hex.", "bad_digest"
        )
    return plain


def _read(request: Request, *, limit: int) -> bytes:
    """The body, at most `limit` bytes. Raises `TooLarge` before more than that is held in memory."""
    length = int(request.META.get("CONTENT_LENGTH") or 0)
    limit = min(limit, settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
    if length > limit:
        raise TooLarge(
            f"The part has {length} bytes; parts of this upload have at most {limit}.",
            "Send it in parts of `part_size`.",
        )
    stream = request.data
    return b"" if not hasattr(stream, "read") else bytes(stream.read(length))
