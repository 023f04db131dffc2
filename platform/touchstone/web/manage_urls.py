"""Addresses of the organisers' pages, below those of their competition."""

from __future__ import annotations

from django.urls import path

import touchstone.web.converters  # noqa: F401 - makes `key` known
from touchstone.web.views import withdraw
from touchstone.web.views.manage import (
    acts,
    announcements,
    check,
    dashboard,
    export,
    participants,
    phases,
    submissions,
)

_m = "c/<key:slug>/manage/"

urlpatterns = [
    path(_m, dashboard.dashboard, name="manage"),
    path(f"{_m}submissions/", submissions.submissions, name="manage-submissions"),
    path(f"{_m}submissions.csv", submissions.submissions_file, name="manage-submissions-csv"),
    path(f"{_m}submissions/<str:act>/", acts.act, name="manage-act"),
    path(f"{_m}reruns/", acts.reruns, name="manage-reruns"),
    path(f"{_m}reruns/<uuid:pk>/", acts.rerun, name="manage-rerun"),
    path(f"{_m}participants/", participants.participants, name="manage-participants"),
    path(f"{_m}participants.csv", participants.participants_file, name="manage-participants-csv"),
    path(f"{_m}participants/<int:pk>/<str:act>/", participants.participant_act, name="manage-participant"),
    path(f"{_m}announcements/", announcements.manage, name="manage-announcements"),
    path(f"{_m}announcements/<int:pk>/withdraw/", announcements.withdraw, name="manage-announcement-withdraw"),
    path("c/<key:slug>/announcements/", announcements.announcements, name="announcements"),
    path("s/<uuid:pk>/withdraw/", withdraw.withdraw, name="submission-withdraw"),
    path(f"{_m}phases/", phases.phases, name="manage-phases"),
    path(f"{_m}phases/<key:phase>/freeze/", phases.freeze, name="manage-freeze"),
    path(f"{_m}phases/<key:phase>/finals/", phases.finals, name="manage-finals"),
    path(f"{_m}check/", check.check, name="manage-check"),
    path(f"{_m}check/start/", check.check_start, name="manage-check-start"),
    path(f"{_m}export/", export.export, name="manage-export"),
    path(f"{_m}export/everything/", export.everything, name="manage-everything"),
    path(f"{_m}export/<uuid:pk>/everything.zip", export.everything_file, name="manage-everything-file"),
    path(f"{_m}export/bundle.zip", export.bundle, name="manage-bundle"),
    path(f"{_m}reports/", export.reports, name="manage-reports"),
    path(f"{_m}open/", check.open_competition, name="manage-open"),
]
