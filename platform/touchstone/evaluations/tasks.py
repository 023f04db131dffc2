"""Tasks of runs: each fetches by id and calls one service."""

from __future__ import annotations

from touchstone.core.tasks import durable_task
from touchstone.evaluations.services import run_check, runs_sweep


@durable_task("touchstone.submission_check")
def submission_check_task(run_id: str) -> None:
    run_check(run_id=run_id)


@durable_task("touchstone.runs_sweep", retries=0)
def runs_sweep_task() -> None:
    runs_sweep()
