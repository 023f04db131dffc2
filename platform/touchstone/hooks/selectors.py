"""Webhooks and what was sent, for those who may see them."""

from __future__ import annotations

import uuid

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from touchstone.competitions.models import Competition
from touchstone.competitions.selectors import Viewer
from touchstone.core.errors import NotFound
from touchstone.hooks.models import Delivery, Webhook

#: Messages that a log shows.
SHOWN = 100


def webhooks_visible(*, user: Viewer) -> QuerySet[Webhook]:
    """Those one registered oneself, and those of competitions that one organises."""
    if user is None or not user.is_authenticated:
        return Webhook.objects.none()
    organised = Q(competition__owner=user.pk) | Q(competition__organisers=user.pk)
    if user.is_superuser:
        organised = Q(competition__isnull=False)
    mine = Q(competition=None, owner=user.pk)
    return Webhook.objects.filter(mine | organised).select_related("competition", "owner").distinct()


def webhooks_of(*, user: Viewer, competition: Competition | None) -> QuerySet[Webhook]:
    """Those of a competition, or, where none is given, one's own."""
    return webhooks_visible(user=user).filter(competition=competition)


def webhook_get(*, user: Viewer, pk: uuid.UUID) -> Webhook:
    """Raises `NotFound`, missing or somebody else's alike."""
    found = webhooks_visible(user=user).filter(pk=pk).first()
    if found is None:
        raise NotFound(_("There is no such webhook."), _("Your account page lists those there are."))
    return found


def deliveries_of(*, webhook: Webhook) -> list[Delivery]:
    """The last messages, the newest first."""
    return list(Delivery.objects.filter(webhook=webhook).order_by("-created_at", "-pk")[:SHOWN])


def delivery_get(*, webhook: Webhook, pk: uuid.UUID) -> Delivery:
    """Raises `NotFound`."""
    found = Delivery.objects.filter(webhook=webhook, pk=pk).first()
    if found is None:
        raise NotFound(_("There is no such message in the log."), _("It keeps messages for 30 days."))
    return found
