"""A node's message that arrives twice, because its answer was lost, counts once."""

from __future__ import annotations

import threading

import pytest
from django.db import connection

from runners.contract import EventBatch, RunEvent
from tests.factories.server import queued_run, result_make
from touchstone.evaluations.models import RunStatus
from touchstone.evaluations.services import events_append, node_create, result_accept, run_claim

AT = "2026-01-01T00:00:00Z"


def claim(node, key=""):
    return run_claim(node=node, queue="cpu", kinds=["predictions"], key=key)


def event(number: int, kind: str = "note", **data) -> RunEvent:
    return RunEvent(at=AT, kind=kind, message=f"{number}\n", data={"n": number, **data})


@pytest.fixture
def node():
    return node_create(name="n1")[0]


@pytest.mark.django_db
def test_a_claim_that_is_repeated_gets_the_same_run(node) -> None:
    queued_run()
    queued_run()

    first, again = claim(node, "k1"), claim(node, "k1")
    other = claim(node, "k2")

    assert first is not None
    assert again is not None
    assert other is not None
    assert (first.run, first.attempt) == (again.run, again.attempt) == (first.run, 1)
    assert other.run != first.run


@pytest.mark.django_db
def test_claims_without_a_key_are_claims_of_their_own(node) -> None:
    queued_run()
    queued_run()

    first, second = claim(node), claim(node)

    assert first is not None
    assert second is not None
    assert first.run != second.run


@pytest.mark.django_db
def test_another_node_s_key_is_another_claim(node) -> None:
    queued_run()

    assert claim(node, "k1") is not None
    assert claim(node_create(name="n2")[0], "k1") is None


@pytest.mark.django_db
def test_a_key_is_forgotten_when_its_run_is_reported(node) -> None:
    run = queued_run()
    claim(node, "k1")
    run.refresh_from_db()
    result_accept(node=node, result=result_make(run))

    assert claim(node, "k1") is None
    run.refresh_from_db()
    assert "claim" not in run.environment


@pytest.mark.django_db(transaction=True)
def test_a_claim_and_its_twin_at_the_same_moment_get_one_run(node) -> None:
    queued_run()
    queued_run()
    found, start = [], threading.Barrier(2)

    def ask() -> None:
        try:
            start.wait(10)
            found.append(claim(node, "k1"))
        finally:
            connection.close()

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({spec.run for spec in found}) == 1


@pytest.mark.django_db
def test_numbered_events_are_taken_once(node) -> None:
    run = queued_run()
    claim(node)
    batch = EventBatch(events=(event(1), event(2, "log", public=True), event(3)))
    more = EventBatch(events=(*batch.events, event(4), event(5, "log", public=False)))

    for each in (batch, batch, more, more):
        events_append(node=node, run_id=run.pk, attempt=1, batch=each)

    run.refresh_from_db()
    assert [e.data["n"] for e in run.events.order_by("sequence") if "n" in e.data] == [1, 3, 4]
    assert (run.sample_log, run.log) == ("2\n", "5\n")


@pytest.mark.django_db
def test_the_next_attempt_counts_from_the_beginning(node) -> None:
    run = queued_run()
    claim(node)
    events_append(node=node, run_id=run.pk, attempt=1, batch=EventBatch(events=(event(1), event(2))))
    run.refresh_from_db()
    result_accept(node=node, result=result_make(run, verdict="platform", code="judge_crashed"))
    run.refresh_from_db()
    assert run.status == RunStatus.QUEUED
    run.not_before = None
    run.save()

    claim(node)
    events_append(node=node, run_id=run.pk, attempt=2, batch=EventBatch(events=(event(1),)))

    assert [(e.attempt, e.data["n"]) for e in run.events.order_by("sequence") if "n" in e.data] == [
        (1, 1), (1, 2), (2, 1),
    ]  # fmt: skip


@pytest.mark.django_db
def test_events_without_numbers_are_all_taken(node) -> None:
    run = queued_run()
    claim(node)
    batch = EventBatch(events=(RunEvent(at=AT, kind="note", message="x"),))

    for _ in range(2):
        events_append(node=node, run_id=run.pk, attempt=1, batch=batch)

    assert run.events.filter(kind="note", message="x").count() == 2
