"""Addresses of the pages."""

from __future__ import annotations

from django.urls import path

import touchstone.web.converters  # noqa: F401 - makes `key` known
from touchstone.web import board_urls, hook_urls, manage_urls, participation_urls, wizard_urls
from touchstone.web.views import (
    account,
    board,
    competition,
    credentials,
    data,
    device,
    health,
    home,
    language,
    matrices,
    nodes,
    organise,
    report,
    submission,
    submit,
    trusts,
)

app_name = "web"

_c = "c/<key:slug>/"

urlpatterns = [
    path("", home.home, name="home"),
    path("account/", account.account, name="account"),
    path("account/tokens/<int:pk>/revoke/", account.token_revoke_page, name="token-revoke"),
    path("account/credentials/", credentials.credentials, name="credentials"),
    path("account/credentials/<slug:name>/delete/", credentials.delete, name="credential-delete"),
    path("account/trusted-publishers/", trusts.trusts, name="trusts"),
    path("account/trusted-publishers/<uuid:pk>/remove/", trusts.remove, name="trust-remove"),
    path("device/", device.device, name="device"),
    path("account/export.zip", account.account_export, name="account-export"),
    path("account/delete/", account.account_delete_page, name="account-delete"),
    path("competitions/new/", organise.competition_new, name="competition-new"),
    path(_c, competition.overview, name="competition"),
    path(f"{_c}data/", data.data, name="data"),
    path(f"{_c}data/<str:split>/<path:name>", data.split_file, name="split-file"),
    path(f"{_c}starting-kit.zip", data.starting_kit, name="starting-kit"),
    path(f"{_c}phases/", competition.phases, name="phases"),
    path(f"{_c}rules/", competition.rules, name="rules"),
    path(f"{_c}p/<key:page>/", competition.page, name="page"),
    path(f"{_c}join/", competition.join, name="join"),
    path(f"{_c}leaderboard/", board.default_board, name="leaderboard"),
    path(f"{_c}leaderboard/<key:phase>/<key:board>/", board.board, name="board"),
    path(f"{_c}leaderboard/<key:phase>/<key:board>.csv", board.board_csv, name="board-csv"),
    path(f"{_c}leaderboard/<key:phase>/<key:board>.json", board.board_json, name="board-json"),
    *board_urls.urlpatterns,
    path(f"{_c}report/<key:phase>/", report.report, name="report"),
    path(f"{_c}report/<key:phase>.pdf", report.report_pdf, name="report-pdf"),
    path(f"{_c}submissions/", submit.submissions, name="submissions"),
    path(f"{_c}submit/", submit.submit, name="submit"),
    *participation_urls.urlpatterns,
    *manage_urls.urlpatterns,
    *hook_urls.urlpatterns,
    *wizard_urls.urlpatterns,
    path(f"{_c}transfer/", matrices.matrices, name="matrices"),
    path(f"{_c}transfer/<uuid:pk>.<str:kind>", matrices.matrix_export, name="matrix-export"),
    path(f"{_c}transfer/<uuid:pk>/cancel/", matrices.cancel, name="matrix-cancel"),
    path("s/<uuid:pk>/", submission.submission, name="submission"),
    path("s/<uuid:pk>/state", submission.state, name="submission-state"),
    path("s/<uuid:pk>/cancel/", submission.cancel, name="submission-cancel"),
    path("s/<uuid:pk>/logs", submission.logs, name="submission-logs"),
    path("nodes/", nodes.nodes, name="nodes"),
    path("nodes/<str:name>/<str:act>/", nodes.node_act, name="node-act"),
    path("language/", language.language, name="language"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
]
