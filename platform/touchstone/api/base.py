"""The base of all views: who may call, how bodies are read, how errors and pages look.

Nothing here depends on REST framework's global settings, so a setting elsewhere cannot weaken it.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Mapping, Set
from datetime import datetime
from typing import Any, ClassVar, TypeVar

from django.core.exceptions import ValidationError as FieldError
from django.db.models import Model, Q, QuerySet
from rest_framework import serializers
from rest_framework.authentication import SessionAuthentication
from rest_framework.exceptions import ParseError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import JSONParser, MultiPartParser
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from touchstone.api.authentication import BearerAuthentication, ScopePermission
from touchstone.api.deprecation import Deprecated
from touchstone.api.errors import exception_handler
from touchstone.api.schema import ApiSchema
from touchstone.api.tagging import tagged
from touchstone.api.throttles import AddressThrottle, CallerThrottle, CostlyThrottle, rate_headers
from touchstone.api.version import HEADERS
from touchstone.core.errors import TooLarge

M = TypeVar("M", bound=Model)

#: The largest JSON body, and the largest form with a file; larger files come by parts.
MAX_JSON = 2**20
MAX_FORM = 2**28


class AlwaysJson(BaseContentNegotiation):
    """Answers are JSON whatever `Accept` says; what is not JSON (files, CSV, logs) has an address of its own."""

    def select_parser(self, request: Request, parsers: Iterable[Any]) -> Any:
        wanted = (request.content_type or "").partition(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == wanted), None)

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> tuple[Any, str]:
        return renderers[0], renderers[0].media_type


class LimitedJSONParser(JSONParser):
    """JSON objects of at most `MAX_JSON` bytes."""

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        length = int(parser_context["request"].META.get("CONTENT_LENGTH") or 0)
        if length > MAX_JSON:
            raise TooLarge(
                f"The JSON body has {length} bytes; {MAX_JSON} are allowed.", "Send files as an upload by parts."
            )
        try:
            data = super().parse(stream, media_type, parser_context)
        except RecursionError:
            raise ParseError("The JSON is nested too deeply.") from None
        if not isinstance(data, dict):
            raise ParseError("The body must be a JSON object.")
        return data


class LimitedMultiPartParser(MultiPartParser):
    """Forms of at most `MAX_FORM` bytes; what they hold goes to disk, not to memory."""

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        length = int(parser_context["request"].META.get("CONTENT_LENGTH") or 0)
        if length > MAX_FORM:
            raise TooLarge(
                f"The form has {length} bytes; {MAX_FORM} are allowed.", "Send the file as an upload by parts."
            )
        return super().parse(stream, media_type, parser_context)


class Strict(serializers.Serializer[Any]):
    """A serializer for input that refuses keys it does not know, so a typing error is not silently ignored."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            unknown = sorted(set(data) - set(self.fields))
            if unknown:
                known = ", ".join(self.fields)
                raise serializers.ValidationError(
                    {key: [f"Unknown. Known are: {known}."] for key in unknown}, "unknown"
                )
        return super().to_internal_value(data)


class ApiView(APIView):
    """`scopes` maps each method to the scope it needs, or to PUBLIC or ANY.

    `competition_in` maps a method to "body" or "query" where the member `competition` there names what it is about;
    with " or own" after it, a view takes `own_competition` where that is left out. What `costly` names is limited
    more strictly; `tags` says that JSON answers bear an entity tag; `deprecated` maps a method to its end.
    """

    scopes: ClassVar[Mapping[str, str]] = {}
    competition_in: ClassVar[Mapping[str, str]] = {}
    costly: ClassVar[Set[str]] = frozenset()
    tags: ClassVar[bool] = False
    deprecated: ClassVar[Mapping[str, Deprecated]] = {}
    schema = ApiSchema()
    authentication_classes = [BearerAuthentication, SessionAuthentication]
    permission_classes = [ScopePermission]
    throttle_classes = [CallerThrottle, CostlyThrottle]
    parser_classes = [LimitedJSONParser]
    renderer_classes = [JSONRenderer]
    content_negotiation_class = AlwaysJson

    def perform_authentication(self, request: Request) -> None:
        """Who asks; counted by address before, so that a loop with a token that has ended is stopped, too."""
        throttle = AddressThrottle()
        if not throttle.allow_request(request, self):
            self.throttled(request, throttle.wait() or 0)
        super().perform_authentication(request)

    def get_exception_handler(self) -> Callable[..., Any]:
        return exception_handler

    def body(self, request: Request, serializer: type[serializers.Serializer[Any]]) -> dict[str, Any]:
        """The validated body. An empty body counts as an empty object."""
        given = serializer(data=request.data)
        given.is_valid(raise_exception=True)
        return dict(given.validated_data)

    def query(self, request: Request, serializer: type[serializers.Serializer[Any]]) -> dict[str, Any]:
        """The validated query parameters."""
        given = serializer(data=request.query_params.dict())
        given.is_valid(raise_exception=True)
        return dict(given.validated_data)

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        answer = super().finalize_response(request, response, *args, **kwargs)
        if (
            self.tags
            and request.method in ("GET", "HEAD")
            and isinstance(answer, Response)
            and answer.status_code == 200
        ):
            answer = tagged(request, answer)
        if "Cache-Control" not in answer:
            answer["Cache-Control"] = "no-store"
        answer["Vary"] = "Authorization, Cookie"
        told = {**HEADERS, **rate_headers(getattr(request._request, "rate_limits", ()))}
        if request.method in self.deprecated:
            told |= self.deprecated[request.method].headers()
        for name, value in told.items():
            answer[name] = value
        return answer


class MultipartOrJson(ApiView):
    """A view that takes a file in a form as well as JSON."""

    parser_classes = [LimitedJSONParser, LimitedMultiPartParser]


class PageQuery(Strict):
    """Query parameters of every list."""

    after = serializers.CharField(required=False, default="", allow_blank=True, help_text="`next` of the page before.")
    limit = serializers.IntegerField(required=False, default=50, min_value=1, max_value=200, help_text="Items a page.")


def page_of(
    queryset: QuerySet[M], *, after: str, limit: int, key: str, moment: str = "created_at"
) -> tuple[list[M], str]:
    """One page of `queryset`, newest first, and the cursor of the next ("" at the end).

    Keyset by (`moment`, `key`), so a page costs the same however far down it is, and a new row shifts nothing.
    """
    if after:
        meta = queryset.model._meta
        at, value = _read_cursor(after, field=meta.pk if key == "pk" else meta.get_field(key))
        queryset = queryset.filter(Q(**{f"{moment}__lt": at}) | Q(**{moment: at, f"{key}__lt": value}))
    rows = list(queryset.order_by(f"-{moment}", f"-{key}")[: limit + 1])
    if len(rows) <= limit:
        return rows, ""
    last = rows[limit - 1]
    text = json.dumps([getattr(last, moment).isoformat(), str(getattr(last, key))])
    return rows[:limit], base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_cursor(after: str, *, field: Any) -> tuple[datetime, Any]:
    """Raises `ValidationError` for whatever was not made by `page_of`."""
    try:
        moment, value = json.loads(base64.urlsafe_b64decode(after + "=" * (-len(after) % 4)))
        at = datetime.fromisoformat(moment)
        if at.tzinfo is None or "\x00" in value:
            raise ValueError(after)
        value.encode()
        return at, field.to_python(value)
    except (ValueError, TypeError, OverflowError, binascii.Error, RecursionError, FieldError):
        text = "Not a cursor of this list. Take `next` of the page before."
        raise serializers.ValidationError({"after": [text]}) from None
