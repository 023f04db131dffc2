"""What one person may have checked: models, archives and images alike, over all competitions."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from functools import partial

import pytest
from django.core.files.base import ContentFile
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.factories.server import competition_make, participation_make, phase_of, run_make, submission_make
from tests.factories.threads import together
from touchstone.accounts.models import User
from touchstone.accounts.services import token_create
from touchstone.competitions.models import Participation, Phase
from touchstone.core.clock import now
from touchstone.core.errors import QuotaExceeded, TooOften
from touchstone.evaluations.models import Run, RunStatus
from touchstone.submissions.allowance import check_allowed
from touchstone.submissions.models import Submission, Upload
from touchstone.submissions.services import submission_create, upload_complete, upload_create, upload_part_put

pytestmark = pytest.mark.django_db
KINDS = ["model", "code", "container"]


@pytest.fixture
def alice() -> Participation:
    return joined()


def joined(user: User | None = None) -> Participation:
    competition = competition_make(
        input={"kind": "tabular", "shape": [1], "features": ["a"]}, submission={"kinds": ["predictions", *KINDS]}
    )
    return participation_make(competition, user)


def send(person: Participation, kind: str = "model", **fields) -> Submission:
    fields = fields or {"file": ContentFile(b"weights")}
    return submission_create(user=person.user, phase=phase_of(person.competition), kind=kind, **fields)


def sent(person: Participation, n: int, status: RunStatus, kind: str = "model", hours: float = 0, **fields) -> None:
    for _ in range(n):
        made = submission_make(person, kind=kind, created_at=now() - timedelta(hours=hours))
        run_make(made, status, counts_quota=False, **fields)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("status", "code"),
    [(RunStatus.REJECTED, "not_onnx"), (RunStatus.FAILED, "check_time"), (RunStatus.FAILED, "check_broken")],
)
def test_what_the_check_refused_within_a_day_is_limited(
    alice: Participation, settings, kind: str, status: RunStatus, code: str
) -> None:
    settings.TOUCHSTONE_IMAGE_CHECKS_PER_DAY = 3
    sent(alice, 1, status, kind, hours=23, code=code)
    sent(alice, 2, status, kind, hours=2, code=code)

    with pytest.raises(QuotaExceeded, match="refused 3 models, archives and images") as refused:
        send(alice, kind)

    assert (refused.value.status, refused.value.code) == (429, "over_quota")
    assert refused.value.reset_at is not None
    assert timedelta(minutes=59) < refused.value.reset_at - now() <= timedelta(hours=1)
    assert f"{refused.value.reset_at:%H:%M} UTC" in refused.value.hint
    assert send(alice, "predictions", file=ContentFile(b"id,prediction\n"))  # costs nothing to check
    Submission.objects.filter(kind=kind).update(created_at=now() - timedelta(hours=25))
    assert send(alice, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_few_checks_of_one_person_wait(alice: Participation, settings, kind: str) -> None:
    sent(alice, settings.TOUCHSTONE_IMAGE_CHECKS_AT_ONCE - 1, RunStatus.RECEIVED, kind)
    last = send(alice, kind)

    with pytest.raises(TooOften, match="5 submissions of yours still wait") as refused:
        send(alice, kind)

    assert refused.value.status == 429
    Run.objects.filter(submission=last).update(status=RunStatus.QUEUED)
    assert send(alice, kind)


def test_it_counts_over_competitions_and_nobody_else(alice: Participation, settings) -> None:
    settings.TOUCHSTONE_IMAGE_CHECKS_PER_DAY = 2
    sent(joined(alice.user), 2, RunStatus.REJECTED)

    with pytest.raises(QuotaExceeded):
        send(alice)

    assert send(participation_make(alice.competition))
    # What was let in, or failed for other reasons, took no more of the checks than it should.
    other = joined()
    sent(other, 5, RunStatus.SCORED)
    sent(other, 5, RunStatus.FAILED, code="crash")
    assert send(other)


def test_an_image_of_the_node_s_own_engine_is_not_looked_at(alice: Participation) -> None:
    sent(alice, 5, RunStatus.RECEIVED, "container")

    assert send(alice, "container", image=f"sha256:{'a' * 64}")


def test_a_refused_upload_is_kept_and_nothing_counted(alice: Participation, settings) -> None:
    settings.TOUCHSTONE_IMAGE_CHECKS_PER_DAY = 1
    sent(alice, 1, RunStatus.REJECTED)
    data = b"weights"
    upload = upload_create(user=alice.user, name="m.onnx", size=len(data), sha256=hashlib.sha256(data).hexdigest())
    upload_part_put(upload=upload, number=1, data=data)
    upload_complete(upload=upload)
    before = Submission.objects.count()

    with pytest.raises(QuotaExceeded):
        send(alice, upload=upload)

    assert Submission.objects.count() == before
    Submission.objects.update(created_at=now() - timedelta(days=2))
    assert send(alice, upload=Upload.objects.get(pk=upload.pk))


def test_it_is_asked_in_one_query_and_not_at_all_for_predictions(alice: Participation) -> None:
    sent(alice, 4, RunStatus.RECEIVED)
    with CaptureQueriesContext(connection) as asked:
        check_allowed(user=alice.user, kind="model")
        check_allowed(user=alice.user, kind="predictions")
    assert len(asked) == 1


def test_the_answer_of_the_api(alice: Participation, client, settings) -> None:
    settings.TOUCHSTONE_IMAGE_CHECKS_PER_DAY = 1
    sent(alice, 1, RunStatus.REJECTED)
    _, token = token_create(user=alice.user, name="t", scopes=["submit"])
    answer = client.post(
        "/api/v1/submissions",
        {
            "competition": alice.competition.slug, "phase": "main", "kind": "model",
            "file": ContentFile(b"weights", name="m.onnx"),
        },
        headers={"Authorization": f"Bearer {token}"},
    )  # fmt: skip

    assert (answer.status_code, answer["Content-Type"]) == (429, "application/problem+json")
    body = answer.json()
    assert (body["code"], body["status"]) == ("over_quota", 429)
    assert "reset_at" in body
    assert 86000 < int(answer["Retry-After"]) <= 86400


@pytest.mark.django_db(transaction=True)
def test_two_at_once_in_two_competitions_are_counted_in_turn(settings) -> None:
    settings.TOUCHSTONE_IMAGE_CHECKS_PER_DAY = 3
    one = joined()
    two = joined(one.user)
    sent(one, 2, RunStatus.REJECTED)
    phases: list[Phase] = [phase_of(p.competition) for p in (one, two)]

    def submit(phase: Phase) -> str:
        try:
            submission_create(user=one.user, phase=phase, kind="model", file=ContentFile(b"weights"))
        except QuotaExceeded:
            return "refused"
        return "taken"

    assert sorted(together([partial(submit, phase) for phase in phases])) == ["refused", "taken"]
