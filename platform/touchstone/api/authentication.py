"""Who asks: a bearer token, or the browser's session (with CSRF). Each operation names the scope it needs."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated, PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from touchstone.accounts.models import ApiToken, User
from touchstone.accounts.selectors import token_user

#: In the map of a view's scopes: anybody may call this operation, signed in or not.
PUBLIC = ""


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
    """Compares the view's `scopes` (method → scope) with those of the token. A session has all scopes."""

    def has_permission(self, request: Request, view: Any) -> bool:
        needed = view.scopes.get("GET" if request.method == "HEAD" else request.method)
        if needed is None or needed == PUBLIC:  # None: no such method here, which is answered 405
            return True
        if not request.user.is_authenticated:
            raise NotAuthenticated("This needs a token or a signed-in browser.", "not_signed_in")
        if isinstance(request.auth, ApiToken) and needed not in request.auth.scopes:
            held = ", ".join(request.auth.scopes)
            text = f"The token {request.auth.name!r} has not the scope {needed!r}; it has {held}."
            raise PermissionDenied(text, "scope_missing")
        return True


class _BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = BearerAuthentication
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "An API token, made on the account page. Scopes: read, submit, organise.",
        }


class _SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = SessionAuthentication
    name = "session"
    priority = 1

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "cookie", "name": "sessionid", "description": "A signed-in browser, with CSRF."}
