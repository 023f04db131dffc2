"""Every reason to refuse a submission, and the count of the quota."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.core.files.base import ContentFile

from runners.contract import Verdict
from tests.factories.server import (
    at,
    competition_make,
    node_make,
    participation_make,
    phase_of,
    result_make,
    run_make,
    submission_make,
    user_make,
)
from tests.factories.threads import together
from touchstone.core.clock import now
from touchstone.core.errors import Conflict, NotAllowed, NotFound, QuotaExceeded, TooLarge, UserError
from touchstone.evaluations.models import Run, RunStatus
from touchstone.evaluations.services import result_accept, run_cancel, run_check, run_claim
from touchstone.submissions.models import Submission
from touchstone.submissions.selectors import quota, submission_get, submissions_all, submissions_of
from touchstone.submissions.services import submission_create

pytestmark = pytest.mark.django_db


def csv(text: str = "id,prediction\na,no\nb,yes\n") -> ContentFile:
    return ContentFile(text.encode())


def joined(**changes):
    """(participant, phase) of a fresh competition."""
    competition = competition_make(**changes)
    user = user_make()
    participation_make(competition, user)
    return user, phase_of(competition)


def limits(**limit):
    return {"phases": [{"slug": "main", "split": "test", "opens": "2020-01-01T00:00Z", "limits": limit}]}


def window(opens: str, closes: str | None = None):
    return {"phases": [{"slug": "main", "split": "test", "opens": opens, "closes": closes}]}


def send(user, phase, **fields):
    return submission_create(**{"user": user, "phase": phase, "kind": "predictions", "file": csv()} | fields)


def refused(code: str, user, phase, **fields) -> UserError:
    with pytest.raises(UserError) as caught:
        send(user, phase, **fields)
    assert not Submission.objects.exists()
    assert not Run.objects.exists()
    if code:
        assert caught.value.code == code
    return caught.value


def test_taken_in_and_received() -> None:
    user, phase = joined()

    made = send(user, phase, message=" first try\x00 ", source="web")

    assert made.run.status == RunStatus.RECEIVED
    assert (made.message, made.source) == ("first try\ufffd", "web")
    assert [(f["name"], f["size"]) for f in made.files] == [("predictions.csv", 25)]


@pytest.mark.django_db(transaction=True)
def test_the_check_is_scheduled_after_the_commit(monkeypatch) -> None:
    sent = []
    monkeypatch.setattr("touchstone.core.tasks._send", lambda name, args, **_: sent.append((name, args)))
    user, phase = joined()

    made = send(user, phase)

    assert sent == [("touchstone.submission_check", [str(made.run.pk)])]


def test_not_joined() -> None:
    _, phase = joined()

    error = refused("not_joined", user_make(), phase)

    assert isinstance(error, NotAllowed)
    assert "Join it" in error.hint


def test_before_the_phase_opens() -> None:
    error = refused("phase_not_open", *joined(**window("2099-01-01T12:00Z")))

    assert "opens at 2099-01-01 12:00 UTC" in error.message


def test_after_the_phase_closed() -> None:
    error = refused("phase_closed", *joined(**window("2020-01-01T00:00Z", "2020-02-01T00:00Z")))

    assert "closed at 2020-02-01 00:00 UTC" in error.message


def test_kind_not_accepted_lists_those_that_are() -> None:
    error = refused("kind", *joined(submission={"kinds": ["predictions", "code"]}), kind="model")

    assert error.hint == "It accepts: predictions, code."


def test_too_large_and_empty() -> None:
    assert isinstance(refused("too_large", *joined(submission={"kinds": ["predictions"], "size": 10})), TooLarge)
    refused("empty", *joined(), file=csv(""))


def test_one_artifact_exactly() -> None:
    user, phase = joined(submission={"kinds": ["predictions", "container"]})

    refused("artifact", user, phase, file=None)
    refused("artifact", user, phase, image="x")
    refused("artifact", user, phase, file=None, image="x")
    refused("image", user, phase, kind="container", file=None, image="--privileged x")
    refused("image", user, phase, kind="container", file=None, image="team/model:1")
    made = send(user, phase, kind="container", file=None, image=f"team/model@sha256:{'0' * 64}")
    assert (made.files, made.image) == ([], f"team/model@sha256:{'0' * 64}")


def test_users_names_reach_no_path() -> None:
    user, phase = joined()
    file = csv()
    file.name = "../../etc/passwd"

    assert send(user, phase, file=file).files[0]["name"] == "predictions.csv"
    assert send(user, phase, file=ContentFile(b"PAR1 and so on")).files[0]["name"] == "predictions.parquet"


def test_total_quota() -> None:
    user, phase = joined(**limits(total=2))
    send(user, phase)
    send(user, phase)

    with pytest.raises(QuotaExceeded) as caught:
        send(user, phase)

    assert caught.value.reset_at is None
    assert "all 2 submissions" in caught.value.message
    assert Submission.objects.count() == 2


def test_daily_quota_says_when_the_next_day_begins() -> None:
    user, phase = joined(**limits(per_day=1))
    send(user, phase)

    with pytest.raises(QuotaExceeded) as caught:
        send(user, phase)

    tomorrow = (now() + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    assert caught.value.reset_at == tomorrow


def test_days_are_utc_days() -> None:
    competition = competition_make(**limits(per_day=5, total=9))
    participation = participation_make(competition)
    for moment in ("2026-03-01T00:00", "2026-03-01T23:59", "2026-02-28T23:59", "2026-03-02T00:00"):
        run_make(submission_make(participation, created_at=at(moment)))

    used = quota(participation=participation, phase=phase_of(competition), at=at("2026-03-01T12:00"))

    assert (used.used_today, used.used_total, used.left) == (2, 4, 3)
    assert used.resets_at == at("2026-03-02T00:00")


@pytest.mark.parametrize(
    ("status", "fields", "counts"),
    [
        (RunStatus.RECEIVED, {}, True),
        (RunStatus.RUNNING, {}, True),
        (RunStatus.SCORED, {}, True),
        (RunStatus.FAILED, {"verdict": "crash"}, True),
        (RunStatus.FAILED, {"verdict": "platform", "counts_quota": False}, False),
        (RunStatus.FAILED, {"verdict": "scorer", "counts_quota": False}, False),
        (RunStatus.REJECTED, {"counts_quota": False}, False),
    ],
)
def test_what_counts(status, fields, counts) -> None:
    competition = competition_make(**limits(total=1))
    participation = participation_make(competition)
    run_make(submission_make(participation), status, **fields)

    assert quota(participation=participation, phase=phase_of(competition)).used_total == int(counts)


def test_cancelled_before_it_started_gives_the_submission_back() -> None:
    user, phase = joined(**limits(total=1))
    made = send(user, phase)

    run_cancel(run=made.run, user=user)

    assert send(user, phase).pk != made.pk


def test_only_participant_and_organiser_cancel() -> None:
    user, phase = joined()
    run = send(user, phase).run

    with pytest.raises(NotAllowed):
        run_cancel(run=run, user=user_make())
    assert run_cancel(run=run, user=phase.competition.owner).status == RunStatus.CANCELLED
    assert run_cancel(run=run, user=user).status == RunStatus.CANCELLED


@pytest.mark.django_db(transaction=True)
def test_quota_holds_against_requests_at_once() -> None:
    user, phase = joined(**limits(per_day=3))

    answers = together([lambda: send(user, phase) for _ in range(10)])

    assert sum(isinstance(a, Submission) for a in answers) == 3
    assert sum(isinstance(a, QuotaExceeded) for a in answers) == 7
    assert Submission.objects.count() == Run.objects.count() == 3


@pytest.mark.django_db(transaction=True)
def test_one_key_makes_one_submission_even_at_once() -> None:
    user, phase = joined(**limits(per_day=1))
    key = uuid.uuid4().hex

    answers = together([lambda: send(user, phase, idempotency_key=key) for _ in range(6)])

    assert {getattr(a, "pk", a) for a in answers} == {Submission.objects.get().pk}
    assert send(user, phase, idempotency_key=key).pk == Submission.objects.get().pk  # although the quota is used


def test_a_key_belongs_to_one_submission() -> None:
    user, phase = joined(submission={"kinds": ["predictions", "code"]})
    send(user, phase, idempotency_key="k1")

    with pytest.raises(Conflict):
        send(user, phase, kind="code", idempotency_key="k1")
    with pytest.raises(UserError):
        send(user, phase, idempotency_key="has space")


def test_who_sees_a_submission() -> None:
    user, phase = joined()
    stranger = user_make()
    made = send(user, phase)

    assert submission_get(user=user, id=str(made.pk)) == made
    assert submission_get(user=phase.competition.owner, id=made.pk) == made
    for who, key in ((stranger, made.pk), (None, made.pk), (user, uuid.uuid4()), (user, "nonsense")):
        with pytest.raises(NotFound):
            submission_get(user=who, id=key)
    assert list(submissions_of(user=user, competition=phase.competition)) == [made]
    assert list(submissions_of(user=stranger)) == []
    assert list(submissions_all(user=stranger, competition=phase.competition)) == []
    assert list(submissions_all(user=phase.competition.owner, competition=phase.competition)) == [made]


def used(user, phase) -> tuple[int, int]:
    found = quota(participation=phase.competition.participations.get(user=user), phase=phase)
    return found.used_today, found.used_total


def test_a_rejected_submission_gives_the_quota_back() -> None:
    user, phase = joined(**limits(per_day=1, total=1))
    made = send(user, phase, file=csv("id,prediction\na,no\n"))
    assert used(user, phase) == (1, 1)
    with pytest.raises(QuotaExceeded):
        send(user, phase)  # while it is checked its place is taken

    run_check(run_id=made.run.pk)
    run_check(run_id=made.run.pk)

    assert used(user, phase) == (0, 0)
    again = send(user, phase)
    run_check(run_id=again.run.pk)
    assert Run.objects.get(submission=again).status == RunStatus.QUEUED
    assert used(user, phase) == (1, 1)


def test_nothing_is_counted_twice() -> None:
    """Not by the same key, a repeated check, several attempts, nor a report that comes again."""
    user, phase = joined(**limits(per_day=2, total=2))
    made = send(user, phase, idempotency_key="k")
    assert send(user, phase, idempotency_key="k") == made
    node = node_make()
    run_check(run_id=made.run.pk)
    run_check(run_id=made.run.pk)
    for _ in range(2):
        run_claim(node=node, queue="cpu", kinds=["predictions"])
        run = Run.objects.get(submission=made)
        result_accept(node=node, result=result_make(run, verdict=Verdict.PLATFORM, message="lost"))
        Run.objects.update(not_before=None)
    run_claim(node=node, queue="cpu", kinds=["predictions"])
    report = result_make(Run.objects.get(submission=made), verdict=Verdict.CRASH)
    for _ in range(2):
        assert result_accept(node=node, result=report) == "failed"

    assert Run.objects.get(submission=made).attempt == 3
    assert used(user, phase) == (0, 0)
    assert quota(participation=made.participation, phase=phase).failed_today == 1


@pytest.mark.parametrize("verdict", ["timeout", "memory", "output_limit", "crash", "invalid_output"])
def test_own_failures_take_no_quota_and_have_a_limit_of_their_own(verdict: str, settings) -> None:
    settings.TOUCHSTONE_MAX_PARTICIPANT_FAILURES_PER_DAY = 2
    user, phase = joined(**limits(per_day=1, total=1))
    node = node_make()
    for _ in range(2):
        made = send(user, phase)
        run_check(run_id=made.run.pk)
        run_claim(node=node, queue="cpu", kinds=["predictions"])
        run = Run.objects.get(submission=made)
        result_accept(node=node, result=result_make(run, verdict=Verdict(verdict)))
    assert used(user, phase) == (0, 0)

    with pytest.raises(QuotaExceeded, match="2 of your submissions of today failed") as refused:
        send(user, phase)

    assert refused.value.reset_at is not None
    assert "a new day begins at" in refused.value.hint
    Submission.objects.update(created_at=now() - timedelta(days=1))
    assert send(user, phase)


def test_the_limit_of_failures_can_be_switched_off(settings) -> None:
    settings.TOUCHSTONE_MAX_PARTICIPANT_FAILURES_PER_DAY = 0
    user, phase = joined()
    made = send(user, phase)
    Run.objects.filter(submission=made).update(status=RunStatus.FAILED, verdict="crash", counts_quota=False)
    assert send(user, phase)
