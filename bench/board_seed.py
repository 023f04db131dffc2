"""A competition with many submissions, written past the services in a few statements. For a scratch database only.

Rows are what the services would have written: 85 of 100 submissions scored, best run of each participant kept as its
entry, ranked by the platform's own `rank`, and an event of the board's history for each score. Only the steps of
single runs (`RunEvent`) are left out.
"""

from __future__ import annotations

import json
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from django.db import connection

from bench.bulk import copy_rows, loading, rows_like
from runners.spec.models import CompetitionSpec, LeaderboardSpec
from touchstone.accounts.models import User
from touchstone.competitions.models import Competition, Member, Participation
from touchstone.competitions.services import competition_import
from touchstone.evaluations.models import Result, Run
from touchstone.leaderboards.models import Leaderboard, LeaderboardEntry, LeaderboardEvent
from touchstone.leaderboards.ranking import columns_offered, rank
from touchstone.submissions.models import Submission

Numbers = np.ndarray[Any, Any]

#: Key, metric, direction, and the value of a quality between 0 and 1: the first number and so many times the second.
#: The board ranks by the first.
_METRICS = (
    ("performance.balanced_accuracy", "performance.balanced_accuracy", "maximise", 0.5, 0.25),
    ("performance.accuracy", "performance.accuracy", "maximise", 0.52, 0.25),
    ("performance.log_loss", "performance.log_loss", "minimise", 0.75, -0.2),
    ("fairness.statistical_parity_difference[sex]", "fairness.statistical_parity_difference", "zero", 0.1, -0.3),
    ("fairness.disparate_impact[sex]", "fairness.disparate_impact", "one", 1.3, -0.8),
)
_HALF = 0.01  # of each interval
_ITEMS = 1000
_PER_PARTICIPANT = 10
_SCORED = 0.85
_BEGIN = datetime(2026, 2, 1, tzinfo=UTC)
_STEP = timedelta(seconds=7)
#: What the other tables are made from: submission `n` by `participation`, its keys, its quality, and when it was sent.
_SEEDED = """
CREATE TEMPORARY TABLE seeded (
  n int, participation bigint, run uuid, submission uuid, quality float8, good boolean, at timestamptz)
"""


@dataclass(frozen=True)
class _Sent:
    """What was sent, a place a submission: index of the participant, quality, whether it was scored, key of its run."""

    whose: Numbers
    quality: Numbers
    good: Numbers
    runs: list[uuid.UUID]


