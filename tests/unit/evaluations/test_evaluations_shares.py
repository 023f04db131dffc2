"""Shares are shares of seconds, and nobody is passed by for ever: queues simulated through the statement of a claim."""

from __future__ import annotations

from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from tests.factories.queues import arena, names, send, serve, take
from tests.factories.server import node_make, participation_make, user_make
from touchstone.core.clock import now
from touchstone.evaluations.models import QueueTurn, Run, RunStatus
from touchstone.evaluations.queue_selectors import queue_position
from touchstone.evaluations.services import run_cancel
from touchstone.evaluations.services.queueing import place_of
from touchstone.evaluations.shares import LET_THROUGH, NEWCOMERS, turn_settle
from touchstone.evaluations.state import run_transition

pytestmark = pytest.mark.django_db


def test_long_runs_of_one_team_take_no_more_seconds_than_short_ones_of_another(
    django_capture_on_commit_callbacks,
) -> None:
    competition = arena()  # a hundred seconds each, at most
    seconds = {"Slow": 90.0, "Quick": 9.0}
    for name, n in {"Slow": 8, "Quick": 40}.items():
        send(participation_make(competition, display_name=name), n)
    node = node_make()

    spent: Counter[str] = Counter()
    for _ in range(33):
        waits = next(iter(Run.objects.filter(status=RunStatus.QUEUED).order_by("turn", "queued_at")))
        name = waits.submission.participation.display_name
        serve(node, seconds[name], django_capture_on_commit_callbacks)
        spent[name] += seconds[name]

    # Neither is ever ahead by more than one run of the other may take.
    assert abs(spent["Slow"] - spent["Quick"]) <= 100


def test_shares_are_of_seconds_on_several_slots_too(django_capture_on_commit_callbacks) -> None:
    """On four slots, with an event for each end: who sends short runs gets as much of them."""
    competition = arena()
    seconds = {"Slow": 80.0, "Quick": 16.0}
    for name, n in {"Slow": 25, "Quick": 60}.items():
        send(participation_make(competition, display_name=name), n)
    node = node_make(slots=4)
    clock, spent = 0.0, defaultdict(float)
    running: list[tuple[float, Run]] = []
    while clock < 400:
        while (run := take(node, end=False)) is not None:
            running.append((clock + seconds[run.submission.participation.display_name], run))
        running.sort(key=lambda item: item[0])
        clock, run = running.pop(0)
        name = run.submission.participation.display_name
        spent[name] += seconds[name]
        Run.objects.filter(pk=run.pk).update(started_at=now() - timedelta(seconds=seconds[name]))
        with django_capture_on_commit_callbacks(execute=True):
            run_transition(run=run, to=RunStatus.SCORED, reason="")

    assert 0.7 <= spent["Slow"] / spent["Quick"] <= 1.4


def test_endless_newcomers_delay_a_second_run_for_a_bounded_time() -> None:
    competition = arena()
    patient = participation_make(competition, display_name="Patient")
    send(patient, 4)
    node = node_make()
    assert names([take(node)]) == "P"

    order = ""
    while order.count("P") < 3:
        # Two come for each that is served, so what waits of them grows without end.
        send(participation_make(competition))
        send(participation_make(competition))
        order += names([take(node)])
        assert len(order) <= 3 * (NEWCOMERS + 1), order

    assert max(len(part) for part in order.split("P")) <= NEWCOMERS


def test_the_place_in_the_queue_counts_the_newcomers_that_will_pass() -> None:
    competition = arena()
    patient = participation_make(competition, display_name="Patient")
    second = send(patient, 2)[1]
    for _ in range(NEWCOMERS + 15):
        send(participation_make(competition))
    node = node_make()

    place = queue_position(run=second)
    before = 0
    while take(node).pk != second.pk:
        before += 1

    assert place == before + 1 <= NEWCOMERS + 2


