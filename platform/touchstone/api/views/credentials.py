"""Credentials of one's endpoints: what they are called, and never what they are."""

from __future__ import annotations

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from touchstone.api.authentication import job_refuse
from touchstone.api.base import ApiView, Strict
from touchstone.api.outputs import CredentialOut, CredentialsOut
from touchstone.api.schema import operation
from touchstone.submissions.endpoints import credential_add, credential_delete, credentials_of

_NOT_ITS = "it keeps no credentials and removes none"


class Credentials(ApiView):
    """Listing and keeping credentials."""

    tag = "account"
    scopes = {"GET": "read", "POST": "submit"}

    class Input(Strict):
        """A header that an endpoint asks for."""

        name = serializers.SlugField(max_length=64, help_text="What submissions call it by.")
        header = serializers.CharField(max_length=64, help_text="Such as Authorization or X-Api-Key.")
        secret = serializers.CharField(
            max_length=4096, write_only=True, help_text="The header's whole value, such as `Bearer …`."
        )

    @operation(
        operation_id="credentials_list",
        summary="One's credentials",
        description="Names and headers. A secret is never shown again, to nobody.",
        responses=CredentialsOut,
    )
    def get(self, request: Request) -> Response:
        return Response(CredentialsOut({"items": credentials_of(user=request.user)}).data)

    @operation(
        operation_id="credentials_create",
        summary="Keep a credential for endpoints",
        description="It is kept encrypted, and sent to one host alone: that of the first submission that names it.",
        request=Input,
        responses={201: CredentialOut},
    )
    def post(self, request: Request) -> Response:
        job_refuse(request, _NOT_ITS)
        made = credential_add(user=request.user, **self.body(request, self.Input))
        return Response(CredentialOut(made).data, status=201)


class CredentialDetail(ApiView):
    """Forgetting a credential."""

    tag = "account"
    scopes = {"DELETE": "submit"}

    @operation(
        operation_id="credentials_delete",
        summary="Forget a credential",
        description="Runs that need it fail from now on; they take none of the quota.",
        request=None,
        responses={204: None},
    )
    def delete(self, request: Request, name: str) -> Response:
        job_refuse(request, _NOT_ITS)
        credential_delete(user=request.user, name=name)
        return Response(status=204)
