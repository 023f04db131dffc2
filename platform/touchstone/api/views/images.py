"""Images in the platform's registry: where one may push, what one has pushed, and taking it out again."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from touchstone.api.base import ApiView, Strict
from touchstone.api.schema import operation
from touchstone.competitions.models import Participation
from touchstone.competitions.selectors import competition_get, participation_need
from touchstone.registry.selectors import image_name, push_place, pushed_images
from touchstone.registry.services import image_remove

_SHOWN = 200


class PushedImageOut(serializers.Serializer[Any]):
    """An image as it was pushed. A tag that was pushed again names the image that was pushed last."""

    image = serializers.CharField(help_text="Its name by digest, as submissions take it.")
    tag = serializers.CharField(allow_blank=True)
    size = serializers.IntegerField(help_text="Bytes in the registry, compressed.")
    pushed_at = serializers.DateTimeField()


class ImagesOut(serializers.Serializer[Any]):
    """Where the caller pushes to in this competition, and what is there."""

    host = serializers.CharField(allow_blank=True, help_text="The registry; empty where there is none.")
    prefix = serializers.CharField(allow_blank=True, help_text="Names of the caller's images begin with this and a /.")
    why_not = serializers.CharField(allow_blank=True, help_text="Why nothing can be pushed now; empty if it can.")
    used = serializers.IntegerField(help_text="Bytes of the caller's images in the registry.")
    quota = serializers.IntegerField(help_text="Bytes that they may have.")
    items = PushedImageOut(many=True)


class CompetitionImages(ApiView):
    """One's own images for a competition."""

    tag = "submissions"
    scopes = {"GET": "read", "DELETE": "submit"}

    class Query(Strict):
        """Which image."""

        image = serializers.CharField(max_length=400, help_text="Its name by digest.")

    @operation(
        operation_id="competitions_images",
        summary="Where to push images, and those pushed",
        description="The newest 200, the one pushed last first.",
        responses=ImagesOut,
    )
    def get(self, request: Request, slug: str) -> Response:
        participation = self._participation(request, slug)
        place = push_place(participation=participation, user=request.user)
        rows = pushed_images(participation=participation)[:_SHOWN] if place.host else []
        items = [
            {"image": image_name(image=row), "tag": row.tag, "size": row.size, "pushed_at": row.pushed_at}
            for row in rows
        ]
        body = {"host": place.host, "prefix": place.prefix, "why_not": place.why_not, "used": place.used}
        return Response(ImagesOut({**body, "quota": place.quota, "items": items}).data)

    @operation(
        operation_id="competitions_images_remove",
        summary="Remove one of one's images from the registry",
        description="One that a submission names stays.",
        parameters=[Query],
        request=None,
        responses={204: None},
    )
    def delete(self, request: Request, slug: str) -> Response:
        participation = self._participation(request, slug)
        image_remove(participation=participation, image=self.query(request, self.Query)["image"], by=request.user)
        return Response(status=204)

    def _participation(self, request: Request, slug: str) -> Participation:
        competition = competition_get(user=request.user, slug=slug)
        return participation_need(user=request.user, competition=competition)
