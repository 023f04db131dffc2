"""Part of the images: a Celery worker that still hears its broker touches a file, and the health check looks at it.

Loaded with `celery worker --include alive`. Asking a worker by `celery inspect ping` starts a Python each time, which
costs a node as much as a short run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from celery.signals import heartbeat_sent, worker_ready

_FILE = Path("/tmp/alive")  # noqa: S108 - the container's own tmpfs


@worker_ready.connect(weak=False)
@heartbeat_sent.connect(weak=False)
def _touch(**_: Any) -> None:
    _FILE.touch()
