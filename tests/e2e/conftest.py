"""A browser on a live server. Nothing leaves this machine: background networking is off, other hosts are refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page
    from pytest_django.live_server_helper import LiveServer

    OpenPage = Callable[..., Page]

_FLAGS = [
    "--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run", "--no-default-browser-check",
]  # fmt: skip


@pytest.fixture(scope="module")
def browser(chromium: str, django_db_setup: None) -> Iterator[Browser]:
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # Playwright runs a loop in this thread, and Django would refuse the database beside one.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        running = playwright.chromium.launch(executable_path=chromium, headless=True, args=_FLAGS)
        yield running
        running.close()


@pytest.fixture
def open_page(browser: Browser, live_server: LiveServer) -> Iterator[OpenPage]:
    """Make a page on the live server. A broken rule of the content policy, or a script error, fails the test."""
    home = urlsplit(live_server.url).netloc
    said: list[str] = []
    contexts = []

    # A sandbox that starts beside these tests changes the machine's interfaces: a request is lost, and asked again.
    expected = {"status of 422", "ERR_NETWORK_CHANGED"}

    def make(*, refused: str = "", **options: object) -> Page:
        """`refused`: a status that the test expects, besides 422."""
        expected.add(f"status of {refused or 422}")
        context = browser.new_context(base_url=live_server.url, reduced_motion="reduce", **options)
        context.set_default_timeout(15_000)
        context.route(lambda url: urlsplit(url).netloc not in {home, ""}, lambda route: route.abort())
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        return page

    yield make
    for context in contexts:
        context.close()
    # Chromium reports each answer of 400 and more by itself; a refused form is one.
    assert [text for text in said if not any(part in text for part in expected)] == []
