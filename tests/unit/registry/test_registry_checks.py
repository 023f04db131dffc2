"""Checks of pushed images: few at a time, none twice, and with the time that they need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.factories.server import competition_make, participation_make, phase_of, run_make, user_make
from touchstone.competitions.models import Participation
from touchstone.core.errors import TooOften
from touchstone.core.limited import LimitedTimeout
from touchstone.evaluations.intake import IntakeBroken, IntakeReport
from touchstone.evaluations.models import Run, RunStatus
from touchstone.evaluations.services import checks, run_check
from touchstone.registry import checks as pushed
from touchstone.registry import client
from touchstone.registry.models import PushedImage
from touchstone.registry.services import image_record
from touchstone.submissions.models import Submission
from touchstone.submissions.services import submission_create

pytestmark = pytest.mark.django_db
HOST = "127.0.0.1:5000"
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


def digest(n: int) -> str:
    return f"sha256:{n:064}"


def name(n: int) -> str:
    return f"{HOST}/tiny/alice/model@{digest(n)}"


@pytest.fixture(autouse=True)
def _registry(settings: Any, tmp_path: Path) -> None:
    settings.TOUCHSTONE_REGISTRY_HOST = HOST
    settings.TOUCHSTONE_REGISTRY_URL = "http://127.0.0.1:1"
    settings.TOUCHSTONE_REGISTRY_SECRETS = str(tmp_path / "registry")


@pytest.fixture
def alice() -> Participation:
    return participation_make(competition_make(slug="tiny", submission={"kinds": ["container"]}), user_make("alice"))


def received(alice: Participation, n: int = 1, size: int = 7, status: RunStatus = RunStatus.RECEIVED) -> Run:
    image_record(
        participation=alice, repository="tiny/alice/model", digest=digest(n), media_type=MANIFEST,
        blobs={digest(n): size},
    )  # fmt: skip
    phase = phase_of(alice.competition)
    sent = Submission.objects.create(participation=alice, phase=phase, kind="container", image=name(n))
    return run_make(sent, status)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the checker was asked; it refuses everything."""
    found: list[dict[str, Any]] = []

    def check(**question: Any) -> IntakeReport:
        found.append(question)
        return IntakeReport(({"code": "root_user", "message": "runs as root"},))

    monkeypatch.setattr(pushed, "intake_check", check)
    return found


def test_a_slow_check_waits_for_a_free_place_and_loses_no_try(alice: Participation, asked: list[Any]) -> None:
    busy, waits = received(alice, 1, status=RunStatus.CHECKING), received(alice, 2)

    run_check(run_id=waits.pk)

    waits.refresh_from_db()
    assert (waits.status, waits.checks, asked) == (RunStatus.RECEIVED, 0, [])
    Run.objects.filter(pk=busy.pk).update(status=RunStatus.CANCELLED)
    run_check(run_id=waits.pk)
    waits.refresh_from_db()
    assert (waits.status, waits.checks) == (RunStatus.REJECTED, 1)


def test_quick_checks_do_not_wait_for_slow_ones(alice: Participation, monkeypatch: pytest.MonkeyPatch) -> None:
    received(alice, 1, status=RunStatus.CHECKING)
    quick = received(alice, 2)
    Submission.objects.filter(pk=quick.submission_id).update(kind="predictions", image="", files=[{"sha256": "x"}])
    monkeypatch.setattr(checks, "_look", lambda run: IntakeReport())

    run_check(run_id=quick.pk)

    assert Run.objects.get(pk=quick.pk).status == RunStatus.QUEUED


def test_the_next_slow_check_begins_when_one_ends(
    alice: Participation, asked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[object] = []
    monkeypatch.setattr(checks, "check_schedule", lambda *, run_id: sent.append(run_id))
    first, second = received(alice, 1), received(alice, 2)

    run_check(run_id=first.pk)

    assert sent == [second.pk]


def test_an_image_that_was_refused_is_refused_at_once(alice: Participation, asked: list[Any]) -> None:
    runs = [received(alice, 1) for _ in range(3)]
    run_check(run_id=runs[0].pk)
    received(alice, 2, status=RunStatus.CHECKING)  # the slow places are taken: it needs none
    run_check(run_id=runs[1].pk)
    assert len(asked) == 1
    assert {Run.objects.get(pk=run.pk).code for run in runs[:2]} == {"root_user"}

    Run.objects.filter(status=RunStatus.CHECKING).update(status=RunStatus.CANCELLED)
    alice.competition.spec["submission"]["root_images"] = False
    alice.competition.save()
    run_check(run_id=runs[2].pk)
    assert len(asked) == 2  # by other rules it is looked at anew


def test_what_another_push_mends_is_looked_at_again(alice: Participation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pushed, "intake_check", lambda **_: IntakeReport(({"code": "missing_part"},)))

    run_check(run_id=received(alice).pk)

    assert PushedImage.objects.get().checked == {}


def test_large_images_get_more_time_within_a_bound(alice: Participation, asked: list[Any], settings: Any) -> None:
    for n, size in ((1, 10), (2, 2**30), (3, 2**36)):
        run_check(run_id=received(alice, n, size=size).pk)

    image = alice.competition.spec["submission"]["resources"]["image"]
    most = 120 + image / settings.TOUCHSTONE_CHECK_BYTES_PER_SECOND
    assert [round(question["seconds"]) for question in asked] == [120, min(325, round(most)), round(most)]
    assert checks.check_seconds(size=2**50) == settings.TOUCHSTONE_CHECK_SECONDS_MAX


def test_a_check_out_of_time_ends_with_its_own_reason(alice: Participation, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(**_: Any) -> IntakeReport:
        raise IntakeBroken("it took longer than 7 s") from LimitedTimeout("it took longer than 7 s")

    monkeypatch.setattr(pushed, "intake_check", late)
    run = received(alice)

    run_check(run_id=run.pk)

    run.refresh_from_db()
    assert (run.status, run.code, run.checks, run.counts_quota) == (RunStatus.FAILED, "check_time", 1, False)


def test_an_image_is_not_looked_up_for_who_had_too_much_checked(
    alice: Participation, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        received(alice, 1)
    monkeypatch.setattr(client, "manifest_get", lambda **_: pytest.fail("the registry was asked"))

    with pytest.raises(TooOften):
        submission_create(user=alice.user, phase=phase_of(alice.competition), kind="container", image=name(2))
