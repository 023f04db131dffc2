"""queued → running: a node takes a run, and shows that it is still at it."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.core import signing
from django.db import transaction
from django.db.models import Q

from runners.contract import (
    EventBatch,
    FileRef,
    ImagePull,
    Lease,
    RunSpec,
    SplitRef,
    SubmissionRef,
    SurrogateRef,
    surrogate_seconds,
)
from runners.contract import RunEvent as NodeEvent
from runners.spec.models import CompetitionSpec
from touchstone.competitions.models import Competition, DataSplit
from touchstone.core.clock import now
from touchstone.core.errors import Conflict, NotFound
from touchstone.core.text import clean, clean_json
from touchstone.evaluations.events import MAX_EVENTS, MAX_MESSAGE, last_sequence
from touchstone.evaluations.fitness import capabilities, fit_filter, nodes_active
from touchstone.evaluations.logs import logs_add, logs_begin
from touchstone.evaluations.models import Lane, Node, Run, RunEvent, RunStatus
from touchstone.evaluations.services.nodes import node_seen
from touchstone.evaluations.services.queueing import QUICK_BURST, first_waiting
from touchstone.evaluations.services.runs import spec_of, validation_split
from touchstone.evaluations.services.wanted import Surrogate, metric_versions, wanted_of
from touchstone.evaluations.state import run_lock, run_transition
from touchstone.submissions.endpoints import endpoint_ref

_SALT = "touchstone.node-file"
#: What a run may take beyond its own time limit: fetching data and images, the sample, reporting.
_MARGIN_SECONDS = 600


class Fenced(Conflict):
    """The attempt is not this node's, or not any more."""

    code = "fenced"


def run_claim(*, node: Node, queue: str, kinds: Sequence[str], base_url: str = "", key: str = "") -> RunSpec | None:
    """Give `node` the first run that waits in `queue` and that it can take; None where there is none.

    Nor for a node that is drained, in quarantine or resting after a fault of its own. The order is that of
    `queueing`; long runs are given as far as the node has slots. Rows that another node is about to take are skipped,
    so no run is given twice. `base_url` starts the URLs of files (default: the platform's own). A claim with the
    `key` of one before, whose answer was lost, gets the same run again.
    """
    node_seen(node=node)
    moment, base_url = now(), base_url or settings.TOUCHSTONE_BASE_URL
    with transaction.atomic():
        again = _claimed(node, key)
        if again is not None:
            return run_spec(run=again, spec=spec_of(competition=again.submission.phase.competition), base_url=base_url)
        run = _first(node, queue, list(kinds), moment)
        if run is None:
            return None
        spec = spec_of(competition=run.submission.phase.competition)
        row = run_transition(
            run=run, to=RunStatus.RUNNING, reason=f"Attempt {run.attempt + 1} on node {node.name}.",
            attempt=run.attempt + 1, node=node, started_at=moment, not_before=None, estimated_seconds=None,
            environment={"claim": key}, **logs_begin(run=run), **_versions(run, spec),
            lease_until=moment + timedelta(seconds=settings.TOUCHSTONE_LEASE_SECONDS),
            deadline=moment + timedelta(seconds=_longest(run, spec)),
        )  # fmt: skip
        return run_spec(run=row, spec=spec, base_url=base_url)


def _versions(run: Run, spec: CompetitionSpec) -> dict[str, Any]:
    """What the results of this attempt will come from."""
    return {
        "competition_version": run.submission.phase.competition.version,
        "metric_versions": metric_versions(metrics=spec.metrics),
    }


def _claimed(node: Node, key: str) -> Run | None:
    """The run that `node` has by a claim of this key. Until it is reported, a run's environment holds what tells
    messages that arrive twice: the key of its claim, and the number of the last event.
    """
    if not key:
        return None
    Node.objects.select_for_update(no_key=True).get(pk=node.pk)  # else a claim and its twin pass each other
    mine = Run.objects.filter(node=node, status=RunStatus.RUNNING, environment__claim=key)
    return mine.select_related("submission__phase__competition", "submission__phase__split").first()


