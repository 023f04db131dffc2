"""Addresses of a participant's own pages."""

from __future__ import annotations

from django.urls import path

import touchstone.web.converters  # noqa: F401 - makes `key` known
from touchstone.web.views import own, team

_c = "c/<key:slug>/"

urlpatterns = [
    path(f"{_c}team/", team.team, name="team"),
    path(f"{_c}team/invitations/<int:pk>/revoke/", team.revoke, name="team-revoke"),
    path(f"{_c}team/<str:act>/<int:member>/", team.act, name="team-act"),
    path(f"{_c}submissions/compare/", own.compare, name="submissions-compare"),
    path("s/<uuid:pk>/name/", own.name, name="submission-name"),
    path("s/<uuid:pk>/finalist/", own.finalist, name="submission-finalist"),
]
