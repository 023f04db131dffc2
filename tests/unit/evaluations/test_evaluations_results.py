"""What a report does to a run, to quota and to the leaderboard."""

from __future__ import annotations

from datetime import timedelta

import pytest

from runners.contract import EngineReport, Verdict
from tests.factories.server import board_of, metric, node_make, queued_run, result_make
from touchstone.audit.models import AuditEntry
from touchstone.audit.services import audit_verify
from touchstone.core.clock import now
from touchstone.evaluations.models import Run, RunStatus
from touchstone.evaluations.services import Fenced, ResultInvalid, result_accept, run_cancel, run_claim, runs_sweep

pytestmark = pytest.mark.django_db


def claimed(run=None, node=None):
    run, node = run or queued_run(), node or node_make()
    Run.objects.filter(pk=run.pk).update(not_before=None)
    assert run_claim(node=node, queue="cpu", kinds=["predictions"]).run == str(run.pk)
    run.refresh_from_db()
    return run, node


def test_scored_writes_everything() -> None:
    run, node = claimed()
    report = result_make(
        run, 0.8, log="done\x00", peak_memory=5, stages={"score": 0.1}, engine=EngineReport(name="bubblewrap", ok=True),
        environment={"python": "3.11"},
    )  # fmt: skip

    status = result_accept(node=node, result=report)

    run.refresh_from_db()
    assert status == run.status == "scored"
    assert (run.verdict, run.log, run.peak_memory, run.stages) == ("ok", "done\ufffd", 5, {"score": 0.1})
    assert run.engine["name"] == "bubblewrap"
    assert list(run.results.values_list("key", "value")) == [
        ("performance.accuracy", 0.8),
        ("performance.log_loss", 0.7),
    ]
    assert board_of(run.submission.phase.competition).entries.get().sort_key == 0.8
    assert AuditEntry.objects.filter(act="run.score", subject=f"run:{run.pk}").count() == 1
    assert audit_verify() is None


@pytest.mark.parametrize("verdict", ["timeout", "memory", "output_limit", "crash", "invalid_output"])
def test_participants_faults_fail_the_run_and_take_no_quota(verdict: str) -> None:
    run, node = claimed()
    report = result_make(run, verdict=Verdict(verdict), message="it broke", hint="mend it", code="special")

    assert result_accept(node=node, result=report) == "failed"

    run.refresh_from_db()
    assert (run.verdict, run.code, run.message, run.hint) == (verdict, "special", "it broke", "mend it")
    assert not run.counts_quota
    assert not board_of(run.submission.phase.competition).entries.exists()


def test_scorer_fault_fails_and_does_not_count() -> None:
    run, node = claimed()

    assert result_accept(node=node, result=result_make(run, verdict=Verdict.SCORER, message="no labels")) == "failed"

    run.refresh_from_db()
    assert (run.verdict, run.counts_quota) == ("scorer", False)


def test_platform_fault_is_tried_three_times_and_does_not_count() -> None:
    run, node = claimed()
    seen = []
    for attempt in (1, 2, 3):
        if attempt > 1:
            claimed(run, node)
        seen.append(result_accept(node=node, result=result_make(run, verdict=Verdict.PLATFORM, message="disk full")))
        run.refresh_from_db()
        seen.append((run.attempt, run.faults))

    assert seen == ["queued", (1, 1), "queued", (2, 2), "failed", (3, 3)]
    assert (run.verdict, run.counts_quota) == ("platform", False)
    assert "disk full" in run.message


def test_platform_fault_pauses_before_the_next_attempt() -> None:
    run, node = claimed()

    result_accept(node=node, result=result_make(run, verdict=Verdict.PLATFORM))

    assert run_claim(node=node, queue="cpu", kinds=["predictions"]) is None
    run.refresh_from_db()
    assert run.not_before > now()


def test_repeated_report_of_a_lost_attempt_is_known() -> None:
    run, node = claimed()
    report = result_make(run, verdict=Verdict.PLATFORM)
    result_accept(node=node, result=report)

    assert result_accept(node=node, result=report) == "queued"

    run.refresh_from_db()
    assert run.faults == 1


def test_late_result_of_a_superseded_attempt_is_refused() -> None:
    run, node = claimed()
    late = result_make(run, 0.99)
    Run.objects.update(lease_until=now() - timedelta(seconds=1))
    runs_sweep()

    with pytest.raises(Fenced):
        result_accept(node=node, result=late)  # back in the queue
    second, other = claimed(run, node_make())
    with pytest.raises(Fenced):
        result_accept(node=node, result=late)  # another node has it
    result_accept(node=other, result=result_make(second, 0.5))
    with pytest.raises(Fenced):
        result_accept(node=node, result=late)  # scored

    assert board_of(run.submission.phase.competition).entries.get().sort_key == 0.5


def test_cancelled_while_running_takes_no_score() -> None:
    run, node = claimed()
    run_cancel(run=run, user=run.submission.participation.user)

    assert result_accept(node=node, result=result_make(run)) == "cancelled"

    assert not run.results.exists()
    assert not board_of(run.submission.phase.competition).entries.exists()


@pytest.mark.parametrize(
    "results",
    [
        (metric(value=0.5), metric(value=0.6)),
        (metric(value=float("nan")),),
        (metric(value=float("inf")),),
        (metric(value=0.5, low=float("-inf")),),
        (metric(value=None, state="ok"),),
        (metric(value=0.5, state="undefined"),),
        (metric(key="x" * 201),),
        (metric(unit="u" * 31),),
    ],
)
def test_a_report_that_the_tables_cannot_hold_is_refused_whole(results) -> None:
    run, node = claimed()

    with pytest.raises(ResultInvalid):
        result_accept(node=node, result=result_make(run, results=results))

    run.refresh_from_db()
    assert run.status == RunStatus.RUNNING
    assert not run.results.exists()


def test_undefined_values_are_stored_with_their_reason_and_do_not_rank() -> None:
    run, node = claimed()

    result_accept(node=node, result=result_make(run, results=(metric(value=None, reason="no \x00 items"),)))

    assert run.results.get().reason == "no \ufffd items"
    entry = board_of(run.submission.phase.competition).entries.get()
    assert entry.sort_key is None
    assert entry.unranked == "performance.accuracy: undefined (no \ufffd items)"


def test_nothing_is_written_when_the_transaction_breaks(monkeypatch) -> None:
    run, node = claimed()

    def broken(**_):
        raise RuntimeError("the disk is full")

    monkeypatch.setattr("touchstone.evaluations.services.results.audit_append", broken)
    with pytest.raises(RuntimeError):
        result_accept(node=node, result=result_make(run))

    run.refresh_from_db()
    assert run.status == RunStatus.RUNNING
    assert not run.results.exists()
    assert not board_of(run.submission.phase.competition).entries.exists()
