"""Tasks of the interface."""

from __future__ import annotations

from touchstone.api.idempotency import answers_forget
from touchstone.core.tasks import durable_task


@durable_task("touchstone.answers_forget", retries=0)
def answers_forget_task() -> None:
    answers_forget()
