"""Oneself and one's tokens."""

from __future__ import annotations

from datetime import datetime, timedelta

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from touchstone.accounts.models import ApiToken
from touchstone.accounts.scopes import ADMIN, NAMES, READ, allows
from touchstone.accounts.selectors import tokens_of
from touchstone.accounts.services import token_create, token_revoke
from touchstone.api.authentication import ANY
from touchstone.api.base import ApiView, PageQuery, Strict, page_of
from touchstone.api.outputs import MeOut, NewTokenOut, TokenPageOut
from touchstone.api.present import token_dict
from touchstone.api.schema import operation
from touchstone.core.addresses import client_address
from touchstone.core.clock import now
from touchstone.core.errors import NotAllowed, NotFound
from touchstone.core.rates import TOKENS, rate_take


class Me(ApiView):
    """Who the caller is."""

    tag = "account"
    scopes = {"GET": ANY}

    @operation(
        operation_id="me",
        summary="Who the token belongs to",
        description="Any token may ask. The e-mail address is told to tokens with the scope `read`.",
        responses=MeOut,
    )
    def get(self, request: Request) -> Response:
        token = request.auth if isinstance(request.auth, ApiToken) else None
        held = token.scopes if token else [name for name in NAMES if name != ADMIN or request.user.is_staff]
        return Response(
            MeOut(
                {
                    "username": request.user.get_username(),
                    "email": request.user.email if allows(held, READ) else "",
                    "scopes": held,
                    "token": token.name if token else None,
                    "token_expires_at": token.expires_at if token else None,
                }
            ).data
        )


def in_ninety_days() -> datetime:
    """When a token expires of which nobody says when."""
    return now() + timedelta(days=90)


class Tokens(ApiView):
    """Listing and making tokens."""

    tag = "account"
    scopes = {"GET": "read", "POST": "read"}

    class Input(Strict):
        """A new token."""

        name = serializers.CharField(max_length=100, help_text="The machine or program that will hold it.")
        scopes = serializers.ListField(
            child=serializers.CharField(max_length=80), allow_empty=False, max_length=20,
            help_text="read, submit, organise, admin; submit:COMPETITION or organise:COMPETITION for one alone.",
        )  # fmt: skip
        expires_at = serializers.DateTimeField(
            required=False, allow_null=True, default=in_ninety_days, help_text="Default: in 90 days. null: never."
        )

    @operation(operation_id="tokens_list", summary="One's tokens", parameters=[PageQuery], responses=TokenPageOut)
    def get(self, request: Request) -> Response:
        query = self.query(request, PageQuery)
        rows, following = page_of(tokens_of(user=request.user), key="public", **query)
        return Response(TokenPageOut({"items": [token_dict(row) for row in rows], "next": following}).data)

    @operation(
        operation_id="tokens_create",
        summary="Make a token",
        description="For a signed-in browser only: a token that leaked cannot make others.",
        request=Input,
        responses={201: NewTokenOut},
    )
    def post(self, request: Request) -> Response:
        if isinstance(request.auth, ApiToken):
            raise NotAllowed(
                "A token cannot make tokens.", "Make one on the account page of the site, signed in.", "session_needed"
            )
        given = self.body(request, self.Input)
        rate_take(rate=TOKENS, subjects={"address": client_address(request), "name": request.user.get_username()})
        token, secret = token_create(user=request.user, **given)
        return Response(NewTokenOut({**token_dict(token), "secret": secret}).data, status=201)


class TokenDetail(ApiView):
    """Ending a token."""

    tag = "account"
    scopes = {"DELETE": ANY}

    @operation(
        operation_id="tokens_revoke",
        summary="Revoke a token",
        description="A token may revoke itself; others only a signed-in browser.",
        request=None,
        responses={204: None},
    )
    def delete(self, request: Request, public: str) -> Response:
        token = tokens_of(user=request.user).filter(public=public).first()
        if token is None:
            raise NotFound(f"You have no token {public!r}.", "GET /api/v1/tokens lists those you have.")
        if isinstance(request.auth, ApiToken) and request.auth.pk != token.pk:
            raise NotAllowed(
                "A token can revoke itself only.", "Revoke others on the account page of the site.", "session_needed"
            )
        token_revoke(token=token)
        return Response(status=204)
