"""Addresses of REST v1, below /api/v1/. Names, never numbers; none ends with a slash."""

from django.urls import path, re_path

from touchstone.api.views import (
    account,
    competitions,
    following,
    images,
    leaderboards,
    matrices,
    nodes,
    publishing,
    running,
    schema,
    submissions,
    uploads,
)

_c = "competitions/<slug:slug>"
_s = "submissions/<uuid:submission>"
_u = "uploads/<uuid:upload>"
_m = "transfer-matrices/<uuid:matrix>"

app_name = "api"
urlpatterns = [
    path("me", account.Me.as_view(), name="me"),
    path("tokens", account.Tokens.as_view(), name="tokens"),
    path("tokens/<slug:public>", account.TokenDetail.as_view(), name="token"),
    path("competitions", competitions.Competitions.as_view(), name="competitions"),
    path(_c, competitions.CompetitionDetail.as_view(), name="competition"),
    path(f"{_c}/join", competitions.CompetitionJoin.as_view(), name="join"),
    path(f"{_c}/data/<slug:split>/<path:file>", competitions.CompetitionFile.as_view(), name="data"),
    path(f"{_c}/starting-kit", competitions.CompetitionStartingKit.as_view(), name="starting-kit"),
    path(f"{_c}/export", publishing.CompetitionExport.as_view(), name="export"),
    path(f"{_c}/check", publishing.CompetitionCheck.as_view(), name="check"),
    path(f"{_c}/open", publishing.CompetitionOpen.as_view(), name="open"),
    path(f"{_c}/reruns", running.Reruns.as_view(), name="reruns"),
    path(f"{_c}/reruns/<uuid:rerun>", running.RerunDetail.as_view(), name="rerun"),
    path(f"{_c}/images", images.CompetitionImages.as_view(), name="images"),
    path(f"{_c}/quota", competitions.CompetitionQuota.as_view(), name="quota"),
    path(f"{_c}/submissions", competitions.CompetitionSubmissions.as_view(), name="competition-submissions"),
    path(f"{_c}/leaderboards/<slug:phase>/<slug:board>", leaderboards.BoardView.as_view(), name="leaderboard"),
    path(f"{_c}/phases/<slug:phase>/transfer-matrices", matrices.Matrices.as_view(), name="matrices"),
    path(_m, matrices.MatrixDetail.as_view(), name="matrix"),
    path(f"{_m}/cancel", matrices.MatrixCancel.as_view(), name="matrix-cancel"),
    path("uploads", uploads.Uploads.as_view(), name="uploads"),
    path(_u, uploads.UploadDetail.as_view(), name="upload"),
    path(f"{_u}/parts/<int:number>", uploads.UploadPart.as_view(), name="upload-part"),
    path(f"{_u}/complete", uploads.UploadComplete.as_view(), name="upload-complete"),
    path("submissions", submissions.Submissions.as_view(), name="submissions"),
    path(_s, submissions.SubmissionDetail.as_view(), name="submission"),
    path(f"{_s}/events", submissions.SubmissionEvents.as_view(), name="events"),
    path(f"{_s}/stream", following.SubmissionStream.as_view(), name="stream"),
    path(f"{_s}/log", submissions.SubmissionLog.as_view(), name="log"),
    path(f"{_s}/results", submissions.SubmissionResults.as_view(), name="results"),
    path(f"{_s}/finalist", submissions.SubmissionFinalist.as_view(), name="finalist"),
    path(f"{_s}/withdraw", running.SubmissionWithdraw.as_view(), name="withdraw"),
    path(f"{_s}/cancel", submissions.SubmissionCancel.as_view(), name="cancel"),
    path("nodes", nodes.Nodes.as_view(), name="nodes"),
    path("queues", nodes.Queues.as_view(), name="queues"),
    path("schema", schema.Schema.as_view(), name="schema"),
    re_path(r"^(?P<rest>.*)$", schema.Nowhere.as_view(), name="nowhere"),
]
