"""Addresses of webhooks."""

from __future__ import annotations

from django.urls import path

import touchstone.web.converters  # noqa: F401 - makes `key` known
from touchstone.web.views import hooks

urlpatterns = [
    path("account/webhooks/", hooks.own, name="webhooks"),
    path("c/<key:slug>/manage/webhooks/", hooks.manage, name="manage-webhooks"),
    path("webhooks/<uuid:pk>/", hooks.webhook, name="webhook"),
    path("webhooks/<uuid:pk>/delete/", hooks.delete, name="webhook-delete"),
    path("webhooks/<uuid:pk>/messages/<uuid:delivery>/again/", hooks.again, name="webhook-again"),
    path("webhooks/<uuid:pk>/<str:act>/", hooks.act, name="webhook-act"),
]
