"""Who asks: a bearer token, or the browser's session (with CSRF). Each operation names the scope it needs."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from django.contrib.auth.models import AnonymousUser
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated, PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from touchstone.accounts.models import ApiToken, User
from touchstone.accounts.scopes import allows, competitions_of, knows
from touchstone.accounts.selectors import token_user
from touchstone.submissions.models import Submission, Upload
from touchstone.transfers.models import Matrix

#: In the map of a view's scopes: anybody may call this operation, signed in or not.
PUBLIC = ""
#: Any token will do, whatever its scopes: what concerns the token itself.
ANY = "any"


class BearerAuthentication(BaseAuthentication):
    """`Authorization: Bearer ts_…`. `request.auth` is then the `ApiToken`."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        header = request.headers.get("Authorization", "")
        if not header:
            return None
        keyword, _, raw = header.partition(" ")
        if keyword.lower() != "bearer" or not raw.strip():
            raise AuthenticationFailed(
                "The Authorization header is not of the form `Bearer ts_…`.", "bad_authorization"
            )
        token = token_user(raw=raw.strip())
        if token is None:
            raise AuthenticationFailed("The token is unknown, expired or revoked.", "bad_token")
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="touchstone"'


class ScopePermission(BasePermission):
    """Compares what the view's `scopes` (method → scope) ask for with what the token holds. A session holds all.

    The competition is that of the address, or of the submission, matrix or upload in it; `competition_in` of a view
    says where else it stands. A token limited to one competition is refused wherever none is named.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        needed = view.scopes.get("GET" if request.method == "HEAD" else request.method)
        if needed is None:  # no such method here, which is answered 405
            return True
        if needed == PUBLIC:
            _as_anybody(request, view)
            return True
        if not request.user.is_authenticated:
            raise NotAuthenticated("This needs a token or a signed-in browser.", "not_signed_in")
        if needed != ANY and isinstance(request.auth, ApiToken):
            _check(request, view, needed)
        return True


def _check(request: Request, view: Any, needed: str) -> None:
    """Raises `PermissionDenied` where the token's scopes are not enough."""
    token: ApiToken = request.auth
    if allows(token.scopes, needed):
        return
    text = f"The token {token.name!r} has not the scope {needed!r}; it has {', '.join(token.scopes)}."
    if competitions_of(token.scopes, needed):  # else nothing about the request could help
        inside = view.competition_in.get(request.method) == "inside"
        if inside or allows(token.scopes, needed, competition_named(request, view)):
            return
        # Which competition an id belongs to is not told.
        text = f"The token {token.name!r} has the scope {needed!r} for one competition only, and this is not of it."
    raise PermissionDenied(text, "scope_missing")


def _as_anybody(request: Request, view: Any) -> None:
    """Where all may read, a token that does not reach a competition is told what everybody is, and no more."""
    if not isinstance(request.auth, ApiToken) or knows(request.auth.scopes):
        return
    if not knows(request.auth.scopes, competition_named(request, view)):
        request.user = AnonymousUser()


def token_reach(request: Request, needed: str) -> frozenset[str] | None:
    """The competitions that the caller's token reaches with `needed`; None: all that the person does."""
    return competitions_of(request.auth.scopes, needed) if isinstance(request.auth, ApiToken) else None


def own_competition(request: Request, needed: str) -> str:
    """The one competition of a token that reaches no other; else empty."""
    reach = token_reach(request, needed)
    return next(iter(reach)) if reach and len(reach) == 1 else ""


def token_provenance(request: Request) -> dict[str, str]:
    """Which job of a CI service the caller's token was made for; empty for all others."""
    return dict(request.auth.provenance) if isinstance(request.auth, ApiToken) else {}


def job_refuse(request: Request, text: str = "it does not decide about a team") -> None:
    """Raises `PermissionDenied` for the token of a CI service's job: it was let in to submit, and leaves no way back.

    Whoever runs code in a job could else let people of theirs into a team, who stay when the token has ended, or
    withdraw what was sent, for good. `text`: what it does not do.
    """
    if isinstance(request.auth, ApiToken) and request.auth.origin == ApiToken.Origin.CI:
        raise PermissionDenied(f"A job of a CI service submits; {text}.", "scope_missing")


def competition_named(request: Request, view: Any) -> str | None:
    """The slug of the competition that a request is about, whoever may see it; None where it names none."""
    given = view.kwargs
    if "slug" in given:
        return str(given["slug"])
    for name, slug_of in _OWNERS.items():
        if name in given:
            return slug_of(given[name])
    method = "GET" if request.method == "HEAD" else str(request.method)
    place = view.competition_in.get(method, "")
    if not place:
        return None
    named = (request.query_params if place.startswith("query") else request.data).get("competition")
    if not named and place.endswith("own"):
        return own_competition(request, view.scopes[method]) or None
    return named if isinstance(named, str) and named else None


def _submission_slug(key: uuid.UUID) -> str | None:
    return Submission.objects.filter(pk=key).values_list("phase__competition__slug", flat=True).first()


def _upload_slug(key: uuid.UUID) -> str | None:
    return Upload.objects.filter(pk=key).values_list("competition__slug", flat=True).first()


def _matrix_slug(key: uuid.UUID) -> str | None:
    return Matrix.objects.filter(pk=key).values_list("phase__competition__slug", flat=True).first()


#: Parts of addresses that belong to a competition, and how to find it.
_OWNERS: dict[str, Callable[[uuid.UUID], str | None]] = {
    "submission": _submission_slug,
    "upload": _upload_slug,
    "matrix": _matrix_slug,
}


class _BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = BearerAuthentication
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "An API token: made on the account page, by signing a program in (`device/code`), or for a "
            "job of a CI service (`oidc/mint`). Scopes: read, submit, organise, admin; submit:COMPETITION and "
            "organise:COMPETITION for one competition alone.",
        }


class _SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = SessionAuthentication
    name = "session"
    priority = 1

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "cookie", "name": "sessionid", "description": "A signed-in browser, with CSRF."}
