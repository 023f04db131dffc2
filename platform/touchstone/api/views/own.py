"""One's own: news of competitions, and everything the site holds about oneself."""

from __future__ import annotations

from typing import Any

from django.http import FileResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from touchstone.accounts.leaving import export_archive
from touchstone.accounts.models import ApiToken
from touchstone.api.base import ApiView
from touchstone.api.schema import operation
from touchstone.competitions.announcing import news_of
from touchstone.core.addresses import client_address
from touchstone.core.errors import NotAllowed
from touchstone.core.rates import EXPORTS, rate_take


class NewsItemOut(serializers.Serializer[Any]):
    """A competition that one takes part in, with what came since one last looked."""

    competition = serializers.CharField()
    unread = serializers.IntegerField()


class NewsOut(serializers.Serializer[Any]):
    items = NewsItemOut(many=True)


class News(ApiView):
    """What came since."""

    tag = "account"
    scopes = {"GET": "read"}

    @operation(
        operation_id="me_news",
        summary="Announcements that one has not read yet, by competition",
        description="Competitions without any are left out. `POST …/announcements/read` takes the mark off.",
        responses=NewsOut,
    )
    def get(self, request: Request) -> Response:
        return Response(NewsOut({"items": news_of(user=request.user)}).data)


class AccountExport(ApiView):
    """Everything about oneself."""

    tag = "account"
    scopes = {"GET": "read"}
    costly = {"GET"}

    @operation(
        operation_id="me_export",
        summary="Everything the site holds about oneself, as a zip",
        description="For tokens: a browser is asked for the password again first, on the account page.",
        responses={(200, "application/zip"): OpenApiResponse(OpenApiTypes.BINARY)},
    )
    def get(self, request: Request) -> FileResponse:
        if not isinstance(request.auth, ApiToken):  # a browser that was left open is asked for the password there
            raise NotAllowed("A browser exports the account on its page.", "See /account/.", "token_needed")
        name = request.user.get_username()
        rate_take(rate=EXPORTS, subjects={"address": client_address(request), "name": name})
        return FileResponse(
            export_archive(user=request.user), as_attachment=True, filename=f"touchstone-{name}.zip",
            content_type="application/zip",
        )  # fmt: skip
