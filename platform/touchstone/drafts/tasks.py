"""Tasks of drafts: each fetches by id and calls one service."""

from __future__ import annotations

from touchstone.core.tasks import durable_task
from touchstone.drafts.inspections import inspection_run, inspections_sweep
from touchstone.drafts.rehearsing import rehearsal_prepare, rehearsals_sweep


@durable_task("touchstone.data_inspect")
def data_inspect_task(draft_id: str) -> None:
    inspection_run(draft_id=draft_id)


@durable_task("touchstone.data_inspect_sweep", retries=0)
def data_inspect_sweep_task() -> None:
    inspections_sweep()


@durable_task("touchstone.check_prepare")
def check_prepare_task(competition_id: str) -> None:
    rehearsal_prepare(competition_id=competition_id)


@durable_task("touchstone.check_prepare_sweep", retries=0)
def check_prepare_sweep_task() -> None:
    rehearsals_sweep()
