"""Tasks of submissions."""

from __future__ import annotations

import contextlib

from touchstone.accounts.models import User
from touchstone.competitions.models import Phase
from touchstone.core.errors import UserError
from touchstone.core.tasks import durable_task
from touchstone.submissions.finals import finals_start
from touchstone.submissions.uploads import uploads_expire


@durable_task("touchstone.uploads_expire", retries=0)
def uploads_expire_task() -> None:
    uploads_expire()


@durable_task("touchstone.finals_start")
def finals_start_task(phase_id: str, user_id: str) -> None:
    """Where it is lost, the organisers' page shows what is left, and its button goes on."""
    phase = Phase.objects.select_related("competition").get(pk=phase_id)
    with contextlib.suppress(UserError):  # somebody else was faster, or it was published
        finals_start(phase=phase, by=User.objects.get(pk=user_id))
