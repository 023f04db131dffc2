"""Trusted publishing: which jobs of CI services may submit for oneself, and the exchange of their identity."""

from __future__ import annotations

import uuid
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from touchstone.accounts.claims import issuers
from touchstone.accounts.idtokens import MAX_BYTES
from touchstone.accounts.minting import token_mint
from touchstone.accounts.models import ApiToken, TrustedPublisher
from touchstone.accounts.trusts import trust_create, trust_get, trust_remove, trusts_of
from touchstone.api.authentication import PUBLIC
from touchstone.api.base import ApiView, PageQuery, Strict, page_of
from touchstone.api.schema import operation
from touchstone.core.addresses import client_address
from touchstone.core.errors import NotAllowed
from touchstone.core.rates import OIDC, rate_take


class TrustOut(serializers.Serializer[Any]):
    """Jobs that may submit to one competition."""

    id = serializers.UUIDField()
    competition = serializers.CharField()
    issuer = serializers.CharField()
    repository = serializers.CharField(help_text="Its name when the trust was added; the ids decide.")
    repository_id = serializers.CharField()
    owner_id = serializers.CharField()
    workflow = serializers.CharField()
    environment = serializers.CharField(allow_blank=True, help_text="Empty: any.")
    ref = serializers.CharField(allow_blank=True, help_text="A pattern; empty: any branch or tag.")
    created_at = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField(allow_null=True)


class TrustPageOut(serializers.Serializer[Any]):
    """A page of them, and the issuers that a trust can name."""

    next = serializers.CharField(allow_blank=True, help_text="Cursor of the next page; empty at the end.")
    items = TrustOut(many=True)
    issuers = serializers.ListField(child=serializers.CharField())


class MintedOut(serializers.Serializer[Any]):
    """The token, told this once."""

    token = serializers.CharField()
    expires_at = serializers.DateTimeField()
    scopes = serializers.ListField(child=serializers.CharField())
    competition = serializers.CharField()
    user = serializers.CharField(help_text="For whom it submits.")


def _trust_dict(trust: TrustedPublisher) -> dict[str, Any]:
    names = (
        "issuer", "repository", "repository_id", "owner_id", "workflow", "environment", "ref", "created_at",
        "last_used_at",
    )  # fmt: skip
    return {"id": trust.pk, "competition": trust.competition.slug, **{name: getattr(trust, name) for name in names}}


def _browser_only(request: Request) -> None:
    if isinstance(request.auth, ApiToken):
        raise NotAllowed(
            "A token cannot say whom you trust.", "Do it on the account page of the site, signed in.", "session_needed"
        )


class Trusts(ApiView):
    """Listing and adding trusts."""

    tag = "account"
    scopes = {"GET": "read", "POST": "read"}

    class Input(Strict):
        """The jobs, as their CI service identifies them."""

        competition = serializers.SlugField()
        issuer = serializers.CharField(max_length=200, help_text="One of `issuers` in the list.")
        repository = serializers.CharField(max_length=200, help_text="owner/name; shown only.")
        repository_id = serializers.CharField(max_length=64)
        owner_id = serializers.CharField(max_length=64)
        workflow = serializers.CharField(max_length=200, help_text="Such as .github/workflows/submit.yml.")
        environment = serializers.CharField(required=False, default="", allow_blank=True, max_length=100)
        ref = serializers.CharField(
            required=False, default="", allow_blank=True, max_length=200, help_text="Such as refs/heads/main."
        )

    @operation(
        operation_id="trusts_list",
        summary="Whom one trusts to submit",
        description="Jobs of CI services that get a token for one competition without a stored secret.",
        parameters=[PageQuery],
        responses=TrustPageOut,
    )
    def get(self, request: Request) -> Response:
        rows, following = page_of(trusts_of(user=request.user), key="pk", **self.query(request, PageQuery))
        body = {"items": [_trust_dict(row) for row in rows], "next": following, "issuers": list(issuers())}
        return Response(TrustPageOut(body).data)

    @operation(
        operation_id="trusts_create",
        summary="Trust a job to submit",
        description="For a signed-in browser only: a token that leaked cannot make itself a way back.",
        request=Input,
        responses={201: TrustOut},
    )
    def post(self, request: Request) -> Response:
        _browser_only(request)
        made = trust_create(user=request.user, **self.body(request, self.Input))
        return Response(TrustOut(_trust_dict(made)).data, status=201)


class TrustDetail(ApiView):
    """Ending a trust."""

    tag = "account"
    scopes = {"DELETE": "read"}

    @operation(
        operation_id="trusts_remove",
        summary="Trust a job no longer",
        description="For a signed-in browser only. Tokens that the job got in the last minutes end too; what it sent "
        "stays.",
        request=None,
        responses={204: None},
    )
    def delete(self, request: Request, trust: uuid.UUID) -> Response:
        _browser_only(request)
        trust_remove(trust=trust_get(user=request.user, id=trust))
        return Response(status=204)


class Mint(ApiView):
    """The exchange."""

    tag = "account"
    scopes = {"POST": PUBLIC}

    class Input(Strict):
        """The ID token of a job, for this site's address as its audience."""

        token = serializers.CharField(max_length=MAX_BYTES)
        competition = serializers.SlugField(
            required=False, default="", allow_blank=True, help_text="Needed where the job is trusted for several."
        )
        user = serializers.CharField(
            required=False, default="", allow_blank=True, max_length=150,
            help_text="Whose trust it is; needed where several people trust the job.",
        )  # fmt: skip

    @operation(
        operation_id="oidc_mint",
        summary="Exchange the identity of a CI job for a token",
        description="Checks issuer, signature, audience, times, that the token was not used before, what started the "
        "job, and that repository, owner, workflow, environment and branch fit a trust. The token it gives submits to "
        "one competition for 15 minutes.",
        request=Input,
        responses={200: MintedOut},
    )
    def post(self, request: Request) -> Response:
        rate_take(rate=OIDC, subjects={"address": client_address(request)})
        given = self.body(request, self.Input)
        minted = token_mint(raw=given["token"], competition=given["competition"], user=given["user"])
        return Response(
            MintedOut(
                {
                    "token": minted.secret,
                    "expires_at": minted.token.expires_at,
                    "scopes": minted.token.scopes,
                    "competition": minted.competition,
                    "user": minted.user,
                }
            ).data
        )
