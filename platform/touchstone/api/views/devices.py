"""Signing a program in with the help of a browser (the device authorisation of RFC 8628)."""

from __future__ import annotations

from typing import Any

from django.utils.http import urlencode
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from touchstone.accounts.devices import LIFE, device_begin, device_poll
from touchstone.api.authentication import PUBLIC
from touchstone.api.base import ApiView, Strict
from touchstone.api.present import page_url
from touchstone.api.schema import operation
from touchstone.core.addresses import client_address
from touchstone.core.rates import DEVICES, rate_take


class DeviceCodeOut(serializers.Serializer[Any]):
    """What to show, and what to ask with."""

    device_code = serializers.CharField(help_text="Secret: whoever has it gets the token.")
    user_code = serializers.CharField(help_text="For the person to compare, or to type in the browser.")
    verification_uri = serializers.CharField(help_text="The page to open in a browser.")
    verification_uri_complete = serializers.CharField(help_text="The same with the code in it; it still asks.")
    expires_in = serializers.IntegerField(help_text="Seconds.")
    interval = serializers.IntegerField(help_text="Seconds between two questions, at least.")


class DeviceTokenOut(serializers.Serializer[Any]):
    """The token, told this once."""

    token = serializers.CharField()
    scopes = serializers.ListField(child=serializers.CharField())
    expires_at = serializers.DateTimeField(allow_null=True)


class DeviceCode(ApiView):
    """The beginning."""

    tag = "account"
    scopes = {"POST": PUBLIC}

    class Input(Strict):
        """Who asks, and for what."""

        client_name = serializers.CharField(
            max_length=100, help_text="Program and machine, as the person knows them. It names the token later."
        )
        scopes = serializers.ListField(
            child=serializers.CharField(max_length=80), required=False, max_length=20, allow_empty=False,
            default=["read", "submit"], help_text="As for a token.",
        )  # fmt: skip

    @operation(
        operation_id="device_code",
        summary="Ask to be signed in with the help of a browser",
        description="The person opens `verification_uri`, compares the code and decides; meanwhile ask at "
        "`device/token` every `interval` seconds.",
        request=Input,
        responses={200: DeviceCodeOut},
    )
    def post(self, request: Request) -> Response:
        given = self.body(request, self.Input)
        address = client_address(request)
        rate_take(rate=DEVICES, subjects={"address": address})
        begun = device_begin(client=given["client_name"], scopes=given["scopes"], address=address)
        page = page_url("/device/")
        return Response(
            DeviceCodeOut(
                {
                    "device_code": begun.device_code,
                    "user_code": begun.user_code,
                    "verification_uri": page,
                    "verification_uri_complete": f"{page}?{urlencode({'code': begun.user_code})}",
                    "expires_in": int(LIFE.total_seconds()),
                    "interval": begun.grant.interval,
                }
            ).data
        )


class DeviceToken(ApiView):
    """The end."""

    tag = "account"
    scopes = {"POST": PUBLIC}

    class Input(Strict):
        """The secret of the two codes."""

        device_code = serializers.CharField(max_length=100)

    @operation(
        operation_id="device_token",
        summary="Fetch the token once the person has decided",
        description="Until then 400 with `authorization_pending`. The token is told once.",
        request=Input,
        responses={200: DeviceTokenOut},
    )
    def post(self, request: Request) -> Response:
        token, raw = device_poll(device_code=self.body(request, self.Input)["device_code"])
        return Response(DeviceTokenOut({"token": raw, "scopes": token.scopes, "expires_at": token.expires_at}).data)
