"""A competition with many submissions, written past the services by COPY. For a scratch database only.

Rows are what the services would have written: 85 of 100 submissions scored, best run of each participant kept as its
entry, ranked by the platform's own `rank`.
"""

from __future__ import annotations

import json
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from django.db import connection

from runners.spec.models import CompetitionSpec, LeaderboardSpec
from touchstone.accounts.models import User
from touchstone.competitions.models import Competition, Member, Participation
from touchstone.competitions.services import competition_import
from touchstone.evaluations.models import Result
from touchstone.leaderboards.models import Leaderboard, LeaderboardEntry
from touchstone.leaderboards.ranking import columns_offered, rank

#: Key, metric, direction, and how a quality between 0 and 1 becomes a value.
_METRICS = (
    ("performance.balanced_accuracy", "performance.balanced_accuracy", "maximise", lambda q: 0.5 + 0.25 * q),
    ("performance.accuracy", "performance.accuracy", "maximise", lambda q: 0.52 + 0.25 * q),
    ("performance.log_loss", "performance.log_loss", "minimise", lambda q: 0.75 - 0.2 * q),
    ("fairness.statistical_parity_difference[sex]", "fairness.statistical_parity_difference", "zero",
     lambda q: 0.1 - 0.3 * q),
    ("fairness.disparate_impact[sex]", "fairness.disparate_impact", "one", lambda q: 1.3 - 0.8 * q),
)  # fmt: skip
_PER_PARTICIPANT = 10
_SCORED = 0.85
_BEGIN = datetime(2026, 2, 1, tzinfo=UTC)


