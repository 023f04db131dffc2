"""Addresses of what stands around a leaderboard."""

from __future__ import annotations

from django.urls import path

from touchstone.web.views import board, board_more, entry, snapshot

_c = "c/<key:slug>/"
_b = f"{_c}leaderboard/<key:phase>/<key:board>/"

urlpatterns = [
    path(f"{_c}leaderboard/<key:phase>/<key:board>.parquet", board.board_parquet, name="board-parquet"),
    path(f"{_b}pareto/", board_more.pareto, name="board-pareto"),
    path(f"{_b}compare/", board_more.compare, name="board-compare"),
    path(f"{_b}history/", board_more.history, name="board-history"),
    path(f"{_b}share/", snapshot.share, name="board-share"),
    path(f"{_b}at/<uuid:pk>/", snapshot.snapshot, name="board-snapshot"),
    path(f"{_c}entry/<uuid:pk>/", entry.entry, name="entry"),
    path(f"{_c}badge/<uuid:pk>.svg", entry.badge, name="badge"),
]
