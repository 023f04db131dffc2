"""What Docker engines and the registry itself ask of the server."""

from __future__ import annotations

import base64
import binascii
import hmac
from datetime import UTC, datetime
from typing import Any

import orjson
import structlog
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from touchstone.accounts.scopes import SUBMIT, competitions_of
from touchstone.accounts.selectors import token_user
from touchstone.registry.grants import NODE, Access, node_access, person_access
from touchstone.registry.keys import SERVICE
from touchstone.registry.offer import TOKEN_SECONDS, registry_host, registry_keys
from touchstone.registry.services import events_take

#: An event repeats what a manifest of at most 4 MiB lists, in longer words.
_MAX_EVENTS = 32 * 2**20

log = structlog.get_logger(__name__)


@require_GET
def token(request: HttpRequest) -> HttpResponse:
    """Docker's token protocol: user name and API token in, a JWT out that says what they may do.

    Asking for more than is allowed is no error here: the registry refuses what the token does not say.
    """
    if not registry_host():
        return _problem(404, "UNSUPPORTED", "this installation has no registry")
    if request.GET.get("service", SERVICE) != SERVICE:
        return _problem(400, "UNSUPPORTED", f"this server issues tokens for the service {SERVICE}")
    name, password = _basic(request)
    scopes = request.GET.getlist("scope")
    access, why = _access(name, password, scopes)
    if access is None:
        response = _problem(401, "UNAUTHORIZED", why)
        response["WWW-Authenticate"] = 'Basic realm="Touchstone registry"'
        return response
    signed = registry_keys().token(subject=name, access=access, seconds=TOKEN_SECONDS)
    issued = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    body = {"token": signed, "access_token": signed, "expires_in": TOKEN_SECONDS, "issued_at": issued}
    return JsonResponse(body, headers={"Cache-Control": "no-store"})


def _access(name: str, password: str, scopes: list[str]) -> tuple[Access | None, str]:
    """The access, or None and why not."""
    if not password:
        return None, "sign in first: docker login with your user name, and an API token as the password"
    if name == NODE and not password.startswith("ts_"):
        access = node_access(key=password, scopes=scopes)
        return access, "" if access is not None else "this key is not valid, or its attempt is over"
    found = token_user(raw=password)
    if found is None or found.user.username.lower() != name.lower():
        return None, "user name and token do not fit; the password is an API token (ts_...) of that user"
    reach = competitions_of(found.scopes, SUBMIT)
    if reach is not None and not reach:
        return None, f"the token {found.name!r} has not the scope submit"
    return person_access(user=found.user, scopes=scopes, reach=reach), ""


def _basic(request: HttpRequest) -> tuple[str, str]:
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        name, _, password = base64.b64decode(value.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return name, password


@csrf_exempt
@require_POST
def events(request: HttpRequest) -> HttpResponse:
    """What the registry tells of.

    It repeats what was not answered with 200 until it is, and tells nothing else meanwhile: what can never be taken
    is logged and answered as if it had been.
    """
    given = request.headers.get("Authorization", "")
    if not registry_host() or not hmac.compare_digest(
        given.encode(), f"Bearer {registry_keys().events_secret}".encode()
    ):
        return _problem(401, "UNAUTHORIZED", "the secret of the registry's events is missing or wrong")
    return JsonResponse({"recorded": events_take(events=_told(request))})


def _told(request: HttpRequest) -> list[Any]:
    raw = request.read(_MAX_EVENTS + 1)
    try:
        found = orjson.loads(raw)["events"] if len(raw) <= _MAX_EVENTS else None
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        log.warning("registry.bad_events", error=repr(error)[:500])
        return []
    if not isinstance(found, list):
        log.warning("registry.bad_events", error="not a list of events, or too large", bytes=len(raw))
        return []
    return found


def _problem(status: int, code: str, message: str) -> HttpResponse:
    """An error as registries write them; Docker shows `message`."""
    body = {"errors": [{"code": code, "message": message, "detail": None}]}
    return JsonResponse(body, status=status, headers={"Cache-Control": "no-store"})
