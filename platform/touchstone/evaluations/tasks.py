"""Tasks of runs: each fetches by id and calls one service."""

from __future__ import annotations

from touchstone.core.tasks import durable_task
from touchstone.evaluations.services import rerun_continue, run_check, runs_sweep


@durable_task("touchstone.submission_check")
def submission_check_task(run_id: str) -> None:
    run_check(run_id=run_id)


@durable_task("touchstone.rerun_continue")
def rerun_continue_task(rerun_id: str) -> None:
    rerun_continue(rerun_id=rerun_id)


@durable_task("touchstone.runs_sweep", retries=0)
def runs_sweep_task() -> None:
    runs_sweep()
