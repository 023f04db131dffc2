"""What a person sees of a run."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from tests.factories.server import (
    competition_make,
    node_make,
    participation_make,
    phase_of,
    queued_run,
    run_make,
    submission_make,
)
from touchstone.competitions.models import Phase
from touchstone.core.clock import now
from touchstone.evaluations.events import event_add
from touchstone.evaluations.explanations import explain
from touchstone.evaluations.models import Node, Result, Run, RunStatus
from touchstone.evaluations.selectors import queue_position, run_events, run_view

pytestmark = pytest.mark.django_db


def phases(feedback: str):
    return {"phases": [{"slug": "main", "split": "test", "opens": "2020-01-01T00:00Z", "feedback": feedback}]}


def scored(feedback: str = "full") -> Run:
    run = queued_run(competition_make(**phases(feedback)), status=RunStatus.SCORED, log="secret log")
    Result.objects.create(
        run=run, position=0, key="performance.accuracy", metric="performance.accuracy", title="Accuracy", value=0.8149,
        low=0.8, high=0.9, direction="maximise", state="ok", details={"curve": [0.8149]},
    )  # fmt: skip
    return run


def seen(run: Run, who: str = "participant"):
    competition = run.submission.phase.competition
    user = run.submission.participation.user if who == "participant" else competition.owner
    return run_view(run=run, user=user)


def test_full_feedback() -> None:
    view = seen(scored())

    assert [(r.value, r.low, r.details) for r in view.results] == [(0.8149, 0.8, {"curve": [0.8149]})]
    assert (view.results_hidden, view.log, view.is_final) == ("", "secret log", True)


def test_rounded_feedback_has_two_decimals_and_nothing_finer() -> None:
    run = scored("rounded")

    assert [(r.value, r.low, r.high, r.details) for r in seen(run).results] == [(0.81, None, None, {})]
    assert [(r.value, r.low) for r in seen(run, "owner").results] == [(0.8149, 0.8)]
    assert Result.objects.get().value == 0.8149


@pytest.mark.parametrize("feedback", ["none", "ladder"])
def test_no_feedback_is_state_only(feedback) -> None:
    run = scored(feedback)

    view = seen(run)

    assert (view.results, view.log, view.status) == ([], "", "scored")
    assert "no feedback" in view.results_hidden
    assert view.explanation.why == view.results_hidden
    assert len(seen(run, "owner").results) == 1
    assert seen(run, "owner").log == "secret log"


def test_position_and_estimate() -> None:
    competition = competition_make()
    started = now() - timedelta(hours=2)
    for seconds in (40, 60, 80):
        run_make(
            submission_make(participation_make(competition)), RunStatus.SCORED, started_at=started,
            finished_at=started + timedelta(seconds=seconds),
        )  # fmt: skip
    first = queued_run(competition, queued_at=now() - timedelta(minutes=2))
    second = queued_run(competition, queued_at=now() - timedelta(minutes=1))
    queued_run(competition, queue="gpu", queued_at=now() - timedelta(minutes=9))
    node_make()

    assert [queue_position(run=run) for run in (first, second)] == [1, 2]
    view = seen(second)
    assert (view.position, view.nodes_online) == (2, 1)
    assert view.estimated_start == pytest.approx(now() + timedelta(seconds=60), abs=timedelta(seconds=2))
    assert "number 2 in the queue" in view.explanation.why


def test_nobody_is_online() -> None:
    run = queued_run()
    assert "No worker that can run a submission of kind predictions is online" in seen(run).explanation.why

    node = node_make()
    assert seen(run).nodes_online == 1
    Node.objects.filter(pk=node.pk).update(seen_at=now() - timedelta(seconds=61))
    assert seen(run).nodes_online == 0
    assert seen(run).estimated_start is None


def test_a_node_without_an_engine_runs_predictions_only() -> None:
    run = queued_run(competition_make(submission={"kinds": ["predictions", "code"]}))
    node_make(engine=False)

    assert seen(run).nodes_online == 1
    type(run.submission).objects.update(kind="code")
    Run.objects.update(kind="code")
    assert seen(Run.objects.get(pk=run.pk)).nodes_online == 0


def test_no_history_no_estimate() -> None:
    run = queued_run()
    node_make()

    assert seen(run).estimated_start is None
    assert seen(run).position == 1


def test_events_after_a_number() -> None:
    run = queued_run()
    for i in range(4):
        event_add(run=run, kind="note", message=f"m{i}")

    assert [e.message for e in run_events(run=run, user=None, after=2)] == ["m2", "m3"]


def test_limits_that_the_engine_does_not_enforce_are_shown() -> None:
    run = scored()
    Run.objects.update(engine={"name": "bubblewrap", "ok": True, "not_enforced": ["disk"]})

    assert seen(Run.objects.get(pk=run.pk)).not_enforced == ["disk"]


@pytest.mark.parametrize("status", list(RunStatus))
@pytest.mark.parametrize(
    "verdict", ["", "timeout", "memory", "output_limit", "crash", "invalid_output", "scorer", "platform"]
)
def test_every_state_is_explained_in_three_sentences(status, verdict) -> None:
    run = Run(status=status, verdict=verdict, queue="cpu", seed=1)
    run.counts_quota = verdict not in ("", "scorer", "platform")
    run.message = "because" if status == RunStatus.REJECTED else ""

    told = explain(run=run)

    assert all((told.what, told.why, told.next))
    if status == RunStatus.FAILED:
        blamed = {"scorer": "organiser", "platform": "platform", "": "platform"}.get(verdict, "you")
        assert told.fault == blamed
        assert ("does not count" in told.next) == (blamed != "you")


def test_what_the_node_said_is_shown() -> None:
    run = Run(status=RunStatus.FAILED, verdict="memory", message="1.2 GiB of 1 GiB", hint="smaller batches.", seed=1)

    told = explain(run=run)

    assert (told.why, told.next) == ("1.2 GiB of 1 GiB", "smaller batches. It counts against your quota.")


def test_nobody_is_sent_to_a_log_they_do_not_get() -> None:
    hidden, told = (scored(feedback) for feedback in ("none", "full"))
    for run in (hidden, told):
        Run.objects.filter(pk=run.pk).update(status=RunStatus.FAILED, verdict="crash", message="", hint="")

    assert "organisers only" in seen(Run.objects.get(pk=hidden.pk)).explanation.next
    assert "organisers only" not in seen(Run.objects.get(pk=hidden.pk), "owner").explanation.next
    assert "organisers only" not in seen(Run.objects.get(pk=told.pk)).explanation.next


def test_no_text_points_to_a_place() -> None:
    """The same words are read on a page, in a terminal and in JSON."""
    texts = []
    for status in RunStatus:
        for verdict in ("", "timeout", "memory", "output_limit", "crash", "invalid_output", "scorer", "platform"):
            told = explain(run=Run(status=status, verdict=verdict, queue="cpu", seed=1), position=2)
            texts += [told.what, told.why, told.next]

    assert not [text for text in texts if re.search(r"\b(below|above|this page|sample)\b", text)]


def test_a_phase_that_is_over_shows_what_it_hid() -> None:
    run = scored("none")
    Phase.objects.update(closes=now() - timedelta(days=1))
    run = Run.objects.get(pk=run.pk)

    view = seen(run)

    assert [(r.value, r.low) for r in view.results] == [(0.8149, 0.8)]
    assert (view.results_hidden, view.log) == ("", "")  # the inputs stay secret


def test_the_estimate_is_never_past() -> None:
    competition = competition_make()
    started = now()
    run_make(
        submission_make(participation_make(competition)), RunStatus.SCORED, started_at=started,
        finished_at=started - timedelta(hours=1),
    )  # fmt: skip
    queued_run(competition, queued_at=now() - timedelta(minutes=2))
    run = queued_run(competition, queued_at=now() - timedelta(minutes=1))
    paused = queued_run(competition, queued_at=now() - timedelta(days=9), not_before=now() + timedelta(minutes=9))
    node_make()
    before = now()

    assert seen(run).estimated_start >= before
    assert seen(paused).estimated_start == paused.not_before


SAID = [
    ("stage", "metric:hsj", {"stage": "metric:hsj", "accuracy": 0.8149}),
    ("progress", "hop_skip_jump: 64 items", {"stage": "metric:hsj", "share": 0.5, "correct": 64}),
    ("progress", "8149", {"share": "8149"}),
    ("note", "8149 of 10000 right", {"value": 8149}),
    ("log", "8149", {}),
]


def told_by_a_node(run: Run) -> None:
    event_add(run=run, kind="status", message="Attempt 1 on node n.", data={"to": "running"})
    for kind, message, data in SAID:
        event_add(run=run, kind=kind, message=message, data={**data, "node_at": "2026-01-01T00:00:00.8149Z"})


@pytest.mark.parametrize("feedback", ["none", "rounded", "ladder"])
def test_less_than_full_feedback_tells_stages_and_shares_and_no_numbers(feedback) -> None:
    run = scored(feedback)
    told_by_a_node(run)
    events = run_events(run=run, user=run.submission.participation.user)

    assert [(e.kind, e.message, e.data) for e in events] == [
        ("status", "Attempt 1 on node n.", {"to": "running"}),
        ("stage", "metric:hsj", {"stage": "metric:hsj"}),
        ("progress", "metric:hsj", {"stage": "metric:hsj", "share": 0.5}),
        ("progress", "working", {"stage": "working"}),
    ]
    assert [e.message for e in seen(run).events] == [e.message for e in events]
    assert "8149" not in repr([(e.message, e.data) for e in seen(run).events])
    assert len(run_events(run=run, user=run.submission.phase.competition.owner)) == 1 + len(SAID)
    assert "64 items" in run.events.all()[2].message  # kept as they came


def test_full_feedback_tells_everything() -> None:
    run = scored("full")
    told_by_a_node(run)

    assert [e.message for e in run_events(run=run, user=run.submission.participation.user)][1:] == [
        m for _, m, _ in SAID
    ]


def test_stages_keep_their_order() -> None:
    run = queued_run(stages={"predict": 1.0, "fetch": 0.1, "a": 2.0})

    assert list(Run.objects.get(pk=run.pk).stages.items()) == [("predict", 1.0), ("fetch", 0.1), ("a", 2.0)]
    Run.objects.filter(pk=run.pk).update(stages={"z": 1.0, "b": 2.0})
    assert list(Run.objects.get(pk=run.pk).stages) == ["z", "b"]
    assert Run().stages == {}


def test_a_view_costs_few_queries(django_assert_max_num_queries) -> None:
    competition = competition_make()
    node_make()
    for _ in range(5):
        run = queued_run(competition)
    run = Run.objects.select_related("submission__phase__competition", "submission__phase__split").get(pk=run.pk)
    assert phase_of(competition)

    with django_assert_max_num_queries(8):
        run_view(run=run, user=run.submission.participation.user)
