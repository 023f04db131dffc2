"""Messages: by name, after the commit, and never in the way."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest
from django.db import transaction
from kombu.exceptions import OperationalError

from touchstone.config import celery_app
from touchstone.core import tasks
from touchstone.core.tasks import durable_task, enqueue, nudge
from touchstone.evaluations.tasks import runs_sweep_task, submission_check_task
from touchstone.submissions.tasks import uploads_expire_task

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sent(monkeypatch):
    calls = []
    monkeypatch.setattr(tasks, "_quiet_until", 0.0)
    monkeypatch.setattr(celery_app, "send_task", lambda name, **options: calls.append((name, options)))
    return calls


def test_sent_after_the_commit(sent) -> None:
    with transaction.atomic():
        enqueue("touchstone.x", "1")
        nudge(run_id="r", queue="gpu")
        assert sent == []

    assert [(name, o["args"], o["queue"]) for name, o in sent] == [
        ("touchstone.x", ["1"], "server"), ("touchstone.nudge", ["r"], "gpu")
    ]  # fmt: skip


def test_not_sent_after_a_rollback(sent) -> None:
    try:
        with transaction.atomic():
            enqueue("touchstone.x", "1")
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass

    assert sent == []


@pytest.mark.parametrize("error", [ConnectionRefusedError("no"), OperationalError("no"), ValueError("protocol error")])
def test_a_broker_that_is_away_is_logged_and_left_alone_for_a_while(monkeypatch, error) -> None:
    calls = []

    def refused(*_, **__):
        calls.append(1)
        raise error

    monkeypatch.setattr(celery_app, "send_task", refused)
    monkeypatch.setattr(tasks, "_quiet_until", 0.0)

    nudge(run_id="r", queue="cpu")
    nudge(run_id="r", queue="cpu")
    assert len(calls) == 1
    monkeypatch.setattr(tasks, "_quiet_until", 0.0)
    nudge(run_id="r", queue="cpu")

    assert len(calls) == 2


def test_a_dead_or_silent_redis_costs_seconds_at_most() -> None:
    """One that refuses, and one that accepts and never answers, in a process that has the real settings."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(5)
        urls = ["redis://127.0.0.1:9/0", f"redis://127.0.0.1:{silent.getsockname()[1]}/0"]
        seconds = [_send_to(url) for url in urls]

    assert seconds[0] < 2
    assert seconds[1] < 6


def _send_to(url: str) -> float:
    code = (
        "import time, django; django.setup()\nfrom touchstone.core.tasks import _send\n"
        "began = time.monotonic(); _send('touchstone.nudge', ['r'], queue='cpu'); print(time.monotonic() - began)"
    )
    environment = {
        "DJANGO_SETTINGS_MODULE": "touchstone.config.settings.dev", "PYTHONPATH": os.pathsep.join(sys.path),
        "TOUCHSTONE_BROKER_URL": url, "TOUCHSTONE_VAR": os.environ["TOUCHSTONE_VAR"],
    }  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert "broker.unreachable" in done.stderr
    return float(done.stdout.splitlines()[-1])


def test_tasks_are_declared_as_durable() -> None:
    assert celery_app.conf.accept_content == ["json"]
    assert celery_app.conf.task_ignore_result
    for task in (submission_check_task, runs_sweep_task, uploads_expire_task):
        assert task.name in celery_app.tasks
        assert (task.acks_late, task.reject_on_worker_lost, task.ignore_result) == (True, True, True)
    assert celery_app.conf.task_default_queue == "server"
    celery_app.loader.import_default_modules()  # as a worker does when it starts
    for entry in celery_app.conf.beat_schedule.values():
        assert entry["task"] in celery_app.tasks


def test_a_task_hands_its_arguments_on() -> None:
    seen = []

    @durable_task("touchstone.test_only")
    def example(run_id: str) -> None:
        seen.append(run_id)

    example("r1")

    assert seen == ["r1"]
