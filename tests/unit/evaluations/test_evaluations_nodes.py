"""What becomes of a node: drained, in quarantine by its own faults, and back; and where its runs go."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils.dateparse import parse_datetime

from runners.contract import EngineReport, Verdict
from tests.factories.server import node_make, queued_run, result_make, user_make
from touchstone.audit.models import AuditEntry
from touchstone.core.clock import now
from touchstone.core.errors import NotAllowed, NotFound
from touchstone.evaluations.models import Lane, Node, Run, RunStatus
from touchstone.evaluations.queue_selectors import nodes_view
from touchstone.evaluations.selectors import run_view
from touchstone.evaluations.services import (
    Fenced,
    lease_renew,
    node_authenticate,
    node_create,
    node_disable,
    node_drain,
    node_get,
    node_release,
    node_undrain,
    result_accept,
    run_cancel,
    run_claim,
    run_release,
)
from touchstone.evaluations.services.node_states import is_node_fault, node_fault

pytestmark = pytest.mark.django_db

ENGINE = EngineReport(name="docker", ok=True)


def claim(node: Node) -> Run | None:
    spec = run_claim(node=node, queue="cpu", kinds=["predictions"])
    return None if spec is None else Run.objects.get(pk=spec.run)


def long_run(node: Node) -> Run:
    queued_run(kind="model", lane=Lane.LONG)
    spec = run_claim(node=node, queue="cpu", kinds=["model"])
    assert spec is not None
    return Run.objects.get(pk=spec.run)


def fault(node: Node, run: Run, code: str = "node_misconfigured") -> None:
    result_accept(node=node, result=result_make(run, verdict=Verdict.PLATFORM, code=code, message="runsc is missing"))


def rested(node: Node) -> None:
    """The time after a fault is over."""
    Node.objects.filter(pk=node.pk).update(rest_until=now())


def acts(node: Node) -> list[str]:
    return list(AuditEntry.objects.filter(subject=f"node:{node.name}").values_list("act", flat=True))


def break_it(node: Node, times: int = 3, code: str = "node_misconfigured") -> None:
    """So many different runs, each ended by a fault of the node's own."""
    for _ in range(times):
        queued_run()
        run = claim(node)
        assert run is not None
        fault(node, run, code)
        Run.objects.filter(pk=run.pk).update(status=RunStatus.CANCELLED)
        rested(node)
    node.refresh_from_db()


def test_a_drained_node_finishes_and_gets_nothing_new() -> None:
    queued_run(), queued_run()
    node, staff = node_make(), user_make(is_staff=True)
    run = claim(node)

    node_drain(node=node, by=staff)
    node_drain(node=node, by=staff)

    assert claim(node) is None
    assert [view.state for view in nodes_view()] == ["draining"]
    assert not lease_renew(node=node, run_id=run.pk, attempt=1).cancel
    assert result_accept(node=node, result=result_make(run)) == "scored"
    assert [view.state for view in nodes_view()] == ["drained"]
    node_undrain(node=node, by=staff)
    assert claim(node) is not None
    assert acts(node) == ["node.create", "node.drain", "node.undrain"]


def test_only_staff_manages_nodes() -> None:
    node = node_make()
    for act in (node_drain, node_undrain, node_release, node_disable):
        with pytest.raises(NotAllowed):
            act(node=node, by=user_make())
    assert acts(node) == ["node.create"]


def test_three_faults_of_its_own_in_a_row_put_a_node_into_quarantine() -> None:
    node = node_make()
    break_it(node, 2)
    assert node.quarantined_at is None

    break_it(node, 1)

    assert node.quarantined_at is not None
    assert "3 runs in a row failed by its own fault. Last: runsc is missing" in node.quarantine_reason
    waits = queued_run()
    assert claim(node) is None
    assert run_view(run=waits, user=waits.submission.participation.user).nodes_online == 0
    node_release(node=node)
    assert claim(node) is not None
    assert acts(node) == ["node.create", "node.quarantine", "node.release"]


