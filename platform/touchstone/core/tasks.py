"""Durable tasks: a message carries ids only, may be lost or doubled, and never breaks the caller.

`durable_task` declares, `enqueue` sends after the commit, `nudge` pokes a node. A broker that is down is
logged; the sweeper sends again.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

import structlog
from celery import Task, current_app, shared_task
from django.db import OperationalError, transaction

log = structlog.get_logger(__name__)

NUDGE = "touchstone.nudge"

#: After a failure nothing is sent for a while: a broker that hangs would cost every request its timeout.
_QUIET_SECONDS = 5.0
_quiet_until = 0.0


def durable_task(name: str, *, retries: int = 3) -> Callable[[Callable[..., Any]], Task]:
    """Declare a task. It is acknowledged after it ran and given back when its process dies.

    A database that is briefly away is tried again with growing, jittered pauses. Every other error is logged
    by Celery and left to the sweeper, which looks at the row.
    """

    def wrap(function: Callable[..., Any]) -> Task:
        @functools.wraps(function)
        def run(*args: Any) -> None:
            function(*args)

        return shared_task(
            run,
            name=name,
            acks_late=True,
            reject_on_worker_lost=True,
            ignore_result=True,
            autoretry_for=(OperationalError,),
            max_retries=retries,
            retry_backoff=1,
            retry_backoff_max=60,
            retry_jitter=True,
        )

    return wrap


def enqueue(name: str, *args: str, queue: str = "server") -> None:
    """Send the task `name` once the transaction is committed. Never raises for a broker that is away.

    By name, so that services need not import the tasks that call them.
    """
    transaction.on_commit(lambda: _send(name, list(args), queue=queue), robust=True)


def nudge(*, run_id: str, queue: str) -> None:
    """Tell the nodes of `queue`, after the commit, that there is work."""
    # A nudge that nobody took is worthless once the sweeper has sent the next.
    transaction.on_commit(lambda: _send(NUDGE, [run_id], queue=queue, expires=60), robust=True)


def _send(name: str, args: list[str], **options: Any) -> None:
    global _quiet_until
    if time.monotonic() < _quiet_until:
        return
    try:
        current_app.send_task(name, args=args, ignore_result=True, **options)
    except Exception as error:  # whatever the broker's client raises: the row is written, the sweeper sends again
        log.warning("broker.unreachable", task=name, args=args, error=f"{type(error).__name__}: {error}")
        _quiet_until = time.monotonic() + _QUIET_SECONDS
