"""A site with a throw-away database and a clock that stands still, for as long as pictures are taken."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

from scripts.services import Services

#: When the pictures are taken.
MOMENT = datetime(2026, 3, 17, 10, 30, tzinfo=UTC)


class Clock:
    """What the server takes for the present."""

    def __init__(self) -> None:
        self.at = MOMENT

    def now(self) -> datetime:
        return self.at

    def before(self, **ago: float) -> None:
        """Stand so long before the moment of the pictures."""
        self.at = MOMENT - timedelta(**ago)


@contextmanager
def site() -> Iterator[tuple[str, Clock, Path]]:
    """Address of a running site, its clock, and a folder to work in."""
    with tempfile.TemporaryDirectory(prefix="touchstone-pictures-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # as root, PostgreSQL runs under its own user and passes through
        with Services(folder / "services", durable=False, want=("postgres",)) as services:
            os.environ.update(services.environment)
            os.environ.update(
                DJANGO_SETTINGS_MODULE="touchstone.config.settings.test",
                DJANGO_ALLOW_ASYNC_UNSAFE="1",
                TOUCHSTONE_VAR=str(folder / "var"),
                TOUCHSTONE_STORAGE=str(folder / "storage"),
                TOUCHSTONE_ALLOWED_HOSTS="localhost,127.0.0.1,testserver",
                TOUCHSTONE_BASE_URL="https://touchstone.example.org",
            )
            with _served() as url, _clock() as clock:
                yield url, clock, folder


@contextmanager
def _served() -> Iterator[str]:
    import django

    django.setup()
    from django.db import connection, connections
    from django.test.utils import setup_test_environment, teardown_test_environment
    from pytest_django.live_server_helper import LiveServer

    setup_test_environment(debug=False)
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    server = LiveServer("localhost")
    try:
        yield server.url
    finally:
        server.stop()
        connections.close_all()
        connection.creation.destroy_test_db("touchstone", verbosity=0)
        teardown_test_environment()


@contextmanager
def _clock() -> Iterator[Clock]:
    clock = Clock()
    with mock.patch("django.utils.timezone.now", clock.now):
        yield clock
