"""The intake check: what it does to a run, and what a broken checker does not do to it."""

from __future__ import annotations

import io

import pytest

from tests.factories.server import competition_make, participation_make, phase_of, run_make, submission_make
from touchstone.core.storage import blob_put
from touchstone.evaluations.models import Run, RunStatus
from touchstone.evaluations.services import run_check
from touchstone.evaluations.services.checks import defects_text

pytestmark = pytest.mark.django_db


def received(content: str, name: str = "predictions.csv") -> Run:
    """A run of a prediction file for a split with the items a and b."""
    competition = competition_make()
    blob = blob_put(file=io.BytesIO(content.encode()))
    files = [{"name": name, "sha256": blob.sha256, "size": blob.size}]
    submission = submission_make(participation_make(competition), phase_of(competition), files=files)
    return run_make(submission, RunStatus.RECEIVED)


def test_good_file_is_queued() -> None:
    run = received("id,prediction\na,no\nb,yes\n")

    run_check(run_id=run.pk)

    run.refresh_from_db()
    assert (run.status, run.message) == (RunStatus.QUEUED, "")
    assert run.queued_at is not None
    assert [e.data["to"] for e in run.events.filter(kind="status")] == ["checking", "queued"]


def test_bad_file_is_rejected_with_every_defect_and_costs_nothing() -> None:
    run = received("id,prediction\na,maybe\nc,yes\n")

    run_check(run_id=run.pk)

    run.refresh_from_db()
    assert run.status == RunStatus.REJECTED
    assert not run.counts_quota
    assert "maybe" in run.message
    assert "c" in run.message
    assert run.hint


def test_only_received_runs_are_checked() -> None:
    run = received("nonsense")
    Run.objects.update(status=RunStatus.RUNNING)

    run_check(run_id=run.pk)

    run.refresh_from_db()
    assert run.status == RunStatus.RUNNING


@pytest.mark.parametrize("module", ["no_such_module", "this"])
def test_a_broken_checker_is_our_fault_and_tried_three_times(monkeypatch, module: str) -> None:
    """One module that cannot be run, and one that runs and prints no report."""
    from touchstone.core.limited import run_limited as real

    monkeypatch.setattr("touchstone.evaluations.intake.run_limited", lambda _, *a, **k: real(module, *a, **k))
    run = received("id,prediction\na,no\nb,yes\n")
    seen = []
    for _ in range(3):
        run_check(run_id=run.pk)
        run.refresh_from_db()
        seen.append((run.status, run.checks))

    assert seen == [("received", 1), ("received", 2), ("failed", 3)]
    assert (run.verdict, run.code, run.counts_quota) == ("platform", "check_broken", False)


def test_a_check_that_hangs_is_killed(monkeypatch, settings, tmp_path) -> None:
    settings.TOUCHSTONE_CHECK_SECONDS = 1
    (tmp_path / "sleeper.py").write_text("import time; time.sleep(60)")
    monkeypatch.syspath_prepend(str(tmp_path))
    from touchstone.core.limited import run_limited as real

    monkeypatch.setattr("touchstone.evaluations.intake.run_limited", lambda _, *a, **k: real("sleeper", *a, **k))
    run = received("id,prediction\na,no\nb,yes\n")

    run_check(run_id=run.pk)

    run.refresh_from_db()
    assert run.status == RunStatus.RECEIVED
    assert "longer than 1 s" in run.events.last().message


def test_an_image_by_name_is_left_to_the_node() -> None:
    run = received("x")
    type(run.submission).objects.update(files=[], image="team/model:1", kind="container")

    run_check(run_id=run.pk)

    run.refresh_from_db()
    assert run.status == RunStatus.QUEUED


def test_defects_become_lines_and_hints_are_not_repeated() -> None:
    defects = tuple({"code": "x", "message": f"m{i}", "where": "id", "hint": "h"} for i in range(12))

    message, hint = defects_text(defects)

    assert message.splitlines()[0] == "id: m0"
    assert message.splitlines()[-1] == "and 2 more."
    assert hint == "h"
