"""Claim, lease, events, release, files."""

from __future__ import annotations

from datetime import timedelta

import pytest

from runners.contract import EventBatch, RunEvent, RunSpec, dump
from tests.factories.server import competition_make, hello, node_make, queued_run
from touchstone.core.clock import now
from touchstone.core.errors import NotFound
from touchstone.evaluations.models import Run, RunStatus
from touchstone.evaluations.services import (
    Fenced,
    events_append,
    file_signed,
    lease_renew,
    node_register,
    run_cancel,
    run_claim,
    run_release,
)

pytestmark = pytest.mark.django_db


def claim(node, kinds=("predictions",), queue="cpu"):
    return run_claim(node=node, queue=queue, kinds=list(kinds))


def test_spec_survives_the_wire_with_aliases_and_parameters() -> None:
    attack = {"use": "robustness.attack", "as": "hsj", "attack": "hop_skip_jump", "norm": "l2", "eps": 3.0, "items": 64}
    queued_run(competition_make(metrics=[{"use": "performance.accuracy"}, attack]))

    spec = claim(node_make())
    again = RunSpec.model_validate(dump(spec))

    assert again == spec
    assert again.metrics[1].prefix == "hsj"
    assert again.metrics[1].parameters == {"attack": "hop_skip_jump", "norm": "l2", "eps": 3.0, "items": 64}
    assert again.attempt == 1
    assert again.lease_seconds == 60


def test_first_in_first_out_and_only_what_the_node_can_run() -> None:
    competition = competition_make(submission={"kinds": ["predictions", "model"]})
    old = queued_run(competition, queued_at=now() - timedelta(minutes=9))
    model = queued_run(competition, kind="model", queued_at=now() - timedelta(hours=1))
    type(model.submission).objects.filter(pk=model.submission_id).update(kind="model")
    new = queued_run(competition)
    gpu = queued_run(competition, queue="gpu", queued_at=now() - timedelta(days=1))
    node = node_make()

    order = [claim(node).run for _ in range(2)]

    assert order == [str(old.pk), str(new.pk)]
    assert claim(node) is None
    assert claim(node, kinds=["model"]).run == str(model.pk)
    assert claim(node, queue="gpu").run == str(gpu.pk)


def test_a_pause_keeps_a_run_back() -> None:
    queued_run(not_before=now() + timedelta(seconds=30))

    assert claim(node_make()) is None


def test_seed_is_the_same_in_every_attempt() -> None:
    run = queued_run(seed=1234)
    node = node_make()
    first = claim(node)
    run_release(node=node, run_id=run.pk, attempt=1)

    second = claim(node)

    assert (first.seed, second.seed) == (1234, 1234)
    assert (first.attempt, second.attempt) == (1, 2)


def test_sample_comes_with_it_where_there_is_one() -> None:
    data = {
        "test": {"path": "data/test", "visibility": "hidden"},
        "sample": {"path": "data/sample", "visibility": "public"},
    }
    queued_run(competition_make(data=data))
    queued_run(competition_make())
    node = node_make()

    assert claim(node).sample.name == "sample"
    assert claim(node).sample is None


def test_lease_is_renewed_and_fences_others() -> None:
    run = queued_run()
    node, other = node_make(), node_make()
    claim(node)
    Run.objects.update(lease_until=now())

    lease = lease_renew(node=node, run_id=run.pk, attempt=1)

    run.refresh_from_db()
    assert (lease.seconds, lease.cancel) == (60, False)
    assert run.lease_until > now() + timedelta(seconds=50)
    with pytest.raises(Fenced):
        lease_renew(node=other, run_id=run.pk, attempt=1)
    with pytest.raises(Fenced):
        lease_renew(node=node, run_id=run.pk, attempt=2)


def test_cancel_reaches_the_node_by_its_lease() -> None:
    run = queued_run()
    node = node_make()
    claim(node)

    run_cancel(run=run, user=run.submission.participation.user)

    assert lease_renew(node=node, run_id=run.pk, attempt=1).cancel
    run_release(node=node, run_id=run.pk, attempt=1)
    run.refresh_from_db()
    assert run.status == RunStatus.CANCELLED
    assert run.counts_quota


def test_release_puts_the_run_back_in_its_place_without_a_fault() -> None:
    run = queued_run(queued_at=now() - timedelta(hours=1))
    queued = run.queued_at
    node = node_make()
    claim(node)

    run_release(node=node, run_id=run.pk, attempt=1)

    run.refresh_from_db()
    assert (run.status, run.faults, run.queued_at, run.node) == (RunStatus.QUEUED, 0, queued, None)
    with pytest.raises(Fenced):
        lease_renew(node=node, run_id=run.pk, attempt=1)


def test_events_and_log() -> None:
    run = queued_run()
    node = node_make()
    claim(node)
    lines = [
        RunEvent(at="2026-01-01T00:00:00Z", kind="stage", message="sandbox\x00", data={"seconds": 1.5, "x": "\x00"}),
        RunEvent(at="2026-01-01T00:00:01Z", kind="log", message="hello\x00\x1b[31m red\r\n"),
        RunEvent(at="2026-01-01T00:00:02Z", kind="log", message="world\n"),
    ]

    events_append(node=node, run_id=run.pk, attempt=1, batch=EventBatch(events=tuple(lines)))

    run.refresh_from_db()
    last = run.events.last()
    assert run.log == "hello\ufffd red\nworld\n"
    assert run.log_end == len(run.log)
    assert (last.kind, last.message, last.attempt) == ("stage", "sandbox\ufffd", 1)
    assert last.data == {"seconds": 1.5, "x": "\ufffd", "node_at": "2026-01-01T00:00:00Z"}
    assert list(run.events.values_list("sequence", flat=True)) == list(range(1, run.events.count() + 1))


def test_log_keeps_its_end() -> None:
    run = queued_run()
    node = node_make()
    claim(node)
    batch = EventBatch(
        events=(RunEvent(at="x", kind="log", message="a" * 2**20), RunEvent(at="x", kind="log", message="the end"))
    )

    events_append(node=node, run_id=run.pk, attempt=1, batch=batch)

    run.refresh_from_db()
    assert len(run.log.encode()) <= 2**20
    assert run.log.startswith("[earlier lines cut]")
    assert run.log.endswith("the end")


def test_file_urls_die_with_their_attempt() -> None:
    run = queued_run()
    node = node_make()
    spec = claim(node)
    signed = spec.split.files[0].url.rsplit("/", 1)[1]

    assert file_signed(signed=signed) == spec.split.files[0].sha256
    with pytest.raises(NotFound):
        file_signed(signed=signed[:-2] + "xx")

    run_release(node=node, run_id=run.pk, attempt=1)
    with pytest.raises(NotFound):
        file_signed(signed=signed)
    claim(node)
    with pytest.raises(NotFound):
        file_signed(signed=signed)


def test_hello_is_kept_without_what_the_database_refuses() -> None:
    node = node_make()

    node_register(node=node, hello=hello("bad\x00name"))

    node.refresh_from_db()
    assert node.hello["name"] == "bad\ufffdname"
