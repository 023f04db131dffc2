"""Tasks of exports: each fetches by id and calls one service."""

from __future__ import annotations

from touchstone.core.tasks import durable_task
from touchstone.exports.services import export_run, exports_sweep


@durable_task("touchstone.export_run")
def export_run_task(export_id: str) -> None:
    export_run(export_id=export_id)


@durable_task("touchstone.exports_sweep", retries=0)
def exports_sweep_task() -> None:
    exports_sweep()