def _first(node: Node, queue: str, kinds: list[str], moment: datetime) -> Run | None:
    """The run that `node` gets, its row locked. The node's row is locked too: its claims are counted one by one."""
    row = Node.objects.select_for_update(no_key=True).get(pk=node.pk)
    resting = row.rest_until is not None and row.rest_until > moment
    if resting or row.drained_at or row.quarantined_at or row.disabled_at:
        return None
    able = capabilities(node=row)
    others = _others(row)
    for lane in _lanes(row, able.slots, moment):
        found = first_waiting(node=row, able=able, queue=queue, lane=lane, kinds=kinds, others=others)
        if found is not None:
            row.quick_streak = row.quick_streak + 1 if lane == Lane.QUICK else 0
            row.save(update_fields=["quick_streak"])
            return run_lock(run_id=found.pk)
    return None


def _lanes(node: Node, slots: int, moment: datetime) -> list[Lane]:
    """Quick runs first, but long ones in between where many quick ones wait; long ones only for a free slot.

    A slot counts as taken while the lease of its run is renewed: a killed attempt blocks it for half a lease.
    """
    alive = moment + timedelta(seconds=settings.TOUCHSTONE_LEASE_SECONDS / 2)
    taken = Run.objects.filter(node=node, status=RunStatus.RUNNING, lane=Lane.LONG, lease_until__gt=alive).count()
    if taken >= slots:
        return [Lane.QUICK]
    return [Lane.LONG, Lane.QUICK] if node.quick_streak >= QUICK_BURST else [Lane.QUICK, Lane.LONG]


def _others(node: Node) -> Q | None:
    """Runs that some other node could take now; None where there is no other."""
    found = [fit_filter(able=capabilities(node=other)) for other in nodes_active().exclude(pk=node.pk)]
    return functools.reduce(operator.or_, found) if found else None


def _longest(run: Run, spec: CompetitionSpec) -> float:
    resources, count = spec.submission.resources, len(wanted_of(run=run, spec=spec).surrogates)
    return resources.time + resources.start + surrogate_seconds(resources, count) + _MARGIN_SECONDS


def run_spec(*, run: Run, spec: CompetitionSpec, base_url: str) -> RunSpec:
    """Everything the present attempt needs. File URLs are signed for it and die with it."""
    submission, phase = run.submission, run.submission.phase
    sample = _sample(phase.competition, spec, phase.split)
    validation = validation_split(phase=phase, spec=spec)
    wanted = wanted_of(run=run, spec=spec)

    def refs(files: Iterable[dict[str, Any]]) -> tuple[FileRef, ...]:
        return tuple(
            FileRef(name=f["name"], sha256=f["sha256"], size=f["size"], url=_url(run, f["sha256"], base_url))
            for f in files
        )

    def split(found: DataSplit) -> SplitRef:
        return SplitRef(name=found.name, visibility=found.visibility, digest=found.digest, files=refs(found.files))

    def surrogate(of: Surrogate) -> SurrogateRef:
        (file,) = refs([{"name": f"{of.name}.onnx", "sha256": of.sha256, "size": of.size}])
        return SurrogateRef(name=of.name, file=file, required=of.required)

    return RunSpec(
        run=str(run.pk), attempt=run.attempt, competition=phase.competition.slug, phase=phase.slug,
        submission=SubmissionRef(
            id=str(submission.pk), kind=submission.kind, files=refs(submission.files), image=submission.image,
            pull=_pull(run) if submission.image else None,
        ),
        task=spec.task, input=spec.input, attributes=spec.attributes, aggregate=spec.aggregate,
        resources=spec.submission.resources, metrics=wanted.metrics, split=split(phase.split),
        sample=split(sample) if sample is not None else None,
        validation=split(validation) if validation is not None else None,
        surrogates=tuple(surrogate(of) for of in wanted.surrogates),
        endpoint=endpoint_ref(submission=submission, spec=spec) if submission.endpoint else None,
        seed=run.seed, lease_seconds=settings.TOUCHSTONE_LEASE_SECONDS,
    )  # fmt: skip


