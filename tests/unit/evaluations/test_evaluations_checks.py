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


def received(content: str, name: str = "predictions.csv", visibility: str = "inputs") -> Run:
    """A run of a prediction file for a split with the items a and b."""
    competition = competition_make(data={"test": {"path": "data/test", "visibility": visibility}})
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
    assert "missing: b" in run.message
    assert run.hint


GUESSES = ["id,prediction\na,no\n", "id,prediction\na,no\nb,yes\nguess,no\n", "id,prediction\nguess,no\nother,yes\n"]


def test_a_split_whose_ids_are_secret_answers_no_guesses() -> None:
    told = set()
    for guess in GUESSES:
        run = received(guess, visibility="hidden")
        run_check(run_id=run.pk)
        run.refresh_from_db()
        assert run.status == RunStatus.REJECTED
        told.add((run.code, run.message, run.hint, *run.events.values_list("message", flat=True)))

    assert len(told) == 1
    assert "secret" in told.pop()[1]


def test_a_secret_split_still_tells_what_is_wrong_with_one_s_own_rows() -> None:
    run = received("id,prediction\na,maybe\nc,yes\nc,yes\n", visibility="hidden")

    run_check(run_id=run.pk)

    run.refresh_from_db()
    assert "maybe" in run.message
    assert "secret" in run.message
    assert run.message.count("secret") == 1


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

    monkeypatch.setattr("touchstone.evaluations.intake._WARM.run", lambda _, *a, **k: real(module, *a, **k))
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

    monkeypatch.setattr("touchstone.evaluations.intake._WARM.run", lambda _, *a, **k: real("sleeper", *a, **k))
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
