"""A browser on a live server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from tests.factories.browsing import chromium_runs, pages_open

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page
    from pytest_django.live_server_helper import LiveServer

    OpenPage = Callable[..., Page]


@pytest.fixture(scope="module")
def browser(chromium: str, django_db_setup: None) -> Iterator[Browser]:
    with pytest.MonkeyPatch.context() as patch, chromium_runs(chromium) as running:
        # Playwright runs a loop in this thread, and Django would refuse the database beside one.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        yield running


@pytest.fixture
def open_page(browser: Browser, live_server: LiveServer) -> Iterator[OpenPage]:
    """Make a page on the live server. A broken rule of the content policy, or a script error, fails the test."""
    with pages_open(browser, live_server.url) as make:
        yield make
