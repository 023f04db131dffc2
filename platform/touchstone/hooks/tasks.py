"""Tasks of webhooks."""

from __future__ import annotations

from touchstone.core.tasks import durable_task
from touchstone.hooks.delivering import deliveries_forget, hooks_deliver
from touchstone.hooks.events import DELIVER, phases_event


@durable_task(DELIVER, retries=0)
def hooks_deliver_task() -> None:
    """Send what is due; the clock sends again."""
    hooks_deliver()


@durable_task("touchstone.hooks_tidy", retries=0)
def hooks_tidy_task() -> None:
    """Tell of phases that opened or closed, and forget what was sent long ago."""
    phases_event()
    deliveries_forget()
