"""Tasks of submissions."""

from __future__ import annotations

from touchstone.core.tasks import durable_task
from touchstone.submissions.uploads import uploads_expire


@durable_task("touchstone.uploads_expire", retries=0)
def uploads_expire_task() -> None:
    uploads_expire()
