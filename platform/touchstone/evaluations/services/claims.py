"""queued → running: a node takes a run, and shows that it is still at it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core import signing
from django.db import transaction
from django.db.models import Q

from runners.contract import EventBatch, FileRef, Lease, RunSpec, SplitRef, SubmissionRef
from runners.spec.models import CompetitionSpec
from touchstone.competitions.models import Competition, DataSplit
from touchstone.core.clock import now
from touchstone.core.errors import Conflict, NotFound
from touchstone.core.text import clean, clean_json
from touchstone.evaluations.events import MAX_EVENTS, MAX_MESSAGE, last_sequence, log_join
from touchstone.evaluations.models import Node, Run, RunEvent, RunStatus
from touchstone.evaluations.services.nodes import node_seen
from touchstone.evaluations.services.runs import run_enqueue, spec_of
from touchstone.evaluations.state import run_lock, run_transition

_SALT = "touchstone.node-file"
#: What a run may take beyond its own time limit: fetching data and images, the sample, reporting.
_MARGIN_SECONDS = 600


class Fenced(Conflict):
    """The attempt is not this node's, or not any more."""

    code = "fenced"


def run_claim(*, node: Node, queue: str, kinds: Sequence[str], base_url: str = "") -> RunSpec | None:
    """Give `node` the first run that waits in `queue` and is of a kind it can run; None where there is none.

    Rows that another node is about to take are skipped, so no run is given twice. `base_url` starts the URLs of
    files (default: the platform's own).
    """
    node_seen(node=node)
    moment = now()
    with transaction.atomic():
        run = (
            Run.objects.select_for_update(skip_locked=True, of=("self",))
            .select_related("submission__phase__competition", "submission__phase__split")
            .filter(status=RunStatus.QUEUED, queue=queue, submission__kind__in=list(kinds))
            .filter(Q(not_before=None) | Q(not_before__lte=moment))
            .order_by("queued_at", "id")
            .first()
        )
        if run is None:
            return None
        spec = spec_of(competition=run.submission.phase.competition)
        row = run_transition(
            run=run, to=RunStatus.RUNNING, reason=f"Attempt {run.attempt + 1} on node {node.name}.",
            attempt=run.attempt + 1, node=node, started_at=moment, not_before=None, log="",
            lease_until=moment + timedelta(seconds=settings.TOUCHSTONE_LEASE_SECONDS),
            deadline=moment + timedelta(seconds=_longest(spec)),
        )  # fmt: skip
        return run_spec(run=row, spec=spec, base_url=base_url or settings.TOUCHSTONE_BASE_URL)


def _longest(spec: CompetitionSpec) -> float:
    resources = spec.submission.resources
    return resources.time + resources.start + _MARGIN_SECONDS


def run_spec(*, run: Run, spec: CompetitionSpec, base_url: str) -> RunSpec:
    """Everything the present attempt needs. File URLs are signed for it and die with it."""
    submission, phase = run.submission, run.submission.phase
    sample = _sample(phase.competition, spec, phase.split)

    def refs(files: Iterable[dict[str, Any]]) -> tuple[FileRef, ...]:
        return tuple(
            FileRef(name=f["name"], sha256=f["sha256"], size=f["size"], url=_url(run, f["sha256"], base_url))
            for f in files
        )

    def split(found: DataSplit) -> SplitRef:
        return SplitRef(name=found.name, visibility=found.visibility, digest=found.digest, files=refs(found.files))

    return RunSpec(
        run=str(run.pk), attempt=run.attempt, competition=phase.competition.slug, phase=phase.slug,
        submission=SubmissionRef(
            id=str(submission.pk), kind=submission.kind, files=refs(submission.files), image=submission.image
        ),
        task=spec.task, input=spec.input, attributes=spec.attributes, aggregate=spec.aggregate,
        resources=spec.submission.resources, metrics=spec.metrics, split=split(phase.split),
        sample=split(sample) if sample is not None else None,
        seed=run.seed, lease_seconds=settings.TOUCHSTONE_LEASE_SECONDS,
    )  # fmt: skip


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
    """Add a node's events to the run's history; lines of the log go to the log. Raises `Fenced`."""
    with transaction.atomic():
        run = attempt_lock(node=node, run_id=run_id, attempt=attempt)
        lines = [event.message for event in batch.events if event.kind == "log"]
        if lines:
            run.log = log_join(
                log=run.log, more="".join(line if line.endswith("\n") else line + "\n" for line in lines)
            )
            run.save(update_fields=["log"])
        first = last_sequence(run=run) + 1
        kept = [event for event in batch.events if event.kind != "log"][: max(0, MAX_EVENTS - first)]
        moment = now()  # our clock: a node's may be wrong, its own time is kept beside it
        RunEvent.objects.bulk_create(
            RunEvent(
                run=run, sequence=first + i, attempt=attempt, at=moment, kind=event.kind,
                message=clean(event.message, limit=MAX_MESSAGE), data=clean_json({**event.data, "node_at": event.at}),
            )
            for i, event in enumerate(kept)
        )  # fmt: skip


def run_release(*, node: Node, run_id: object, attempt: int) -> None:
    """A node that shuts down gives its run back. That is no fault of the run and counts as none. Raises `Fenced`."""
    with transaction.atomic():
        run = attempt_lock(node=node, run_id=run_id, attempt=attempt)
        if run.cancel_requested:
            run_transition(run=run, to=RunStatus.CANCELLED, reason="Cancelled, as asked.")
        else:
            run_enqueue(run=run, reason=f"Node {node.name} is shutting down and gave the run back.")
