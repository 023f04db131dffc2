"""Asks leaderboards of two sizes for pages, in turns. Runs in the server's environment; see `bench.leaderboard`."""

from __future__ import annotations

import html
import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django

from bench.rounds import alternate, say

_ROWS = 50
#: Best run of everybody from the raw results, and the first page of that: what one writes without a kept entry.
_NAIVE = """
SELECT name, value FROM (
  SELECT DISTINCT ON (s.participation_id) p.display_name AS name, r.value, s.created_at, u.id
  FROM evaluations_result r
  JOIN evaluations_run u ON u.id = r.run_id
  JOIN submissions_submission s ON s.id = u.submission_id
  JOIN competitions_participation p ON p.id = s.participation_id
  WHERE s.phase_id = %s AND u.status = 'scored' AND r.key = %s
  ORDER BY s.participation_id, r.value DESC, s.created_at, u.id
) best ORDER BY value DESC, created_at, id LIMIT %s
"""
_KEPT = """
SELECT p.display_name, e.sort_key FROM leaderboards_leaderboardentry e
JOIN competitions_participation p ON p.id = e.participation_id
WHERE e.leaderboard_id = %s AND NOT e.hidden AND e.sort_key IS NOT NULL
ORDER BY e.sort_key DESC NULLS LAST, e.achieved_at, e.run_id LIMIT %s
"""


def main() -> int:
    asked = json.load(sys.stdin)
    django.setup()
    from django.conf import settings
    from django.db import connection

    from bench.board_seed import seed

    Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)
    boards, seconds = {}, {}
    for size in asked["sizes"]:
        started = time.monotonic()
        boards[size] = seed(size)
        seconds[str(size)] = round(time.monotonic() - started, 1)
        say(f"leaderboard: {size} submissions seeded in {seconds[str(size)]} s")
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
        version = cursor.execute("SHOW server_version").fetchone()[0]
    answer = {"postgresql": version, "seed_seconds": seconds, **_measure(boards, asked["rounds"])}
    json.dump(answer, sys.stdout)
    return 0


def _measure(boards: dict[int, Any], rounds: int) -> dict[str, Any]:
    pages = {size: _pages(board) for size, board in boards.items()}
    names = list(next(iter(pages.values())))
    cases = {f"{name}@{size}": pages[size][name] for name in names for size in boards}
    cases |= {f"naive@{size}": _sql(_NAIVE, [board.phase_id, _key(board), _ROWS]) for size, board in boards.items()}
    cases |= {f"kept@{size}": _sql(_KEPT, [board.pk, _ROWS]) for size, board in boards.items()}
    for call in cases.values():  # once without looking: caches, templates, plans
        call()
    _same(boards)
    say(f"leaderboard: {len(cases)} cases in {rounds} rounds")
    found = alternate(cases, rounds=rounds)
    return {
        "cases": {str(size): {name: found[f"{name}@{size}"] for name in names} for size in boards},
        "naive_ms": {str(size): [one["wall_ms"] for one in found[f"naive@{size}"]] for size in boards},
        "page_sql_ms": {str(size): [one["wall_ms"] for one in found[f"kept@{size}"]] for size in boards},
    }


def _pages(board: Any) -> dict[str, Callable[[], dict[str, float]]]:
    """Requests by name: what people and programs ask for."""
    from django.test import Client

    host = {"host": "127.0.0.1"}
    anonymous, member = Client(headers=host), Client(headers=host)
    member.force_login(board.competition.participations.select_related("user").order_by("pk").first().user)
    where = f"{board.competition.slug}/leaderboard/{board.phase.slug}/{board.slug}"
    web = f"/c/{where}/"
    api = f"/api/v1/competitions/{board.competition.slug}/leaderboards/{board.phase.slug}/{board.slug}"
    tag = anonymous.get(web).headers["ETag"]
    following = re.search(r'href="([?][^"]*after=[^"]+)"', anonymous.get(web).content.decode())
    second = web + (html.unescape(following[1]) if following else "")
    other = next(key for key in board.spec["columns"] if key != _key(board))
    return {
        "web": lambda: _ask(anonymous, web),
        "web_signed_in": lambda: _ask(member, web),
        "web_next_page": lambda: _ask(anonymous, second),
        "web_by_another_column": lambda: _ask(anonymous, f"{web}?sort=-{other}"),
        "web_of_one_kind": lambda: _ask(anonymous, f"{web}?kind=predictions"),
        "web_searched": lambda: _ask(anonymous, f"{web}?q=-0001"),
        "web_not_modified": lambda: _ask(anonymous, web, status=304, headers={"If-None-Match": tag}),
        "api": lambda: _ask(anonymous, api),
    }


def _key(board: Any) -> str:
    return str(board.spec["rank_by"])


def _ask(client: Any, path: str, *, status: int = 200, headers: dict[str, str] | None = None) -> dict[str, float]:
    """One request: milliseconds of clock and of this process's CPU, and the SQL it sent."""
    from django.db import connection

    sql: list[float] = []

    def timed(execute: Any, *arguments: Any) -> Any:
        began = time.perf_counter()
        try:
            return execute(*arguments)
        finally:
            sql.append(time.perf_counter() - began)

    with connection.execute_wrapper(timed):
        cpu, wall = time.process_time(), time.perf_counter()
        answer = client.get(path, headers=headers or {})
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    if answer.status_code != status:
        raise RuntimeError(f"{path} answered {answer.status_code}, expected {status}: {answer.content[:500]!r}")
    return {
        "wall_ms": wall * 1e3, "cpu_ms": cpu * 1e3, "sql_ms": sum(sql) * 1e3, "sql": len(sql),
        "bytes": len(answer.content),
    }  # fmt: skip


def _sql(statement: str, values: list[Any]) -> Callable[[], dict[str, float]]:
    def call() -> dict[str, float]:
        began = time.perf_counter()
        _rows(statement, values)
        return {"wall_ms": (time.perf_counter() - began) * 1e3}

    return call


def _rows(statement: str, values: list[Any]) -> list[Any]:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())


def _same(boards: dict[int, Any]) -> None:
    """A peer that answers something else would be no peer. Raises `RuntimeError`."""
    for size, board in boards.items():
        naive = _rows(_NAIVE, [board.phase_id, _key(board), _ROWS])
        if not naive or naive != _rows(_KEPT, [board.pk, _ROWS]):
            raise RuntimeError(f"at {size} submissions the kept entries and the raw results give different boards")


if __name__ == "__main__":
    raise SystemExit(main())
