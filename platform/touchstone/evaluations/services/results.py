"""running → scored, failed, cancelled or back to queued: what a node reports, taken once and in one transaction."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction

from runners.contract import PARTICIPANT_VERDICTS, MetricResult, RunResult, Verdict, dump
from touchstone.audit.services import audit_append
from touchstone.core.clock import now
from touchstone.core.errors import UserError
from touchstone.core.text import clean, clean_json
from touchstone.evaluations.events import event_add
from touchstone.evaluations.fitness import nodes_active, nodes_for
from touchstone.evaluations.logs import logs_end
from touchstone.evaluations.models import Lane, Node, Result, Run, RunStatus
from touchstone.evaluations.services.claims import attempt_lock
from touchstone.evaluations.services.node_states import is_better_elsewhere, is_node_fault, node_fault, node_worked
from touchstone.evaluations.services.nodes import node_seen
from touchstone.evaluations.services.runs import run_enqueue, run_fail
from touchstone.evaluations.state import run_lock, run_transition
from touchstone.leaderboards.services import entries_update

_MAX_RESULTS = 5_000
#: So long a run is left to other nodes than the one that failed it: they may be full, or gone.
_AVOIDED = timedelta(seconds=60)
_LENGTHS = {"key": 200, "metric": 100, "pillar": 20, "unit": 30}


class ResultInvalid(UserError):
    """The report breaks the contract. The node must not send it again as it is."""

    status = 422
    code = "invalid_result"


def result_accept(*, node: Node, result: RunResult) -> str:
    """Take the report of one attempt and return the run's state.

    Results, state, leaderboard entries, events and audit are written together or not at all. The same report
    again returns the state and changes nothing. Raises `Fenced`, `ResultInvalid`.
    """
    node_seen(node=node)
    result_validate(result=result)
    with transaction.atomic():
        run = run_lock(run_id=result.run)
        if run.reported_attempt == result.attempt and run.attempt == result.attempt:
            return str(run.status)
        run = attempt_lock(node=node, run_id=result.run, attempt=result.attempt)
        fields = _facts(run, result)
        if _shows_health(run, result):  # before anything is audited: that lock is taken last
            node_worked(node=node)
        if run.cancel_requested:
            run_transition(run=run, to=RunStatus.CANCELLED, reason="Cancelled, as asked.", **fields)
        elif result.verdict is Verdict.PLATFORM:
            platform_fault(run=run, code=_code(result), message=clean(result.message), pause=True, **fields)
        elif result.verdict is Verdict.OK:
            _score(run, node, result, fields)
        elif result.verdict in PARTICIPANT_VERDICTS:
            _participant_failed(run, result, fields)
        else:
            run_fail(
                run=run,
                verdict="scorer",
                code=_code(result),
                message=clean(result.message),
                hint=clean(result.hint),
                **fields,
            )
    return str(run.status)


def result_validate(*, result: RunResult) -> None:
    """Refuse what the tables could not hold: doubled keys, NaN, overlong names. Raises `ResultInvalid`."""
    keys = [r.key for r in result.results]
    if len(keys) > _MAX_RESULTS:
        raise ResultInvalid(f"{len(keys)} results; at most {_MAX_RESULTS} are taken.")
    doubled = sorted({key for key in keys if keys.count(key) > 1}) if len(set(keys)) != len(keys) else []
    if doubled:
        raise ResultInvalid(f"Result keys must be unique; doubled: {', '.join(doubled[:5])}.")
    for r in result.results:
        _one_valid(r)


def _one_valid(r: MetricResult) -> None:
    for name in ("value", "low", "high", "seconds"):
        number = getattr(r, name)
        if number is not None and not math.isfinite(number):
            raise ResultInvalid(
                f"{name} of {r.key} is {number}.", "An undefined value is null, with a state and a reason."
            )
    if (r.value is None) == (r.state == "ok"):
        raise ResultInvalid(
            f"{r.key} has state {r.state} and value {r.value}.", "A value is there exactly when the state is ok."
        )
    for name, limit in _LENGTHS.items():
        if len(getattr(r, name)) > limit:
            raise ResultInvalid(f"{name} {getattr(r, name)[:40]!r}… has more than {limit} characters.")


def _code(result: RunResult) -> str:
    return clean(result.code or result.verdict.value, limit=60)


def _facts(run: Run, result: RunResult) -> dict[str, Any]:
    """What is kept of an attempt however it ended."""
    return {
        "reported_attempt": result.attempt,
        "engine": clean_json(dump(result.engine)) if result.engine else None,
        "environment": clean_json(dict(result.environment)),
        "stages": clean_json(dict(result.stages)),
        "peak_memory": result.peak_memory,
        "estimated_seconds": result.estimated_seconds,
        **logs_end(run=run, sample=result.sample_log, whole=result.log),
    }


def _shows_health(run: Run, result: RunResult) -> bool:
    """Whether this attempt shows that the node's engine works: a prediction file needs none, nor does what failed
    before its sandbox began or was cancelled.
    """
    ended = result.verdict is Verdict.OK or result.verdict in PARTICIPANT_VERDICTS
    return ended and run.lane == Lane.LONG and result.engine is not None and not run.cancel_requested


def _score(run: Run, node: Node, result: RunResult, fields: dict[str, Any]) -> None:
    Result.objects.bulk_create(_row(run, i, r) for i, r in enumerate(result.results))
    row = run_transition(run=run, to=RunStatus.SCORED, reason="Scored.", verdict=Verdict.OK.value, **fields)
    if row.submission.original_id is None and not row.submission.is_check:  # the runs of those are no scores
        entries_update(run=row)
    primary = {r.key: r.value for r in result.results[:50]}
    audit_append(
        actor=None, act="run.score", subject=f"run:{row.pk}",
        data={"attempt": row.attempt, "node": node.name, "results": primary},
    )  # fmt: skip


def _row(run: Run, position: int, r: MetricResult) -> Result:
    return Result(
        run=run, position=position, key=clean(r.key), metric=clean(r.metric), pillar=r.pillar,
        title=clean(r.title, limit=200), value=r.value, low=r.low, high=r.high, n=r.n, unit=clean(r.unit),
        direction=r.direction, state=r.state, reason=clean(r.reason), parameters=clean_json(dict(r.parameters)),
        details=clean_json(dict(r.details)), seconds=r.seconds,
    )  # fmt: skip


def _participant_failed(run: Run, result: RunResult, fields: dict[str, Any]) -> None:
    """The submission's own fault: nothing was scored, so it takes none of the quota; such failures have a limit."""
    message = clean(result.message)  # where it says nothing, the explanation of its code does
    reason = message or f"The submission ended with {result.verdict.value}."
    row = run_transition(
        run=run, to=RunStatus.FAILED, reason=reason, verdict=result.verdict.value, code=_code(result), message=message,
        hint=clean(result.hint), counts_quota=False, **fields,
    )  # fmt: skip
    audit_append(
        actor=None, act="run.fail", subject=f"run:{row.pk}", data={"verdict": result.verdict.value, "code": row.code}
    )


