"""Answers that are stored files."""

from __future__ import annotations

import base64
from pathlib import PurePosixPath

from django.http import FileResponse, HttpResponse, HttpResponseBase
from django.utils.cache import get_conditional_response
from rest_framework.request import Request

from touchstone.core.storage import blob_open


def file_answer(request: Request, *, sha256: str, name: str, size: int | None = None) -> HttpResponseBase:
    """The bytes of a blob as a download; 304 where the caller has them. Its name is its entity tag."""
    etag = f'"{sha256}"'
    unchanged = get_conditional_response(request._request, etag=etag)
    if unchanged is not None:
        answer: HttpResponseBase = unchanged
    elif request.method == "HEAD":
        answer = HttpResponse(content_type="application/octet-stream")
        if size is not None:
            answer["Content-Length"] = str(size)
    else:
        stored = blob_open(sha256=sha256)
        answer = FileResponse(
            stored, as_attachment=True, filename=PurePosixPath(name).name, content_type="application/octet-stream"
        )
    answer["ETag"] = etag
    answer["Repr-Digest"] = f"sha-256=:{base64.b64encode(bytes.fromhex(sha256)).decode()}:"
    answer["Cache-Control"] = "private, no-cache"
    return answer
