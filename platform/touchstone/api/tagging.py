"""Entity tags of JSON answers: who sends the tag of what it has gets 304 where nothing has changed."""

from __future__ import annotations

import hashlib
from typing import Any

from django.http import HttpResponseBase
from django.utils.cache import get_conditional_response
from rest_framework.request import Request
from rest_framework.response import Response


def tagged(request: Request, answer: Response) -> HttpResponseBase:
    """The answer with a tag of its content, or a 304 in its place."""
    answer.render()
    # Weak: a proxy may pack the same content otherwise.
    etag = f'W/"{hashlib.sha256(answer.content).hexdigest()[:32]}"'
    found: Any = get_conditional_response(request._request, etag=etag) or answer
    found["ETag"] = etag
    found["Cache-Control"] = "private, no-cache"
    return found  # type: ignore[no-any-return]