def seed(size: int) -> Leaderboard:
    """A board with `size` submissions by a tenth as many participants, some far busier than others."""
    competition = _competition(f"bench-{size}")
    board = Leaderboard.objects.select_related("phase__competition").get(competition=competition)
    people = _people(competition, max(2, size // _PER_PARTICIPANT))
    rng = np.random.default_rng(size)
    sent = _Sent(
        whose=_whose(rng, size, len(people)), quality=np.clip(rng.normal(0.5, 0.15, size), 0, 1).round(9),
        good=rng.random(size) < _SCORED, runs=[uuid.UUID(bytes=rng.bytes(16)) for _ in range(size)],
    )  # fmt: skip
    with loading([Submission, Run, Result, LeaderboardEvent, LeaderboardEntry]) as cursor:
        cursor.execute(_SEEDED)
        columns = ("n", "participation", "run", "submission", "quality", "good", "at")
        copy_rows(cursor, "seeded", columns, _rows(sent, people))
        cursor.execute("ANALYZE seeded")
        _submissions(cursor, board)
        _results(cursor)
        _events(cursor, board)
        _entries(cursor, board, people, sent)
        cursor.execute("DROP TABLE seeded")
        cursor.execute("ANALYZE")
    Leaderboard.objects.filter(pk=board.pk).update(version=size)
    return Leaderboard.objects.select_related("phase__competition", "competition").get(pk=board.pk)


def _competition(slug: str) -> Competition:
    """Through the import, as an organiser would."""
    owner = User.objects.create_user(username=f"{slug}-owner", email=f"{slug}@bench.invalid")
    with tempfile.TemporaryDirectory(prefix="touchstone-bench-") as folder:
        return competition_import(user=owner, archive=_bundle(Path(folder), slug)).competition


def _bundle(folder: Path, slug: str) -> Path:
    spec = {
        "touchstone": 1, "slug": slug, "title": f"Bench {slug}", "summary": "Seeded.",
        "task": {"kind": "binary", "classes": ["no", "yes"], "positive": "yes", "favourable": "no"},
        "data": {"test": {"path": "test", "visibility": "hidden"}},
        "attributes": {"sex": {"privileged": "f", "unprivileged": ["m"], "protected": True}},
        "submission": {"kinds": ["predictions"]},
        "phases": [{"slug": "main", "split": "test", "opens": "2026-01-01T00:00Z"}],
        "metrics": [{"use": metric, **({"attribute": "sex"} if "[" in key else {})} for key, metric, *_ in _METRICS],
        "leaderboards": [{"slug": "main", "rank_by": _METRICS[0][0], "columns": [key for key, *_ in _METRICS]}],
    }  # fmt: skip
    (folder / "competition.yml").write_text(json.dumps(spec))
    split = folder / "test"
    split.mkdir()
    labels = [f"i{n},{'yes' if n % 2 else 'no'}" for n in range(40)]
    sexes = [f"i{n},{'f' if n % 4 < 2 else 'm'}" for n in range(40)]
    (split / "labels.csv").write_text("\n".join(["id,label", *labels]) + "\n")
    (split / "attributes.csv").write_text("\n".join(["id,sex", *sexes]) + "\n")
    return folder


def _people(competition: Competition, count: int) -> list[int]:
    """Users, each a participant of their own; the keys of the participations."""
    slug = competition.slug
    name = f"'{slug}-' || lpad(k::text, 5, '0')"
    mine = f"accounts_user u WHERE u.username LIKE '{slug}-%%' AND u.username <> '{slug}-owner' ORDER BY u.id"
    joined = f"competitions_participation p WHERE p.competition_id = {competition.pk} ORDER BY p.id"
    with connection.cursor() as cursor:
        rows_like(
            cursor, User(password="!"), source=f"generate_series(0, {count - 1}) k",
            values={"username": name, "email": f"{name} || '@bench.invalid'"},
        )  # fmt: skip
        rows_like(
            cursor, Participation(competition=competition), source=mine,
            values={"user_id": "u.id", "display_name": "u.username"},
        )  # fmt: skip
        rows_like(
            cursor, Member(competition=competition), source=joined,
            values={"participation_id": "p.id", "user_id": "p.user_id"},
        )  # fmt: skip
    return list(Participation.objects.filter(competition=competition).order_by("pk").values_list("pk", flat=True))


def _whose(rng: np.random.Generator, size: int, people: int) -> Numbers:
    """Index of the participant of each submission: everybody has one, the rest fall as 1/sqrt(place)."""
    weights = 1 / np.sqrt(np.arange(1, people + 1))
    rest = rng.choice(people, size - people, p=weights / weights.sum())
    return rng.permutation(np.concatenate([np.arange(people), rest]))


def _rows(sent: _Sent, people: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """The rows of `seeded`."""
    for number, run in enumerate(sent.runs):
        person, quality, good = people[sent.whose[number]], float(sent.quality[number]), bool(sent.good[number])
        yield number, person, run, uuid.UUID(int=run.int ^ 1), quality, good, _moment(number)


def _moment(number: int) -> datetime:
    return _BEGIN + _STEP * number


def _submissions(cursor: Any, board: Leaderboard) -> None:
    """Each with its run."""
    rows_like(
        cursor, Submission(phase_id=board.phase_id, kind="predictions"), source="seeded s ORDER BY s.n",
        values={"id": "s.submission", "participation_id": "s.participation", "run_id": "s.run", "created_at": "s.at"},
    )  # fmt: skip
    moments = dict.fromkeys(("created_at", "queued_at", "started_at", "finished_at"), "s.at")
    outcome = {
        "status": "CASE WHEN s.good THEN 'scored' ELSE 'failed' END",
        "verdict": "CASE WHEN s.good THEN 'ok' ELSE 'timeout' END",
    }
    keys = {"id": "s.run", "submission_id": "s.submission", "seed": "s.n"}
    like = Run(attempt=1, checks=1, stages={})
    rows_like(cursor, like, source="seeded s ORDER BY s.n", values=keys | outcome | moments)


def _results(cursor: Any) -> None:
    """The values of scored runs; those of one run lie side by side, as they are written together."""
    known = ", ".join(
        f"({position}, '{key}', '{metric}', '{direction}', {first!r}::float8, {times!r}::float8)"
        for position, (key, metric, direction, first, times) in enumerate(_METRICS)
    )
    one = f"""SELECT m.*, m.first + m.times * s.quality AS value
              FROM (VALUES {known}) m (position, key, metric, direction, first, times) OFFSET 0"""
    rows_like(
        cursor, Result(pillar="bench", n=_ITEMS, state="ok"),
        source=f"seeded s CROSS JOIN LATERAL ({one}) r WHERE s.good",
        values={
            "run_id": "s.run", "position": "r.position", "key": "r.key", "metric": "r.metric",
            "direction": "r.direction", "value": "r.value", "low": f"r.value - {_HALF}", "high": f"r.value + {_HALF}",
        },
    )  # fmt: skip


def _events(cursor: Any, board: Leaderboard) -> None:
    """The history of the board: which scores were its best when they came."""
    first, times = _METRICS[0][3:]
    before = "max(s.quality) OVER (ORDER BY s.n ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"
    rows_like(
        cursor, LeaderboardEvent(leaderboard=board, kind="score"), source="seeded s WHERE s.good ORDER BY s.n",
        values={
            "participation_id": "s.participation", "run_id": "s.run", "at": "s.at",
            "sort_key": f"{first!r}::float8 + {times!r}::float8 * s.quality",
            "is_frontier": f"s.quality > coalesce({before}, -1)",
        },
    )  # fmt: skip


def _scores(quality: float) -> dict[str, Result]:
    made = {}
    for key, metric, direction, first, times in _METRICS:
        value = first + times * quality
        made[key] = Result(
            key=key, metric=metric, direction=direction, value=value, low=value - _HALF, high=value + _HALF, n=_ITEMS,
            state="ok", reason="",
        )  # fmt: skip
    return made


def _entries(cursor: Any, board: Leaderboard, people: Sequence[int], sent: _Sent) -> None:
    """The best run of everybody; of equals the earlier."""
    best: dict[int, int] = {}
    count: dict[int, int] = {}
    for number in np.flatnonzero(sent.good):
        person = int(sent.whose[number])
        count[person] = count.get(person, 0) + 1
        if person not in best or sent.quality[number] > sent.quality[best[person]]:
            best[person] = int(number)
    spec = LeaderboardSpec.model_validate(board.spec)
    offer = columns_offered(spec=CompetitionSpec.model_validate(board.phase.competition.spec))

    def rows() -> Iterator[tuple[Any, ...]]:
        for person, number in best.items():
            ranking = rank(board=spec, results=_scores(float(sent.quality[number])), offer=offer)
            yield (
                board.pk, people[person], sent.runs[number], ranking.sort_key, ranking.key_low, ranking.key_high,
                ranking.unranked, _moment(number), orjson.dumps(ranking.scores).decode(), count[person], False,
            )  # fmt: skip

    columns = (
        "leaderboard_id", "participation_id", "run_id", "sort_key", "key_low", "key_high", "unranked", "achieved_at",
        "scores", "n_submissions", "hidden",
    )  # fmt: skip
    copy_rows(cursor, LeaderboardEntry._meta.db_table, columns, rows())
