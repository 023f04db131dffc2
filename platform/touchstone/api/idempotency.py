"""`Idempotency-Key`: a request that creates something and is sent again gets the answer of the first time.

Submissions keep their key themselves, for as long as they live; here an answer is kept for a day.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any, TypeVar

from django.db import IntegrityError, transaction
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from touchstone.api.models import IdempotentAnswer
from touchstone.core.clock import now
from touchstone.core.errors import Conflict, UserError

V = TypeVar("V", bound=Callable[..., Response])

KEY = OpenApiParameter(
    "Idempotency-Key", str, OpenApiParameter.HEADER,
    description="1 to 100 visible characters. The same request with the same key gets the first answer again.",
)  # fmt: skip
_KEY = re.compile(r"^[\x21-\x7e]{1,100}\Z")
_KEPT = timedelta(days=1)
#: A request that has not answered after so long died with its server.
_LOST = timedelta(minutes=10)
_SWEPT = 100


def idempotent(method: V) -> V:
    """Wraps a view's method: of requests with the same key only the first is carried out, unless it failed."""

    @wraps(method)
    def wrapper(view: Any, request: Request, **kwargs: Any) -> Response:
        key = request.headers.get("Idempotency-Key", "")
        if not key:
            return method(view, request, **kwargs)
        if not _KEY.fullmatch(key):
            raise UserError("The idempotency key is not 1 to 100 visible ASCII characters.", "Send for example a UUID.")
        row = _begin(request, key)
        if row.status:
            return _replayed(row)
        try:
            answer = method(view, request, **kwargs)
        except BaseException:
            row.delete()  # nothing was done: the same request may be sent again
            raise
        row.status, row.location = answer.status_code, answer.get("Location", "")
        row.body = json.loads(json.dumps(answer.data, default=str))
        row.save(update_fields=["status", "body", "location"])
        return answer

    return wrapper  # type: ignore[return-value]


def _begin(request: Request, key: str) -> IdempotentAnswer:
    """The row of this key: a new one, or that of the request before. Raises `Conflict`."""
    digest = _digest(request)
    _sweep()
    try:
        with transaction.atomic():
            return IdempotentAnswer.objects.create(user=request.user, key=key, digest=digest)
    except IntegrityError:
        pass
    with transaction.atomic():
        row = IdempotentAnswer.objects.select_for_update().filter(user=request.user, key=key).first()
        if row is not None and row.digest != digest:
            raise Conflict(
                f"The idempotency key {key!r} was used for another request.",
                "Use a new key for each thing you create.",
                "key_reused",
            )
        if row is None or (not row.status and row.created_at > now() - _LOST):
            raise Conflict(
                "The first request with this idempotency key is still being worked on.", "Ask again in a few seconds.",
                "key_in_use",
            )  # fmt: skip
        if not row.status:
            row.created_at = now()
            row.save(update_fields=["created_at"])
        return row


def _replayed(row: IdempotentAnswer) -> Response:
    headers = {"Idempotency-Replayed": "true"} | ({"Location": row.location} if row.location else {})
    return Response(row.body, status=row.status, headers=headers)


def _digest(request: Request) -> str:
    asked = json.dumps([request.method, request.get_full_path(), request.data], sort_keys=True, default=str)
    return hashlib.sha256(asked.encode("utf-8", "replace")).hexdigest()


def answers_forget() -> None:
    """Forget all that are old, also where nobody sends a key any more."""
    IdempotentAnswer.objects.filter(created_at__lt=now() - _KEPT).delete()


def _sweep() -> None:
    """Forget some that are old; each request that adds one takes out more than one."""
    old = IdempotentAnswer.objects.filter(created_at__lt=now() - _KEPT).order_by("created_at").values("pk")[:_SWEPT]
    IdempotentAnswer.objects.filter(pk__in=list(old.values_list("pk", flat=True))).delete()
