"""Who is told of what, and what they are not told."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.db import transaction

from tests.factories.reruns import again, evaluate
from tests.factories.reruns import scored as rated
from tests.factories.server import (
    board_of,
    competition_make,
    metric,
    node_make,
    participation_make,
    phase_of,
    result_make,
    run_make,
    submission_make,
    user_make,
)
from tests.factories.threads import together
from touchstone.accounts.leaving import account_delete, export_archive
from touchstone.competitions.announcing import announce
from touchstone.competitions.freezing import phase_freeze, phase_unfreeze
from touchstone.competitions.models import Competition, Phase
from touchstone.core.clock import now
from touchstone.evaluations.models import Run, RunStatus
from touchstone.evaluations.services import result_accept, run_cancel
from touchstone.evaluations.state import run_transition
from touchstone.hooks.events import EVENTS, OF_SUBMISSIONS, phases_event
from touchstone.hooks.models import Delivery, Webhook
from touchstone.hooks.services import webhook_create, webhook_update
from touchstone.leaderboards.services import entry_hide
from touchstone.submissions.services import submission_create
from touchstone.submissions.withdrawing import submission_withdraw

pytestmark = pytest.mark.django_db
URL = "https://hooks.example.org/x"


def listen(user: Any, competition: Competition | None = None, events: Any = None) -> Webhook:
    wanted = events or (EVENTS if competition else OF_SUBMISSIONS)
    return webhook_create(user=user, url=URL, events=wanted, competition=competition).webhook


def told(hook: Webhook) -> list[str]:
    return list(hook.deliveries.order_by("created_at").values_list("event", flat=True))


def body(hook: Webhook, event: str) -> dict[str, Any]:
    return json.loads(hook.deliveries.get(event=event).body)


@pytest.fixture
def small() -> Competition:
    return competition_make(user_make("olga"), slug="small")


@pytest.fixture
def paul(small: Competition) -> Any:
    return participation_make(small, user_make("paul"), display_name="Paul's team")


def scored(submission: Any, value: float = 0.123456) -> Run:
    node = node_make()
    run = run_make(submission, RunStatus.RUNNING, node=node, attempt=1, lease_until=now() + timedelta(minutes=1))
    result_accept(node=node, result=result_make(run, results=(metric(value=value, low=0.1, high=0.2),)))
    run.refresh_from_db()
    return run


def test_a_submission_from_arrival_to_score(small: Competition, paul: Any) -> None:
    organisers, own = listen(small.owner, small), listen(paul.user)
    others = listen(user_make("eve"))

    file = ContentFile(b"id,prediction\n1,yes\n", name="answers.csv")
    made = submission_create(user=paul.user, phase=phase_of(small), kind="predictions", file=file)
    scored(submission_make(paul))

    for hook in (organisers, own):
        assert told(hook)[:2] == ["submission.received", "submission.scored"]
    assert "board.changed" in told(organisers)
    assert told(others) == []
    received = body(own, "submission.received")
    assert (received["version"], received["data"]["submission"]["id"]) == (1, str(made.pk))
    assert received["data"]["submission"]["url"] == f"http://testserver/s/{made.pk}/"
    result = body(own, "submission.scored")["data"]
    assert result["submission"]["participant"] == "Paul's team"
    assert result["results"][0] == {
        "key": "performance.accuracy", "value": 0.123456, "low": 0.1, "high": 0.2, "unit": "", "direction": "maximise",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("feedback", "results", "hidden"),
    [("none", [], True), ("rounded", [(0.12, None)], False), ("full", [(0.123456, 0.1)], False)],
)
def test_what_the_phase_keeps_back_is_not_told(
    small: Competition, paul: Any, feedback: str, results: list[Any], hidden: bool
) -> None:
    Phase.objects.update(feedback=feedback)
    hooks = [listen(small.owner, small), listen(paul.user)]

    scored(submission_make(paul, Phase.objects.get()))

    for hook in hooks:
        data = body(hook, "submission.scored")["data"]
        assert [(r["value"], r["low"]) for r in data["results"]] == results
        assert bool(data["results_hidden"]) is hidden


@pytest.mark.parametrize(
    ("to", "event"),
    [
        (RunStatus.FAILED, "submission.failed"), (RunStatus.CANCELLED, "submission.cancelled"),
        (RunStatus.REJECTED, "submission.rejected"),
    ],
)  # fmt: skip
def test_other_ends(small: Competition, paul: Any, to: RunStatus, event: str) -> None:
    own = listen(paul.user)
    before = RunStatus.CHECKING if to == RunStatus.REJECTED else RunStatus.QUEUED
    run = run_make(submission_make(paul), before)

    run_transition(run=run, to=to, reason="It is over.", message="secret label 17", code="x")

    data = body(own, event)["data"]
    assert data["submission"]["status"] == to
    assert "secret label" not in own.deliveries.get().body


def test_what_is_evaluated_again_is_told_once_it_is_shown(small: Competition) -> None:
    old = rated(small, 0.9)
    own = listen(old.participation.user)
    again(old)
    phase_freeze(phase=phase_of(small), by=small.owner, reason="The labels are being looked at.")
    evaluate(0.7)
    assert told(own) == []  # the page shows the old results

    phase_unfreeze(phase=phase_of(small), by=small.owner)

    data = body(own, "submission.scored")["data"]
    assert (data["evaluated_again"], data["results"][0]["value"]) == (True, 0.7)
    Delivery.objects.all().delete()
    again(old)
    evaluate(0.6)
    assert body(own, "submission.scored")["data"]["results"][0]["value"] == 0.6


def test_withdrawn_and_cancelled(small: Competition, paul: Any) -> None:
    own = listen(paul.user)
    run = run_make(submission_make(paul))
    submission_withdraw(submission=run.submission, by=paul.user)
    assert told(own) == ["submission.cancelled", "submission.withdrawn"]
    other = run_make(submission_make(paul))
    run_cancel(run=other, user=paul.user)
    assert told(own)[2:] == ["submission.cancelled"]


def test_made_up_submissions_are_told_to_nobody(small: Competition, paul: Any) -> None:
    organisers = listen(small.owner, small)
    check = submission_make(paul, is_check=True)
    copy = submission_make(paul, original=submission_make(paul))
    for made in (check, copy):
        run_transition(run=run_make(made), to=RunStatus.FAILED, reason="x")
    assert told(organisers) == []


def test_only_what_was_asked_for(small: Competition, paul: Any) -> None:
    hook = listen(small.owner, small, ["submission.failed"])
    off = listen(small.owner, small)
    webhook_update(webhook=off, by=small.owner, enabled=False)
    scored(submission_make(paul))
    assert (told(hook), told(off)) == ([], [])


def test_a_board_is_told_once_a_minute(small: Competition, paul: Any, django_assert_num_queries: Any) -> None:
    hook = listen(small.owner, small, ["board.changed"])
    scored(submission_make(paul))
    entry = board_of(small).entries.get()
    for hidden in (True, False, True):
        entry_hide(entry=entry, hidden=hidden)

    first = hook.deliveries.get()

    assert first.next_at > now() + timedelta(seconds=50)
    data = json.loads(first.body)["data"]
    assert (data["competition"], data["phase"], data["board"]) == ("small", "main", "main")
    Delivery.objects.update(status="delivered")
    entry_hide(entry=entry, hidden=False)
    assert hook.deliveries.count() == 2


def test_who_organises_no_more_hears_no_more(small: Competition, paul: Any) -> None:
    helper = user_make("helper")
    small.organisers.add(helper)
    hook = listen(helper, small)
    small.organisers.remove(helper)
    Phase.objects.update(opens=now())
    scored(submission_make(paul))
    phases_event()
    assert told(hook) == []


def test_phases_open_and_close_once(small: Competition) -> None:
    hook = listen(small.owner, small, ["competition.opened", "competition.closed"])
    assert phases_event() == 0  # it was open before anybody listened
    Phase.objects.update(opens=now(), closes=now())
    assert (phases_event(), phases_event()) == (2, 0)
    assert told(hook) == ["competition.opened", "competition.closed"]
    Phase.objects.update(closes=now() + timedelta(hours=1))
    assert phases_event() == 0


@pytest.mark.django_db(transaction=True)
def test_two_clocks_tell_of_a_phase_once() -> None:
    small = competition_make(user_make())
    hook = listen(small.owner, small, ["competition.opened"])
    Phase.objects.update(opens=now())

    def first() -> int:
        with transaction.atomic():
            count = phases_event()
            time.sleep(0.3)  # the other one looks meanwhile
        return count

    assert sorted(together([first, first])) == [0, 1]
    assert told(hook) == ["competition.opened"]


def test_announcements(small: Competition, paul: Any) -> None:
    organisers, own = listen(small.owner, small), listen(paul.user)
    announce(competition=small, by=small.owner, title="News", markdown="The labels are 1, 2, 3.")
    data = body(organisers, "announcement")["data"]
    assert (data["title"], data["audience"]) == ("News", "everybody")
    assert "labels" not in str(data)
    assert told(own) == []


def test_an_event_that_is_undone_tells_nobody(small: Competition, paul: Any) -> None:
    own = listen(paul.user)
    run = run_make(submission_make(paul))
    with transaction.atomic():
        run_transition(run=run, to=RunStatus.FAILED, reason="x")
        assert told(own) == ["submission.failed"]
        transaction.set_rollback(True)
    assert told(own) == []


def test_without_webhooks_an_end_costs_one_query_more(small: Competition, paul: Any) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    run = run_make(submission_make(paul))
    with CaptureQueriesContext(connection) as asked:
        run_transition(run=run, to=RunStatus.FAILED, reason="x")
    assert sum("hooks_" in query["sql"] for query in asked) == 1


def test_who_leaves_takes_webhooks_along(paul: Any) -> None:
    import zipfile

    hook = listen(paul.user)
    with export_archive(user=paul.user) as out, zipfile.ZipFile(out) as archive:
        exported = archive.read("account.json").decode()
    assert URL in exported
    assert hook.secret not in exported
    account_delete(user=paul.user)
    assert not Webhook.objects.exists()
