"""Addresses of the wizard: the steps of a draft, and what is done with a draft as a whole."""

from __future__ import annotations

from django.urls import path

from touchstone.web import converters  # noqa: F401 - registers `key`
from touchstone.web.views import invitations
from touchstone.web.views.wizard import (
    about,
    boards,
    concepts,
    data,
    fairness,
    frame,
    metrics,
    people,
    phases,
    preview,
    review,
    rules,
    start,
    task,
)

_c, _d = "c/<key:slug>/", "drafts/<uuid:pk>/"

urlpatterns = [
    path("drafts/", start.create, name="draft-create"),
    path("markdown/", about.preview, name="markdown-preview"),
    path(f"{_c}image", start.competition_image, name="competition-image"),
    path("invitations/<str:secret>/", invitations.accept, name="invitation"),
    path(f"{_c}manage/invitations/", invitations.invitations, name="manage-invitations"),
    path(f"{_c}manage/invitations/<int:pk>/revoke/", invitations.revoke, name="manage-invitation-revoke"),
    path(f"{_c}manage/edit/", start.edit, name="manage-edit"),
    path(f"{_d}", start.draft, name="draft"),
    path(f"{_d}about/", about.about, name="draft-about"),
    path(f"{_d}concepts/", concepts.concepts, name="draft-concepts"),
    path(f"{_d}phases/", phases.phases, name="draft-phases"),
    path(f"{_d}rules/", rules.rules, name="draft-rules"),
    path(f"{_d}people/", people.people, name="draft-people"),
    path(f"{_d}review/", review.review, name="draft-review"),
    path(f"{_d}preview/", preview.preview, name="draft-preview"),
    path(f"{_d}preview/<str:tab>/", preview.preview, name="draft-preview-tab"),
    path(f"{_d}data/", data.data, name="draft-data"),
    path(f"{_d}data/add/", data.data_add, name="draft-data-add"),
    path(f"{_d}data/remove/", data.data_remove, name="draft-data-remove"),
    path(f"{_d}data/found/", data.data_found, name="draft-data-found"),
    path(f"{_d}data/found/<str:sha256>.png", data.data_picture, name="draft-data-picture"),
    path(f"{_d}data/card/", data.data_card, name="draft-data-card"),
    path(f"{_d}metrics/", metrics.metrics, name="draft-metrics"),
    path(f"{_d}metrics/fairness/", fairness.fairness, name="draft-fairness"),
    path(f"{_d}metrics/add/<str:metric>/", metrics.metric_add, name="draft-metric-add"),
    path(f"{_d}metrics/<int:index>/", metrics.metric_edit, name="draft-metric-edit"),
    path(f"{_d}boards/", boards.boards, name="draft-boards"),
    path(f"{_d}boards/add/", boards.board_add, name="draft-board-add"),
    path(f"{_d}boards/<int:index>/", boards.board_edit, name="draft-board-edit"),
    path(f"{_d}image/<str:sha256>", start.image, name="draft-image"),
    path(f"{_d}task/", task.task, name="draft-task"),
    path(f"{_d}delete/", start.delete, name="draft-delete"),
    path(f"{_d}<key:step>/merge/", frame.merge, name="draft-merge"),
    path(f"{_d}<key:step>/undo/", frame.undo, name="draft-undo"),
]