def test_a_withdrawn_run_costs_nothing_and_gives_nothing_to_those_before_it(
    django_capture_on_commit_callbacks,
) -> None:
    competition = arena()
    person = participation_make(competition)
    runs = send(person, 4)
    before = [run.turn for run in runs]

    with django_capture_on_commit_callbacks(execute=True):
        run_cancel(run=runs[1], user=person.user)

    after = [Run.objects.get(pk=run.pk).turn for run in runs]
    assert after == [before[0], before[1], before[2] - 100, before[3] - 100]
    assert send(person)[0].turn == before[3]


def test_what_was_not_used_is_no_credit_against_those_who_came_meanwhile(django_capture_on_commit_callbacks) -> None:
    """All four slots are taken by one, whose runs may take long: who comes then is next, and they alternate."""
    competition = arena()
    send(participation_make(competition, display_name="Many"), 20)
    node = node_make(slots=4)
    held = [take(node, end=False) for _ in range(4)]
    send(participation_make(competition, display_name="Late"), 8)
    for run in held:
        with django_capture_on_commit_callbacks(execute=True):
            run_transition(run=run, to=RunStatus.SCORED, reason="")

    assert names(take(node) for _ in range(8)).count("L") >= 3


def test_settling_twice_or_for_a_run_without_a_share_changes_nothing() -> None:
    person = participation_make(arena())
    first, second = send(person, 2)
    Run.objects.filter(pk=first.pk).update(status=RunStatus.SCORED, started_at=now())
    for _ in range(2):
        turn_settle(run_id=first.pk, spent=30.0)
    second.refresh_from_db()
    first.refresh_from_db()
    assert (second.turn - first.turn, first.charge) == (30.0, 30.0)
    assert QueueTurn.objects.get(share=person.user_id).at == second.turn + 100

    QueueTurn.objects.all().delete()
    turn_settle(run_id=first.pk, spent=90.0)
    second.refresh_from_db()
    assert second.turn - first.turn == 30.0


def test_a_run_that_was_let_through_is_settled_among_those_it_came_from() -> None:
    person = participation_make(arena(priority=3))
    first, second = send(person, 2)
    Run.objects.filter(pk=first.pk).update(status=RunStatus.SCORED, started_at=now(), priority=LET_THROUGH)

    turn_settle(run_id=first.pk, spent=30.0)

    second.refresh_from_db()
    assert second.turn - first.turn == 30.0


def test_who_queued_runs_before_shares_were_counted_is_no_newcomer() -> None:
    competition = arena()
    person = participation_make(competition)
    last = send(person, 3)[-1]
    QueueTurn.objects.all().delete()

    assert send(person)[0].turn == last.turn + 100


def test_drawing_and_settling_ask_as_much_with_one_run_as_with_many() -> None:
    competition = arena()
    counts = []
    for n in (1, 30):
        person = participation_make(competition, user_make())
        runs = send(person, n + 1)
        Run.objects.filter(pk=runs[0].pk).update(status=RunStatus.SCORED, started_at=now())
        with CaptureQueriesContext(connection) as drawn:
            place_of(run=runs[-1])
        with CaptureQueriesContext(connection) as settled:
            turn_settle(run_id=runs[0].pk, spent=5.0)
        counts.append((len(drawn), len(settled)))

    assert counts[0] == counts[1]
    assert max(counts[0]) <= 12


@pytest.mark.django_db(transaction=True)
def test_runs_of_one_person_that_end_and_begin_at_once_are_all_counted() -> None:
    competition = arena()
    person = participation_make(competition)
    with transaction.atomic():
        runs = send(person, 6)
    ending, behind = runs[:4], runs[4:]
    Run.objects.filter(pk__in=[run.pk for run in ending]).update(
        status=RunStatus.RUNNING, started_at=now() - timedelta(seconds=10)
    )

    def end(run: Run) -> None:
        try:
            run_transition(run=run, to=RunStatus.SCORED, reason="")
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(end, ending))

    charges = list(Run.objects.filter(status=RunStatus.SCORED).values_list("charge", flat=True))
    turns = [Run.objects.get(pk=run.pk).turn for run in behind]
    assert all(10 <= charge < 60 for charge in charges)
    assert turns == [pytest.approx(ending[0].turn + sum(charges)), pytest.approx(turns[0] + 100)]
    assert QueueTurn.objects.get(share=person.user_id).at == pytest.approx(turns[1] + 100)