def test_work_done_in_between_is_forgiveness() -> None:
    node = node_make()
    break_it(node, 2)
    queued_run()
    file = claim(node)
    assert result_accept(node=node, result=result_make(file, verdict=Verdict.CRASH)) == "failed"
    node.refresh_from_db()
    assert len(node.faults) == 2  # a prediction file needs no engine, so it proves nothing
    for engine in (None, ENGINE):
        run = long_run(node)
        assert result_accept(node=node, result=result_make(run, verdict=Verdict.CRASH, engine=engine)) == "failed"
        node.refresh_from_db()
        assert len(node.faults) == (2 if engine is None else 0)

    break_it(node, 2)

    assert (node.quarantined_at, len(node.faults)) == (None, 2)


def test_one_run_counts_once_however_often_it_fails() -> None:
    node = node_make()
    run = queued_run()
    for _ in range(3):
        Run.objects.update(not_before=None)
        fault(node, claim(node))
        rested(node)

    run.refresh_from_db()
    node.refresh_from_db()
    assert (run.status, run.verdict) == (RunStatus.FAILED, "platform")
    assert (len(node.faults), node.quarantined_at) == (1, None)


def test_runs_that_were_on_it_at_the_same_time_are_one_incident() -> None:
    """An engine that restarts takes all runs of a node along."""
    for _ in range(4):
        queued_run()
    node = node_make()
    runs = [claim(node) for _ in range(4)]
    for run in runs:
        fault(node, run, "engine_gone")

    node.refresh_from_db()
    assert (len(node.faults), node.quarantined_at) == (1, None)


def test_a_node_rests_after_a_fault_and_longer_each_time() -> None:
    node = node_make()
    queued_run()
    fault(node, claim(node))
    node.refresh_from_db()
    first = node.rest_until - parse_datetime(node.faults[-1]["at"])
    queued_run()
    assert claim(node) is None

    rested(node)
    run = claim(node)
    fault(node, run)
    node.refresh_from_db()

    assert 9 < first.total_seconds() < 11
    assert 19 < (node.rest_until - now()).total_seconds() < 21


@pytest.mark.parametrize(
    ("code", "its_own"),
    [
        ("node_misconfigured", True), ("node_disk_full", True), ("engine_gone", True), ("engine_start", True),
        ("runtime_missing", True), ("gpu_missing", True), ("no_engine", True),
        # A participant may name an image that nobody has, and an outage of the server silences every node.
        ("image_missing", False), ("node_lost", False), ("node_hung", False), ("supervisor_lost", False),
        ("server_away", False), ("download_failed", False), ("judge_crashed", False),
    ],
)  # fmt: skip
def test_which_faults_speak_against_a_node(code: str, its_own: bool) -> None:
    assert is_node_fault(code=code) is its_own


def test_the_next_attempt_is_elsewhere_and_at_once() -> None:
    broken, sound = node_make(), node_make()
    run = queued_run()
    fault(broken, claim(broken))

    run.refresh_from_db()
    assert (run.status, run.avoid_id, run.not_before) == (RunStatus.QUEUED, broken.pk, None)
    rested(broken)
    assert claim(broken) is None
    assert claim(sound).pk == run.pk


def test_where_there_is_no_other_it_gets_it_again_after_a_pause() -> None:
    broken, _ = node_make(), node_make(kinds=("model",))
    run = queued_run()
    fault(broken, claim(broken))
    rested(broken)

    run.refresh_from_db()
    assert run.not_before is not None
    assert claim(broken) is None
    Run.objects.update(not_before=None)
    assert claim(broken).pk == run.pk


def test_an_image_that_one_node_lacks_is_tried_on_another() -> None:
    one, other = node_make(), node_make()
    run = queued_run()
    fault(one, claim(one), "image_missing")

    assert claim(one) is None
    assert claim(other).pk == run.pk
    one.refresh_from_db()
    assert one.faults == []


