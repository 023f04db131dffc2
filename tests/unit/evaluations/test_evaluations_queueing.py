"""Who is next: fair turns, priorities, lanes, what a node can take; and that it stays quick however many wait."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext

from runners.contract import GpuInfo
from tests.factories.queues import KINDS, arena, names, send, take
from tests.factories.server import (
    node_make,
    participation_make,
    run_make,
    submission_make,
    user_make,
)
from touchstone.core.clock import now
from touchstone.evaluations.models import Node, Run, RunStatus
from touchstone.evaluations.queue_selectors import queue_position, queues_summary, waiting_of
from touchstone.evaluations.services import run_claim, runs_sweep
from touchstone.evaluations.services.queueing import LET_THROUGH, QUICK_BURST
from touchstone.evaluations.services.runs import run_enqueue

pytestmark = pytest.mark.django_db


def test_fifty_of_one_alternate_with_the_few_of_another() -> None:
    competition = arena()
    many, few = (participation_make(competition, display_name=name) for name in ("Many", "Few"))
    send(many, 50)
    node = node_make()
    first = [take(node) for _ in range(3)]
    send(few, 4)

    order = names([*first, *(take(node) for _ in range(10))])

    assert order == "MMM" + "FMFMFMFMMM"


def test_who_sends_one_at_a_time_is_served_every_second_time() -> None:
    competition = arena()
    many, single = (participation_make(competition, display_name=name) for name in ("Many", "Single"))
    send(many, 20)
    node = node_make()
    served = []
    send(single)
    for _ in range(12):
        run = take(node)
        served.append(run)
        if names([run]) == "S":
            send(single)  # the next comes when the one before has ended

    assert names(served).count("S") == 6


def test_two_who_send_one_at_a_time_do_not_starve_a_third() -> None:
    """What has ended counts: else each next run of B and C would be a newcomer's, before all that A has waiting."""
    competition = arena()
    people = {name: participation_make(competition, display_name=name) for name in "ABC"}
    send(people["A"], 5)
    send(people["B"]), send(people["C"])
    node = node_make()
    served = ""
    for _ in range(15):
        name = names([take(node)])
        served += name
        if name != "A":
            send(people[name])

    assert Counter(served) == {"A": 5, "B": 5, "C": 5}


def test_a_head_that_nobody_can_take_does_not_stop_those_behind_it() -> None:
    large = send(participation_make(arena(cpus=64), display_name="Large"))[0]
    small = send(participation_make(arena(), display_name="Small"))[0]
    send(participation_make(arena(priority=5), display_name="High"), 5)
    old = now() - timedelta(seconds=settings.TOUCHSTONE_QUEUE_PATIENCE_SECONDS + 1)
    Run.objects.filter(pk__in=[large.pk, small.pk]).update(queued_at=old)
    node = node_make(cpus=8)

    assert runs_sweep().let_through == 1
    assert take(node).pk == small.pk


def test_a_run_is_left_to_others_for_a_while_only() -> None:
    run = send(participation_make(arena()))[0]
    node = node_make()
    node_make()  # able, but it never asks
    Run.objects.filter(pk=run.pk).update(avoid=node, avoid_until=now() + timedelta(seconds=60))
    assert take(node) is None

    Run.objects.filter(pk=run.pk).update(avoid_until=now() - timedelta(seconds=1))

    assert take(node).pk == run.pk


def test_a_newcomer_waits_for_one_run_of_each_other_at_most() -> None:
    """Bounded waiting, whatever the others have queued and go on sending."""
    competition = arena()
    others = [participation_make(competition, display_name=f"Other{i}") for i in range(5)]
    for other in others:
        send(other, 8)
    node = node_make()
    for _ in range(7):
        take(node)
    late = participation_make(competition, display_name="Late")
    mine = send(late)[0]
    assert queue_position(run=mine) <= len(others) + 1

    before = 0
    while take(node).pk != mine.pk:
        send(others[before % 5], 3)
        before += 1

    assert before <= len(others)


def test_two_competitions_share_by_the_time_their_runs_may_take() -> None:
    long, short = arena(), arena(time=25)
    slow = participation_make(long, display_name="Slow")
    quick = participation_make(short, display_name="Quick")
    send(slow, 5)
    send(quick, 12)
    node = node_make()

    served = Counter(names(take(node) for _ in range(10)))

    assert served == {"Q": 8, "S": 2}


def test_one_person_in_many_competitions_has_one_share() -> None:
    greedy = user_make("greedy")
    for _ in range(4):
        send(participation_make(arena(), greedy, display_name="Greedy"), 3)
    send(participation_make(arena(), display_name="Modest"), 3)
    node = node_make()

    assert names(take(node) for _ in range(6)).count("M") == 3


def test_a_higher_priority_is_first_but_not_alone() -> None:
    low = send(participation_make(arena(), display_name="Low"), 3)
    high = participation_make(arena(priority=5), display_name="High")
    send(high, 30)
    node = node_make()
    assert names(take(node) for _ in range(3)) == "HHH"
    assert runs_sweep().let_through == 0

    old = now() - timedelta(seconds=settings.TOUCHSTONE_QUEUE_PATIENCE_SECONDS + 1)
    Run.objects.filter(pk__in=[run.pk for run in low]).update(queued_at=old)

    assert [runs_sweep().let_through, runs_sweep().let_through] == [1, 0]
    held = take(node, end=False)
    assert (held.pk, held.priority) == (low[0].pk, LET_THROUGH)
    assert runs_sweep().let_through == 0  # one at a time
    Run.objects.filter(pk=held.pk).update(status=RunStatus.SCORED)
    assert runs_sweep().let_through == 1
    assert names([take(node), take(node)]) == "LH"