def seed(size: int) -> Leaderboard:
    """A board with `size` submissions by a tenth as many participants, some far busier than others."""
    competition = _competition(f"bench-{size}")
    board = Leaderboard.objects.select_related("phase__competition").get(competition=competition)
    people = _people(competition, max(2, size // _PER_PARTICIPANT))
    rng = np.random.default_rng(size)
    whose = _whose(rng, size, len(people))
    quality = np.clip(rng.normal(0.5, 0.15, size), 0, 1)
    scored = rng.random(size) < _SCORED
    runs = [uuid.UUID(bytes=rng.bytes(16)) for _ in range(size)]
    with connection.cursor() as cursor:
        # The rows fit together by construction; checking each foreign key would double the time.
        cursor.execute("SET session_replication_role = replica")
        _copy(cursor, "submissions_submission", _submissions(board, people, whose, runs))
        _copy(cursor, "evaluations_run", _runs(runs, scored))
        _copy(cursor, "evaluations_result", _results(runs, quality, scored))
        cursor.execute("SET session_replication_role = DEFAULT")
    _entries(board, people, whose, quality, scored, runs)
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


def _people(competition: Competition, count: int) -> list[Participation]:
    names = [f"{competition.slug}-{number:05d}" for number in range(count)]
    users = User.objects.bulk_create(
        [User(username=name, email=f"{name}@bench.invalid", password="!") for name in names], batch_size=2000
    )
    made = Participation.objects.bulk_create(
        [Participation(competition=competition, user=user, display_name=user.username) for user in users],
        batch_size=2000,
    )
    Member.objects.bulk_create(
        [Member(competition=competition, participation=each, user_id=each.user_id) for each in made], batch_size=2000
    )
    return made


def _whose(rng: np.random.Generator, size: int, people: int) -> np.ndarray[Any, Any]:
    """Index of the participant of each submission: everybody has one, the rest fall as 1/sqrt(place)."""
    weights = 1 / np.sqrt(np.arange(1, people + 1))
    rest = rng.choice(people, size - people, p=weights / weights.sum())
    return rng.permutation(np.concatenate([np.arange(people), rest]))


def _moment(number: int) -> datetime:
    return _BEGIN + timedelta(seconds=7 * number)


def _submissions(
    board: Leaderboard, people: Sequence[Participation], whose: Iterable[int], runs: Sequence[uuid.UUID]
) -> Iterator[dict[str, Any]]:
    for number, (person, run) in enumerate(zip(whose, runs, strict=True)):
        yield {
            "id": _submission_id(run), "participation_id": people[person].pk, "phase_id": board.phase_id,
            "run_id": run, "kind": "predictions",
            "files": "[]", "image": "", "message": "", "source": "api", "idempotency_key": "",
            "created_at": _moment(number),
        }  # fmt: skip


def _submission_id(run: uuid.UUID) -> uuid.UUID:
    return uuid.UUID(int=run.int ^ 1)


def _runs(runs: Sequence[uuid.UUID], scored: Iterable[bool]) -> Iterator[dict[str, Any]]:
    for number, (run, good) in enumerate(zip(runs, scored, strict=True)):
        at = _moment(number)
        yield {
            "id": run, "submission_id": _submission_id(run), "status": "scored" if good else "failed", "queue": "cpu",
            "attempt": 1, "checks": 1, "faults": 0, "cancel_requested": False, "seed": number,
            "verdict": "ok" if good else "timeout", "code": "", "message": "", "hint": "", "log": "",
            "environment": "{}", "stages": "{}", "counts_quota": True, "created_at": at, "queued_at": at,
            "started_at": at, "finished_at": at,
        }  # fmt: skip


def _results(runs: Sequence[uuid.UUID], quality: Iterable[float], scored: Iterable[bool]) -> Iterator[dict[str, Any]]:
    for run, q, good in zip(runs, quality, scored, strict=True):
        for position, result in enumerate(_scores(float(q)) if good else ()):
            yield {
                "run_id": run, "position": position, "key": result.key, "metric": result.metric, "pillar": "bench",
                "title": "", "value": result.value, "low": result.low, "high": result.high, "n": result.n, "unit": "",
                "direction": result.direction, "state": "ok", "reason": "", "parameters": "{}", "details": "{}",
                "seconds": 0.0,
            }  # fmt: skip


def _scores(quality: float) -> list[Result]:
    made = []
    for key, metric, direction, value_of in _METRICS:
        value = value_of(quality)
        made.append(
            Result(
                key=key, metric=metric, direction=direction, value=value, low=value - 0.01, high=value + 0.01, n=1000,
                state="ok", reason="",
            )
        )  # fmt: skip
    return made


def _copy(cursor: Any, table: str, rows: Iterator[dict[str, Any]]) -> None:
    first = next(rows)
    columns = list(first)
    with cursor.cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy:
        copy.write_row(list(first.values()))
        for row in rows:
            copy.write_row(list(row.values()))


def _entries(
    board: Leaderboard,
    people: Sequence[Participation],
    whose: Sequence[int],
    quality: Sequence[float],
    scored: Sequence[bool],
    runs: Sequence[uuid.UUID],
) -> None:
    """The best run of everybody; of equals the earlier."""
    best: dict[int, int] = {}
    count: dict[int, int] = {}
    for number in np.flatnonzero(scored):
        person = int(whose[number])
        count[person] = count.get(person, 0) + 1
        if person not in best or quality[number] > quality[best[person]]:
            best[person] = int(number)
    spec = LeaderboardSpec.model_validate(board.spec)
    offer = columns_offered(spec=CompetitionSpec.model_validate(board.phase.competition.spec))
    made = []
    for person, number in best.items():
        results = {result.key: result for result in _scores(float(quality[number]))}
        ranking = rank(board=spec, results=results, offer=offer)
        made.append(
            LeaderboardEntry(
                leaderboard=board, participation=people[person], run_id=runs[number], sort_key=ranking.sort_key,
                key_low=ranking.key_low, key_high=ranking.key_high, unranked=ranking.unranked,
                achieved_at=_moment(number), scores=ranking.scores, n_submissions=count[person],
            )
        )  # fmt: skip
    LeaderboardEntry.objects.bulk_create(made, batch_size=1000)
