"""Entity tags of JSON answers: who sends the tag of what it has gets 304 where nothing has changed."""

from __future__ import annotations

import hashlib
from typing import Any

from django.http import HttpResponseBase, JsonResponse
from django.utils.cache import get_conditional_response
from rest_framework.request import Request
from rest_framework.response import Response

from touchstone.core.problems import CONTENT_TYPE, problem, request_id_of


def tagged(request: Request, answer: Response) -> HttpResponseBase:
    """The answer with a tag of its content, or a 304 in its place."""
    answer.render()
    # Weak: a proxy may pack the same content otherwise.
    etag = f'W/"{hashlib.sha256(answer.content).hexdigest()[:32]}"'
    found: Any = get_conditional_response(request._request, etag=etag) or answer
    if found.status_code == 412:
        return _unlike(request)
    if "Retry-After" in answer:  # who waits asks again and again, and is told when each time
        found["Retry-After"] = answer["Retry-After"]
    found["ETag"] = etag
    found["Cache-Control"] = "private, no-cache"
    return found  # type: ignore[no-any-return]


def _unlike(request: Request) -> HttpResponseBase:
    body = problem(
        status=412,
        detail="If-Match cannot be met: entity tags here are weak, and only compared to tell what is unchanged.",
        hint="Leave out If-Match and If-Unmodified-Since; to read what changed, send the tag as If-None-Match.",
        code="precondition_failed",
        request_id=request_id_of(request._request),
    )
    return JsonResponse(body, status=412, content_type=CONTENT_TYPE)
