"""The queue stays quick however many wait; rows of an older server are understood."""

from __future__ import annotations

import itertools
import re
from datetime import timedelta
from importlib import import_module
from types import SimpleNamespace

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.factories.queues import KINDS, arena, send, take
from tests.factories.server import (
    node_make,
    participation_make,
    phase_of,
    queued_run,
    run_make,
    submission_make,
)
from touchstone.core.clock import now
from touchstone.evaluations.fitness import capabilities
from touchstone.evaluations.models import Lane, Run, RunStatus
from touchstone.evaluations.queue_selectors import queue_position, waiting_of
from touchstone.evaluations.services import runs_sweep
from touchstone.evaluations.services.queueing import ORDER, first_waiting, waiting

pytestmark = pytest.mark.django_db

ROWS = 100_000
PEOPLE = 200


@pytest.fixture
def crowd(django_db_blocker):
    """100 000 models queued by 200 people, in fair turns, as rows."""
    competition = arena()
    people = [participation_make(competition, display_name=f"P{i}") for i in range(PEOPLE)]
    keys, shares = [p.pk for p in people], [p.user_id for p in people]
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO submissions_submission
                (id, participation_id, phase_id, kind, files, image, message, source, idempotency_key, created_at)
            SELECT gen_random_uuid(), (%s::bigint[])[1 + n %% %s], %s, 'model', '[]', '', '', 'api', n, now()
            FROM generate_series(0, %s - 1) AS n
            """,
            [keys, PEOPLE, phase_of(competition).pk, ROWS],
        )
        cursor.execute(
            """
            INSERT INTO evaluations_run
                (id, submission_id, status, queue, kind, share, turn, attempt, checks, faults, cancel_requested, seed,
                 verdict, code, message, hint, log, environment, stages, counts_quota, created_at, queued_at, cpus)
            SELECT gen_random_uuid(), id, 'queued', 'cpu', 'model', (%s::bigint[])[1 + idempotency_key::int %% %s],
                100 * (idempotency_key::int / %s), 0, 0, 0, false, 1, '', '', '', '', '', '{}', '[]', true, now(),
                now() + idempotency_key::int * interval '1 ms', 1
            FROM submissions_submission WHERE kind = 'model' AND idempotency_key <> ''
            """,
            [shares, PEOPLE, PEOPLE],
        )
        # Both: where autovacuum saw them empty, the check of each foreign key at the end would read the whole table.
        cursor.execute("ANALYZE submissions_submission, evaluations_run")
    return people


def test_a_claim_reads_one_row_of_a_hundred_thousand(crowd) -> None:
    node = node_make()
    able = capabilities(node=node)
    with CaptureQueriesContext(connection) as asked:
        found = first_waiting(node=node, able=able, queue="cpu", lane=Lane.LONG, kinds=KINDS, others=None)
    assert found is not None
    assert len(asked) == 1
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF, COSTS OFF) " + asked[0]["sql"])
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "Index Scan using run_claim" in plan, plan
    assert "Sort" not in plan, plan
    assert re.search(r"Index Scan using run_claim .*rows=1[. ]", plan), plan

    mine = send(participation_make(crowd[0].competition, display_name="Late"))[0]
    with CaptureQueriesContext(connection) as asked:
        waits = waiting_of(run=mine)
    assert waits.position == PEOPLE + 1
    assert len(asked) <= 4
    # One statement per claim, and the whole of it in as many as with a single run in the queue.
    with CaptureQueriesContext(connection) as many:
        take(node, end=False)
    Run.objects.filter(status=RunStatus.QUEUED).exclude(pk=mine.pk).update(status=RunStatus.CANCELLED)
    with CaptureQueriesContext(connection) as one:
        take(node, end=False)
    assert len(many) == len(one)


def test_the_order_of_the_queue_is_that_of_the_index() -> None:
    index = next(index for index in Run._meta.indexes if index.name == "run_claim")
    assert tuple(index.fields) == ("queue", "lane", *ORDER)


def test_positions_are_the_order_of_the_claims() -> None:
    competition = arena()
    for name, n in itertools.product("ABC", (1, 2)):
        queued_run(
            competition, kind="model", lane=Lane.LONG, turn=float(n * 10 % 30), priority=n % 2,
            queued_at=now() - timedelta(seconds=ord(name)),
        )  # fmt: skip
    by_place = sorted(Run.objects.all(), key=lambda run: queue_position(run=run))

    assert [queue_position(run=run) for run in by_place] == list(range(1, 7))
    assert by_place == list(waiting(queue="cpu", lane=Lane.LONG))


def test_runs_of_the_version_before_are_filled_in() -> None:
    """By the migration those that are there; by the sweeper those that a server not yet replaced has made since."""
    fill = import_module("touchstone.evaluations.migrations.0003_queues_fill").fill
    old = queued_run(arena(memory="2GiB"), kind="", lane=Lane.LONG, share=0, queue="gpu")
    model = send(participation_make(arena(memory="2GiB", cpus=4, gpus=2, priority=3)))[0]
    Run.objects.filter(pk=model.pk).update(kind="", cpus=0, memory=0, gpus=0, priority=0)
    fill(None, SimpleNamespace(connection=connection))
    model.refresh_from_db()
    assert (model.kind, model.cpus, model.memory, model.gpus, model.priority) == ("model", 4.0, 2**31, 2, 3)
    old.refresh_from_db()
    assert (old.kind, old.lane, old.queue, old.share) == (
        "predictions", Lane.QUICK, "cpu", old.submission.participation.user_id,
    )  # fmt: skip

    late = run_make(submission_make(participation_make(arena(memory="2GiB")), kind="model"), deadline=now())
    for lost in ({"kind": ""}, {"kind": "model", "lane": Lane.LONG, "cpus": 0, "memory": 0}):
        Run.objects.filter(pk=late.pk).update(deadline=now(), **lost)
        runs_sweep()
        late.refresh_from_db()
        assert (late.kind, late.lane, late.memory) == ("model", Lane.LONG, 2**31)