def platform_fault(*, run: Run, code: str, message: str, pause: bool = False, **fields: Any) -> Run:
    """An attempt was lost through us: the run goes back to the queue, or ends after the third time.

    `pause` waits before the next attempt, longer each time: a broken node must not burn all three at once. Where the
    fault is the node's own, the next attempt is on another, if there is one that can take it, and need not wait.
    The caller holds the row's lock.
    """
    faults = run.faults + 1
    if is_node_fault(code=code):
        node_fault(run=run, code=code, message=message)
    if is_better_elsewhere(code=code):
        fields |= {"avoid": run.node, "avoid_until": now() + _AVOIDED}
        pause = pause and not nodes_for(run=run, nodes=nodes_active().exclude(pk=run.node_id))
    if faults >= settings.TOUCHSTONE_MAX_FAULTS:
        return run_fail(
            run=run, verdict="platform", code=code, faults=faults,
            message=f"The platform could not evaluate this submission in {faults} attempts. Last: {message or code}",
            **fields,
        )  # fmt: skip
    wait = timedelta(seconds=5 * 3 ** (faults - 1)) if pause else timedelta()
    event_add(run=run, kind="note", message=f"Attempt {run.attempt} was lost: {message or code}", data={"code": code})
    return run_enqueue(
        run=run, reason="Back in the queue; this attempt does not count.", faults=faults,
        not_before=now() + wait if pause else None, **fields,
    )  # fmt: skip


def run_release(*, node: Node, run_id: object, attempt: int, lost: bool = False) -> None:
    """A node gives a run back. Raises `Fenced`.

    When it shuts down, or has no room, that is no fault of anybody and counts as none. `lost`: what supervised the run
    died, and a restarted worker found it; that is an attempt lost through us, and the next may begin at once, on any
    node.
    """
    with transaction.atomic():
        run = attempt_lock(node=node, run_id=run_id, attempt=attempt)
        if run.cancel_requested:
            run_transition(run=run, to=RunStatus.CANCELLED, reason="Cancelled, as asked.")
        elif lost:
            platform_fault(run=run, code="supervisor_lost", message=f"node {node.name} lost what supervised the run")
        else:
            run_enqueue(run=run, reason=f"Node {node.name} gave the run back: it stops, or has no room now.")
