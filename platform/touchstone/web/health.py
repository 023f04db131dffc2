"""Is this process alive, and can it do its work? Each check has a short time limit of its own."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.files.base import ContentFile
from django.db import DatabaseError, connection

from touchstone.config.celery import app
from touchstone.core.clock import now
from touchstone.core.storage import storage_delete, storage_open, storage_save
from touchstone.evaluations.models import Node

_SECONDS = 2


def check_database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def check_broker() -> None:
    with app.connection_for_write(connect_timeout=_SECONDS) as broker:
        broker.ensure_connection(max_retries=1, interval_start=0, timeout=_SECONDS)


def check_storage() -> None:
    """Write, read and remove a few bytes."""
    name, data = f"health/{uuid.uuid4().hex}", b"ready"
    storage_save(name=name, file=ContentFile(data))
    try:
        with storage_open(name=name) as stored:
            if stored.read() != data:
                raise OSError("the storage gave back other bytes than were written")
    finally:
        storage_delete(name=name)


def nodes_online() -> int:
    """Nodes that gave a sign of life within the last minute."""
    since = now() - timedelta(seconds=settings.TOUCHSTONE_NODE_ONLINE_SECONDS)
    return Node.objects.filter(disabled_at=None, seen_at__gte=since).count()


CHECKS: dict[str, Callable[[], None]] = {
    "database": check_database,
    "broker": check_broker,
    "storage": check_storage,
}


def readiness() -> tuple[bool, dict[str, Any]]:
    """Whether requests can be served, and the state of each part.

    No node online leaves the site ready: runs wait in the queue, and the page of a run says so. Only the kind
    of an error is told, for its text may name hosts.
    """
    report: dict[str, Any] = {}
    for name, check in CHECKS.items():
        try:
            check()
            report[name] = "ok"
        except Exception as error:  # whatever breaks a part makes the site not ready; the kind is reported
            report[name] = f"failed: {type(error).__name__}"
    ready = all(state == "ok" for state in report.values())
    try:
        report["nodes_online"] = nodes_online()
    except DatabaseError:
        report["nodes_online"] = None
    return ready, report
