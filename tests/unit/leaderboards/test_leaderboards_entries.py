"""Entries: the incremental upsert is the same as counting everything anew."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.factories.server import (
    at,
    board_of,
    competition_make,
    metric,
    node_make,
    participation_make,
    phase_of,
    queued_run,
    result_make,
    run_make,
    submission_make,
)
from tests.factories.threads import together
from touchstone.core.clock import now
from touchstone.evaluations.models import Result, Run, RunStatus
from touchstone.evaluations.services import result_accept
from touchstone.leaderboards.models import Leaderboard, LeaderboardEntry
from touchstone.leaderboards.services import entries_update, leaderboard_rebuild

pytestmark = pytest.mark.django_db

ACC, LOSS = "performance.accuracy", "performance.log_loss"
START = at("2026-01-01T00:00")
FIELDS = ("participation_id", "run_id", "sort_key", "unranked", "achieved_at", "scores", "n_submissions", "hidden")


def scored(participation, value, *, minute: int = 0) -> Run:
    """A run scored through the service, submitted `minute` minutes after the start."""
    submission = submission_make(participation, created_at=START + timedelta(minutes=minute))
    run = run_make(submission, RunStatus.RUNNING, attempt=1, node=node_make(), lease_until=now() + timedelta(minutes=1))
    result_accept(node=run.node, result=result_make(run, value))
    return run


def rows(board: Leaderboard) -> list[tuple]:
    return list(board.entries.order_by("participation_id").values_list(*FIELDS))


def test_best_keeps_the_better_and_the_earlier_of_equals() -> None:
    competition = competition_make()
    team = participation_make(competition)
    late = scored(team, 0.8, minute=9)
    early = scored(team, 0.8, minute=1)
    scored(team, 0.3, minute=0)

    entry = board_of(competition).entries.get()
    assert (entry.run_id, entry.sort_key, entry.n_submissions) == (early.pk, 0.8, 3)
    assert entry.achieved_at == START + timedelta(minutes=1)
    assert late.pk != early.pk


def test_last_keeps_the_newest_even_if_worse_or_unranked() -> None:
    board = {"slug": "main", "rank_by": "performance.accuracy", "entry": "last"}
    competition = competition_make(leaderboards=[board])
    team = participation_make(competition)
    scored(team, 0.9, minute=1)
    newest = scored(team, None, minute=5)
    scored(team, 0.5, minute=3)

    entry = board_of(competition).entries.get()
    assert (entry.run_id, entry.sort_key) == (newest.pk, None)


def test_a_ranked_run_beats_an_unranked_one() -> None:
    competition = competition_make()
    team = participation_make(competition)
    scored(team, None, minute=0)
    good = scored(team, 0.1, minute=1)

    assert board_of(competition).entries.get().run_id == good.pk


def test_repeating_the_update_changes_nothing() -> None:
    competition = competition_make()
    run = scored(participation_make(competition), 0.5)
    before = rows(board_of(competition))

    with transaction.atomic():
        entries_update(run=run)

    assert rows(board_of(competition)) == before


def test_version_rises_with_each_scored_run() -> None:
    competition = competition_make()
    team = participation_make(competition)
    versions = []
    for value in (0.5, 0.4):
        scored(team, value)
        versions.append(board_of(competition).version)

    assert versions == [1, 2]


def test_trust_and_gates_reach_the_entry() -> None:
    boards = [
        {"slug": "main", "rank_by": "trust", "utility": {ACC: 1}, "gates": [f"{LOSS} <= 0.5"]},
        {"slug": "open", "rank_by": "performance.log_loss"},
    ]
    competition = competition_make(leaderboards=boards)
    scored(participation_make(competition), 0.8)

    gated = LeaderboardEntry.objects.get(leaderboard__slug="main")
    assert (gated.sort_key, gated.unranked) == (None, "gate performance.log_loss <= 0.5: 0.7")
    assert gated.scores["trust"]["value"] == 0.8
    assert LeaderboardEntry.objects.get(leaderboard__slug="open").sort_key == -0.7


VALUES = st.one_of(st.none(), st.sampled_from([0.0, 0.25, 0.5, 0.5, 1.0]))
STEP = st.tuples(st.integers(0, 2), VALUES, st.integers(0, 3))


@pytest.mark.django_db(transaction=True)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(STEP, max_size=10), st.sampled_from(["best", "last"]))
def test_rebuild_equals_increment_in_any_order(steps, rule) -> None:
    """Runs arrive in an order unlike that of their submission, with ties and undefined values."""
    competition = competition_make(leaderboards=[{"slug": "main", "rank_by": "performance.accuracy", "entry": rule}])
    teams = [participation_make(competition) for _ in range(3)]
    phase = phase_of(competition)
    for team, value, minute in steps:
        submission = submission_make(teams[team], phase, created_at=START + timedelta(minutes=minute), files=[])
        run = run_make(submission, RunStatus.SCORED)
        Result.objects.create(
            run=run, position=0, key=ACC, metric=ACC, pillar="performance", title="",
            value=value, direction="maximise", state="ok" if value is not None else "undefined",
        )  # fmt: skip
        with transaction.atomic():
            entries_update(run=Run.objects.get(pk=run.pk))
    board = board_of(competition)
    incremental = rows(board)

    assert leaderboard_rebuild(leaderboard=board) == len(incremental)

    assert rows(board) == incremental
    assert sum(row[-2] for row in incremental) == len(steps)


def test_rebuild_keeps_what_was_hidden() -> None:
    competition = competition_make()
    scored(participation_make(competition), 0.5)
    LeaderboardEntry.objects.update(hidden=True)

    leaderboard_rebuild(leaderboard=board_of(competition))

    assert LeaderboardEntry.objects.get().hidden


@pytest.mark.django_db(transaction=True)
def test_rebuild_and_scoring_at_once_do_not_block_each_other() -> None:
    competition = competition_make()
    node = node_make()
    runs = [
        queued_run(
            competition, status=RunStatus.RUNNING, attempt=1, node=node, lease_until=now() + timedelta(minutes=1)
        )
        for _ in range(6)
    ]
    board = board_of(competition)

    answers = together([
        *(lambda run=run: result_accept(node=node, result=result_make(run)) for run in runs),
        *(lambda: leaderboard_rebuild(leaderboard=board) for _ in range(3)),
    ])  # fmt: skip

    assert not [answer for answer in answers if isinstance(answer, Exception)]
    assert board.entries.count() == 6


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize(
    ("table", "column"), [("leaderboards_leaderboardentry", "sort_key"), ("evaluations_result", "value")]
)
def test_the_database_itself_refuses_what_is_no_number(table, column, number) -> None:
    run = queued_run(status=RunStatus.SCORED)
    if table == "evaluations_result":
        made = metric(value=0.5)
        row = Result.objects.create(run=run, position=0, key=made.key, direction="maximise", state="ok", value=0.5)
    else:
        board = board_of(run.submission.phase.competition)
        row = LeaderboardEntry.objects.create(
            leaderboard=board, participation=run.submission.participation, run=run, sort_key=0.5, achieved_at=now()
        )

    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE {table} SET {column} = %s::float8 WHERE id = %s", [number, row.pk])
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {table} SET {column} = NULL WHERE id = %s", [row.pk])