def test_a_run_that_comes_back_keeps_its_place() -> None:
    competition = arena()
    one, two = (participation_make(competition, display_name=name) for name in ("One", "Two"))
    send(one, 3)
    send(two, 3)
    node = node_make()
    first = take(node, end=False)

    run_enqueue(run=first, reason="back")

    assert take(node).pk == first.pk


def test_prediction_files_wait_behind_nothing_long() -> None:
    competition = arena()
    send(participation_make(competition, display_name="Long"), 5)
    node = node_make(slots=1)
    held = take(node, end=False)
    assert held.kind == "model"
    file = send(participation_make(competition, display_name="File"), kind="predictions")[0]

    assert queue_position(run=file) == 1
    assert take(node).pk == file.pk  # the slot is taken, and a file needs none
    assert take(node) is None


def test_long_runs_are_taken_in_between_many_files() -> None:
    competition = arena()
    send(participation_make(competition, display_name="File"), QUICK_BURST + 5, kind="predictions")
    send(participation_make(competition, display_name="Long"), 2)
    node = node_make(slots=1)

    order = names(take(node) for _ in range(QUICK_BURST + 3))

    assert order == "F" * QUICK_BURST + "L" + "FF"


def test_slots_hold_and_a_dead_run_frees_its_own() -> None:
    send(participation_make(arena(), display_name="A"), 3)
    node = node_make(slots=2)
    assert [take(node, end=False) is None for _ in range(3)] == [False, False, True]

    lease = timedelta(seconds=settings.TOUCHSTONE_LEASE_SECONDS)
    Run.objects.filter(pk=Run.objects.filter(status=RunStatus.RUNNING)[0].pk).update(lease_until=now() + lease / 3)

    assert take(node, end=False) is not None


@pytest.mark.parametrize(
    ("needs", "able"),
    [
        ({"cpus": 4}, {"cpus": 4}),
        ({"memory": "2GiB"}, {"memory": 2**31}),
        ({"gpus": 1}, {"gpus": 1, "queues": ("gpu",)}),
    ],
)
def test_a_node_gets_only_what_fits(needs: dict, able: dict) -> None:
    run = send(participation_make(arena(**needs)))[0]
    small = node_make()
    queue = run.queue
    assert queue == ("gpu" if "gpus" in needs else "cpu")
    assert run_claim(node=small, queue=queue, kinds=KINDS) is None
    if "gpus" in able:
        able = able | {"gpus": (GpuInfo(uuid="GPU-1", memory=2**30),)}

    assert take(node_make(**able), queue=queue).pk == run.pk


def test_a_prediction_file_needs_no_device() -> None:
    run = send(participation_make(arena(gpus=1, memory="64GiB")), kind="predictions")[0]

    assert (run.queue, run.gpus, run.memory) == ("cpu", 0, 0)
    assert take(node_make(engine=False), kinds=["predictions"]).pk == run.pk


@pytest.mark.parametrize(
    ("needs", "why"),
    [
        ({"gpus": 2}, "it needs 2 GPUs; no node has them"),
        ({"memory": "64GiB"}, "it needs 64 GiB of memory; the largest node has 1 GiB"),
        ({"cpus": 16}, "it needs 16 CPUs; the largest node has 8"),
        ({"cpus": 8, "memory": "1GiB"}, "it needs 8 CPUs, 1 GiB of memory and the kind model; no node has all of it"),
        ({"cpus": 2, "memory": "1GiB"}, ""),
    ],
)
def test_what_no_node_has_is_said(needs: dict, why: str) -> None:
    node_make(cpus=8, memory=2**29)
    offline = node_make(cpus=2, memory=2**30)
    Node.objects.filter(pk=offline.pk).update(seen_at=None)  # it may come back, so it counts
    run = send(participation_make(arena(**needs)))[0]

    assert waiting_of(run=run).lacking.startswith(why)
    assert bool(waiting_of(run=run).lacking) is bool(why)


def test_the_estimate_counts_slots_and_those_that_run() -> None:
    competition = arena()
    someone = participation_make(competition)
    started = now() - timedelta(hours=1)
    run_make(
        submission_make(someone, kind="model"), RunStatus.SCORED, started_at=started,
        finished_at=started + timedelta(seconds=60),
    )  # fmt: skip
    node = node_make(slots=2)
    runs = send(someone, 6)
    take(node, end=False)

    def seconds(run: Run) -> float:
        estimated = waiting_of(run=run).estimated_start
        assert estimated is not None
        return round((estimated - now()).total_seconds())

    assert [seconds(run) for run in runs[1:4]] == [0, 30, 60]


def test_queues_in_a_few_queries() -> None:
    competition = arena()
    send(participation_make(competition), 3)
    send(participation_make(competition), 2, kind="predictions")
    node = node_make(slots=2, queues=("cpu", "gpu"))
    take(node, end=False, kinds=["model"])

    with CaptureQueriesContext(
        connection,
    ) as asked:
        found = {queue.name: queue for queue in queues_summary()}

    assert len(asked) == 3
    cpu = found["cpu"]
    assert (cpu.nodes_online, cpu.slots, cpu.busy, cpu.waiting, cpu.waiting_quick) == (1, 2, 1, 4, 2)
    assert (found["gpu"].waiting, found["gpu"].oldest) == (0, None)
