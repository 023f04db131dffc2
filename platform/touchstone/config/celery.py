"""The server's Celery app: intake checks, the sweeper, and nudges to nodes.

A message is only a nudge: every task reads the row in PostgreSQL and does what the row asks for, so a
lost, doubled or late message changes nothing.
"""

from __future__ import annotations

import os
import socket

from celery import Celery, signals
from kombu import Queue

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "touchstone.config.settings.dev")

app = Celery("touchstone")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.update(
    accept_content=["json"],
    task_serializer="json",
    result_serializer="json",
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_default_queue="server",
    task_queues=[Queue("server")],
    task_create_missing_queues=True,
    task_publish_retry=False,
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    # Nodes share the broker, and might order this worker about where Redis lets them: docs/operating.md. Without it,
    # a worker whose processes are all busy while Redis dies notices once one of them has time again.
    worker_enable_remote_control=os.environ.get("TOUCHSTONE_REMOTE_CONTROL") != "0",
    worker_cancel_long_running_tasks_on_connection_loss=False,
    broker_connection_retry_on_startup=True,
    broker_connection_timeout=2,
    # Short: a request must not wait for a dead broker. Recovery comes from leases, so the time after which
    # Redis hands a message out again may be long.
    broker_transport_options={
        "socket_connect_timeout": 2,
        "socket_timeout": 3,
        # A host that loses power says no goodbye: after a minute of silence the connection counts as lost.
        "socket_keepalive": True,
        "socket_keepalive_options": {socket.TCP_KEEPIDLE: 30, socket.TCP_KEEPINTVL: 10, socket.TCP_KEEPCNT: 3},
        "max_retries": 0,
        "visibility_timeout": 86_400,
        # What the server has taken, apart from the nodes' list: an entry is put back to the queue that it names, by
        # whoever finds it there.
        "unacked_key": "server.unacked",
        "unacked_index_key": "server.unacked_index",
        "unacked_mutex_key": "server.unacked_mutex",
    },
    timezone="UTC",
    enable_utc=True,
    beat_scheduler="celery.beat.Scheduler",  # in memory: nothing in the schedule needs to outlive a restart
    beat_schedule={
        "runs-sweep": {"task": "touchstone.runs_sweep", "schedule": 5.0, "options": {"expires": 5}},
        "announcements-mail": {"task": "touchstone.announcements_mail", "schedule": 60.0, "options": {"expires": 60}},
        "uploads-expire": {"task": "touchstone.uploads_expire", "schedule": 600.0, "options": {"expires": 600}},
        "check-prepare-sweep": {"task": "touchstone.check_prepare_sweep", "schedule": 30.0, "options": {"expires": 30}},
        "hooks-deliver": {"task": "touchstone.hooks_deliver", "schedule": 10.0, "options": {"expires": 10}},
        "hooks-tidy": {"task": "touchstone.hooks_tidy", "schedule": 60.0, "options": {"expires": 60}},
        "answers-forget": {"task": "touchstone.answers_forget", "schedule": 3600.0, "options": {"expires": 3600}},
        "exports-sweep": {"task": "touchstone.exports_sweep", "schedule": 60.0, "options": {"expires": 60}},
        "data-inspect-sweep": {"task": "touchstone.data_inspect_sweep", "schedule": 30.0, "options": {"expires": 30}},
    },
)
app.autodiscover_tasks(
    [
        "touchstone.competitions",
        "touchstone.submissions",
        "touchstone.evaluations",
        "touchstone.drafts",
        "touchstone.exports",
        "touchstone.hooks",
        "touchstone.api",
    ]
)


@signals.setup_logging.connect(weak=False)
def _keep_logging(**_: object) -> None:
    """Celery leaves logging alone when this signal has a receiver: the settings have configured it."""


@signals.worker_process_init.connect(weak=False)
def _warm_up(**_: object) -> None:
    """The first check of a file finds a warm process, as every other does."""
    from touchstone.evaluations.intake import intake_warm_up  # later: Django is set up by now

    intake_warm_up()
