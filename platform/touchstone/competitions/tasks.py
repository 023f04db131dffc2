"""Tasks of competitions: each fetches by id and calls one service."""

from __future__ import annotations

from touchstone.competitions.announcing import announcement_mail, announcements_mail
from touchstone.core.tasks import durable_task


@durable_task("touchstone.announcement_mail")
def announcement_mail_task(announcement_id: str) -> None:
    announcement_mail(announcement_id=announcement_id)


@durable_task("touchstone.announcements_mail", retries=0)
def announcements_mail_task() -> None:
    announcements_mail()
