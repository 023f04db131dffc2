"""Webhooks: addresses that are told of events, and the log of what was sent to them."""

from __future__ import annotations

import uuid
from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from touchstone.accounts.models import ApiToken
from touchstone.accounts.scopes import ORGANISE, READ, SUBMIT, allows
from touchstone.api.authentication import ANY
from touchstone.api.base import ApiView, Strict
from touchstone.api.schema import operation
from touchstone.competitions.models import Competition
from touchstone.competitions.selectors import competition_get
from touchstone.hooks.models import Delivery, Webhook
from touchstone.hooks.selectors import deliveries_of, delivery_get, webhook_get, webhooks_of
from touchstone.hooks.services import (
    NewSecret,
    delivery_again,
    webhook_create,
    webhook_delete,
    webhook_ping,
    webhook_rotate,
    webhook_update,
)

_SCOPES = " Scope: `submit` for those of one's own submissions, `organise` for those of a competition."
_HEARS = _SCOPES + " Of one's own submissions it needs `read`, too: what is sent there are results."


class WebhookOut(serializers.Serializer[Any]):
    """An address and what it hears of."""

    id = serializers.UUIDField()
    competition = serializers.CharField(allow_null=True, help_text="null: for one's own submissions.")
    url = serializers.CharField()
    events = serializers.ListField(child=serializers.CharField())
    enabled = serializers.BooleanField()
    disabled_reason = serializers.CharField(allow_blank=True)
    failing_since = serializers.DateTimeField(allow_null=True)
    old_secret_until = serializers.DateTimeField(allow_null=True, help_text="Until then messages have two signatures.")
    created_at = serializers.DateTimeField()


class WebhookSecretOut(WebhookOut):
    """With the secret, which is told this once."""

    secret = serializers.CharField()


class WebhookListOut(serializers.Serializer[Any]):
    """All of them: ten at most of each person."""

    items = WebhookOut(many=True)


class DeliveryOut(serializers.Serializer[Any]):
    """One message, and how its last attempt went."""

    id = serializers.UUIDField()
    event = serializers.CharField()
    status = serializers.ChoiceField(choices=Delivery.Status.choices)
    attempts = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    tried_at = serializers.DateTimeField(allow_null=True)
    next_at = serializers.DateTimeField(allow_null=True)
    http_status = serializers.IntegerField(allow_null=True)
    milliseconds = serializers.IntegerField(allow_null=True)
    answer = serializers.CharField(allow_blank=True, help_text="The beginning of what was answered.")
    problem = serializers.CharField(allow_blank=True)


class DeliveryListOut(serializers.Serializer[Any]):
    """The last 100, the newest first."""

    items = DeliveryOut(many=True)


def _dict(hook: Webhook) -> dict[str, Any]:
    names = ("id", "url", "events", "enabled", "disabled_reason", "failing_since", "created_at")
    slug = None if hook.competition is None else hook.competition.slug
    return {name: getattr(hook, name) for name in names} | {"competition": slug, "old_secret_until": hook.old_until}


def _told(new: NewSecret, status: int) -> Response:
    return Response(WebhookSecretOut(_dict(new.webhook) | {"secret": new.secret}).data, status=status)


def _need(request: Request, slug: str | None, *, hears: bool = False) -> None:
    """Raises `PermissionDenied` where the token does not reach the webhooks of that competition, or one's own.

    `hears`: it says where messages go, so it must be one that may read what is in them.
    """
    if not isinstance(request.auth, ApiToken):
        return
    for needed in (ORGANISE,) if slug is not None else (SUBMIT, READ) if hears else (SUBMIT,):
        if not allows(request.auth.scopes, needed, slug):
            raise PermissionDenied(f"The token {request.auth.name!r} has not the scope {needed!r}.", "scope_missing")


def _found(request: Request, webhook: uuid.UUID, *, hears: bool = False) -> Webhook:
    hook = webhook_get(user=request.user, pk=webhook)
    _need(request, hook.competition and hook.competition.slug, hears=hears)
    return hook


def _competition(request: Request, given: dict[str, Any], *, hears: bool = False) -> Competition | None:
    """The one that is named. A token that does not reach it is not told whether it is there."""
    slug = given.get("competition") or None
    _need(request, slug, hears=hears)
    return None if slug is None else competition_get(user=request.user, slug=slug)


