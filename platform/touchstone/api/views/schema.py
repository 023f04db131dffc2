"""The OpenAPI description, and the answer for addresses that do not exist."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import Any

from django.urls import include, path
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.settings import patched_settings
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from touchstone.api.authentication import PUBLIC
from touchstone.api.base import ApiView
from touchstone.api.schema import SETTINGS, operation
from touchstone.core.errors import NotFound as Missing


@cache
def schema_document() -> dict[str, Any]:
    """The OpenAPI 3.1 document of this interface; made once a process."""
    root = SimpleNamespace(urlpatterns=[path("api/v1/", include("touchstone.api.urls"))])
    with patched_settings(SETTINGS):
        generator = SchemaGenerator(urlconf=root)
        return dict(generator.get_schema(request=None, public=True))


class Schema(ApiView):
    """The description of this interface."""

    tag = "account"
    scopes = {"GET": PUBLIC}

    @operation(exclude=True)
    def get(self, request: Request) -> Response:
        answer = Response(schema_document())
        answer["Cache-Control"] = "public, max-age=300"
        return answer


class Nowhere(ApiView):
    """Any address that is not one of ours: a problem document instead of a page."""

    @operation(exclude=True)
    def get(self, request: Request, rest: str = "") -> Response:
        raise NotFound

    post = put = patch = delete = get


class NoSuchVersion(Nowhere):
    """Below /api/, but in no version that there is."""

    @operation(exclude=True)
    def get(self, request: Request, rest: str = "") -> Response:
        raise Missing(
            "There is no such version of the interface.",
            "There is one version: /api/v1/. It is described at /api/v1/docs.",
            "no_such_version",
        )

    post = put = patch = delete = get