def _pull(run: Run) -> ImagePull | None:
    # Later than at import: the registry's app builds on this one.
    from touchstone.registry.services import run_pull

    return run_pull(run=run)


def _sample(competition: Competition, spec: CompetitionSpec, split: DataSplit) -> DataSplit | None:
    """The split every submission is tried on first, where the competition has one besides the phase's own."""
    if "sample" not in spec.data or split.name == "sample":
        return None
    return DataSplit.objects.filter(competition=competition, name="sample").first()


def _url(run: Run, sha256: str, base_url: str) -> str:
    signed = signing.dumps([str(run.pk), run.attempt, sha256], salt=_SALT)
    return f"{base_url.rstrip('/')}/node/v1/files/{signed}"


def file_signed(*, signed: str) -> str:
    """The SHA-256 that a signed file name stands for, while its attempt runs. Raises `NotFound`."""
    refused = NotFound("This file URL is not valid, or its attempt is over.", "Claim a run to get fresh URLs.")
    try:
        run_id, attempt, sha256 = signing.loads(signed, salt=_SALT)
    except (signing.BadSignature, ValueError):
        raise refused from None
    if not Run.objects.filter(pk=run_id, attempt=attempt, status=RunStatus.RUNNING).exists():
        raise refused
    return str(sha256)


def attempt_lock(*, node: Node, run_id: object, attempt: int) -> Run:
    """The run, locked, if `attempt` is the present one and `node` has it. Raises `Fenced`."""
    run = run_lock(run_id=run_id)
    if run.status != RunStatus.RUNNING or run.attempt != attempt or run.node_id != node.pk:
        raise Fenced(
            f"Attempt {attempt} of run {run.pk} is over: the run is {run.status}, attempt {run.attempt}.",
            "Stop working on it and claim another run.",
        )
    return run


def lease_renew(*, node: Node, run_id: object, attempt: int) -> Lease:
    """Keep an attempt alive. The answer says whether it should stop. Raises `Fenced`."""
    node_seen(node=node)
    seconds = settings.TOUCHSTONE_LEASE_SECONDS
    with transaction.atomic():
        run = attempt_lock(node=node, run_id=run_id, attempt=attempt)
        run.lease_until = now() + timedelta(seconds=seconds)
        run.save(update_fields=["lease_until"])
    return Lease(seconds=seconds, cancel=run.cancel_requested)


def events_append(*, node: Node, run_id: object, attempt: int, batch: EventBatch) -> None:
    """Add a node's events to the run's history; lines of the log go to the log. Raises `Fenced`.

    An event that has a number (`data.n`, rising within an attempt) is taken once, however often it arrives.
    """
    with transaction.atomic():
        run = attempt_lock(node=node, run_id=run_id, attempt=attempt)
        fresh = _unseen(run, batch)
        logs_add(run=run, events=fresh)
        first = last_sequence(run=run) + 1
        kept = [event for event in fresh if event.kind != "log"][: max(0, MAX_EVENTS - first)]
        moment = now()  # our clock: a node's may be wrong, its own time is kept beside it
        RunEvent.objects.bulk_create(
            RunEvent(
                run=run, sequence=first + i, attempt=attempt, at=moment, kind=event.kind,
                message=clean(event.message, limit=MAX_MESSAGE), data=clean_json({**event.data, "node_at": event.at}),
            )
            for i, event in enumerate(kept)
        )  # fmt: skip


def _unseen(run: Run, batch: EventBatch) -> list[NodeEvent]:
    """The events that did not come before. The caller holds the row's lock."""
    last = run.environment.get("events", 0)
    fresh = [event for event in batch.events if not isinstance(n := event.data.get("n"), int) or n > last]
    numbers = [n for event in fresh if isinstance(n := event.data.get("n"), int)]
    if numbers:
        run.environment = {**run.environment, "events": max(numbers)}
        run.save(update_fields=["environment"])
    return fresh