class Webhooks(ApiView):
    """All, and another."""

    tag = "webhooks"
    scopes = {"GET": ANY, "POST": ANY}
    competition_in = {"GET": "query", "POST": "body"}

    class Query(Strict):
        """Whose."""

        competition = serializers.SlugField(required=False, help_text="Left out: those of one's own submissions.")

    class Input(Strict):
        """An address and what it is to hear of."""

        url = serializers.CharField(max_length=500, help_text="A public https address that takes POST requests.")
        events = serializers.ListField(child=serializers.CharField(max_length=40), min_length=1, max_length=20)
        competition = serializers.SlugField(required=False, help_text="Left out: for one's own submissions.")

    @operation(
        operation_id="webhooks_list", summary="Webhooks", parameters=[Query], responses=WebhookListOut,
        description="Those of one's own submissions, or those of a competition that one organises." + _SCOPES,
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        competition = _competition(request, self.query(request, self.Query))
        hooks = webhooks_of(user=request.user, competition=competition)
        return Response(WebhookListOut({"items": [_dict(hook) for hook in hooks]}).data)

    @operation(
        operation_id="webhooks_create", summary="Register a webhook", request=Input,
        responses={201: WebhookSecretOut},
        description="The secret that messages are signed with is in this one answer and nowhere else." + _HEARS,
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        given = self.body(request, self.Input)
        competition = _competition(request, given, hears=True)
        new = webhook_create(user=request.user, url=given["url"], events=given["events"], competition=competition)
        return _told(new, 201)


class WebhookDetail(ApiView):
    """One of them."""

    tag = "webhooks"
    scopes = {"GET": ANY, "PATCH": ANY, "DELETE": ANY}

    class Input(Strict):
        """What is left out stays."""

        url = serializers.CharField(max_length=500, required=False)
        events = serializers.ListField(
            child=serializers.CharField(max_length=40), min_length=1, max_length=20, required=False
        )
        enabled = serializers.BooleanField(required=False)

    @operation(
        operation_id="webhooks_get", summary="A webhook", responses=WebhookOut,
        description="Its address, what it hears of, and whether messages arrive." + _SCOPES,
    )  # fmt: skip
    def get(self, request: Request, webhook: uuid.UUID) -> Response:
        return Response(WebhookOut(_dict(_found(request, webhook))).data)

    @operation(
        operation_id="webhooks_update", summary="Change a webhook", request=Input, responses=WebhookOut,
        description="Its address, its events, or whether it is on; switching it on forgets its failures." + _HEARS,
    )  # fmt: skip
    def patch(self, request: Request, webhook: uuid.UUID) -> Response:
        hook = _found(request, webhook, hears=True)
        hook = webhook_update(webhook=hook, by=request.user, **self.body(request, self.Input))
        return Response(WebhookOut(_dict(hook)).data)

    @operation(
        operation_id="webhooks_delete", summary="Remove a webhook", request=None, responses={204: None},
        description="What waits is not sent any more, and the log of its messages goes." + _SCOPES,
    )  # fmt: skip
    def delete(self, request: Request, webhook: uuid.UUID) -> Response:
        webhook_delete(webhook=_found(request, webhook), by=request.user)
        return Response(status=204)


class WebhookRotate(ApiView):
    """Another secret."""

    tag = "webhooks"
    scopes = {"POST": ANY}

    @operation(
        operation_id="webhooks_rotate", summary="Make a new secret", request=None, responses=WebhookSecretOut,
        description="For a day messages are signed with the secret before, too." + _SCOPES,
    )  # fmt: skip
    def post(self, request: Request, webhook: uuid.UUID) -> Response:
        return _told(webhook_rotate(webhook=_found(request, webhook), by=request.user), 200)


class WebhookPing(ApiView):
    """A test."""

    tag = "webhooks"
    scopes = {"POST": ANY}

    @operation(
        operation_id="webhooks_ping", summary="Send a test message", request=None, responses={202: None},
        description="A message of the type `ping` is sent in a moment; the log says how it went." + _SCOPES,
    )  # fmt: skip
    def post(self, request: Request, webhook: uuid.UUID) -> Response:
        webhook_ping(webhook=_found(request, webhook))
        return Response(status=202)


class Deliveries(ApiView):
    """The log."""

    tag = "webhooks"
    scopes = {"GET": ANY}

    @operation(
        operation_id="webhooks_deliveries", summary="The last messages", responses=DeliveryListOut,
        description="The last 100 of the last 30 days, with the beginning of what was answered." + _SCOPES,
    )  # fmt: skip
    def get(self, request: Request, webhook: uuid.UUID) -> Response:
        rows = deliveries_of(webhook=_found(request, webhook))
        return Response(DeliveryListOut({"items": rows}).data)


class DeliveryAgain(ApiView):
    """Once more."""

    tag = "webhooks"
    scopes = {"POST": ANY}

    @operation(
        operation_id="webhooks_redeliver", summary="Send a message again", request=None, responses={202: DeliveryOut},
        description="With the same id and the same body; receivers know repeated ones by the id." + _SCOPES,
    )  # fmt: skip
    def post(self, request: Request, webhook: uuid.UUID, delivery: uuid.UUID) -> Response:
        found = delivery_get(webhook=_found(request, webhook), pk=delivery)
        return Response(DeliveryOut(delivery_again(delivery=found)).data, status=202)