def test_a_run_that_fails_on_two_nodes_speaks_against_neither() -> None:
    one, other = node_make(), node_make()
    run = queued_run()
    fault(one, claim(one), "engine_load")
    fault(other, claim(other), "engine_load")

    assert [node.faults for node in Node.objects.all()] == [[], []]
    run.refresh_from_db()
    assert run.faults == 2


def test_a_lost_run_is_given_back_as_a_fault_of_ours_and_may_start_at_once() -> None:
    node = node_make()
    run = queued_run()
    claim(node)

    run_release(node=node, run_id=run.pk, attempt=1, lost=True)

    run.refresh_from_db()
    assert (run.status, run.faults, run.not_before) == (RunStatus.QUEUED, 1, None)
    with pytest.raises(Fenced):
        run_release(node=node, run_id=run.pk, attempt=1, lost=True)
    assert claim(node).attempt == 2
    run_cancel(run=run, user=run.submission.participation.user)
    run_release(node=node, run_id=run.pk, attempt=2, lost=True)
    run.refresh_from_db()
    assert run.status == RunStatus.CANCELLED


def test_the_third_loss_ends_the_run() -> None:
    node = node_make()
    run = queued_run()
    for attempt in (1, 2, 3):
        claim(node)
        run_release(node=node, run_id=run.pk, attempt=attempt, lost=True)

    run.refresh_from_db()
    assert (run.status, run.code, run.counts_quota) == (RunStatus.FAILED, "supervisor_lost", False)


def told(*arguments: str) -> str:
    out = StringIO()
    call_command("node", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_line_of_the_server() -> None:
    token = told("create", "big-1").strip()
    node = node_authenticate(raw=token)
    assert node is not None
    with pytest.raises(CommandError, match="exists"):
        told("create", "big-1")
    assert node_authenticate(raw=told("create", "big-1", "--replace").strip()) == node

    assert "gets" not in told("drain", "big-1")
    assert "big-1\tdrained" in told("list")
    told("undrain", "big-1")
    Node.objects.update(quarantined_at=now(), quarantine_reason="three\nfaults")
    assert "\tthree faults\n" in told("list")
    told("release", "big-1")
    assert "big-1\toffline\t-" in told("list")
    told("disable", "big-1")
    assert "big-1\tdisabled" in told("list")
    with pytest.raises(CommandError, match="no node 'none'"):
        told("drain", "none")
    assert acts(node) == [f"node.{act}" for act in ("create", "create", "drain", "undrain", "release", "disable")]


def test_a_node_that_does_not_exist() -> None:
    node_create(name="here")
    with pytest.raises(NotFound):
        node_get(name="there")


def test_nodes_are_locked_in_one_order_and_before_the_audit_trail() -> None:
    """Else two reports, or a report and a person who drains the node, wait for each other."""
    one, two = node_make(), node_make()
    for first, second in ((one, two), (two, one)):
        run = queued_run(node=first, avoid=second)
        with CaptureQueriesContext(connection) as asked, transaction.atomic():
            node_fault(run=run, code="engine_start", message="")
        locks = [q["sql"] for q in asked if "FOR UPDATE" in q["sql"] and "evaluations_node" in q["sql"]]
        assert len(locks) == 1
        assert 'ORDER BY "evaluations_node"."id"' in locks[0]
    run = long_run(one)
    Node.objects.filter(pk=one.pk).update(faults=[{"run": "x", "code": "y", "at": now().isoformat()}])
    with CaptureQueriesContext(connection) as asked:
        result_accept(node=one, result=result_make(run, engine=ENGINE))
    order = [q["sql"] for q in asked if "advisory" in q["sql"] or 'UPDATE "evaluations_node"' in q["sql"]]
    assert "faults" in order[1]
    assert "advisory" in order[-1]
