"""A browser for tests. Nothing leaves this machine: background networking is off, other hosts are refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from playwright.sync_api import expect, sync_playwright

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_FLAGS = [
    "--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run", "--no-default-browser-check",
]  # fmt: skip
_PATIENCE_MS = 30_000
expect.set_options(timeout=_PATIENCE_MS)


@contextmanager
def chromium_runs(path: str) -> Iterator[Browser]:
    """Chromium, headless."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, headless=True, args=_FLAGS)
        yield running
        running.close()


@contextmanager
def pages_open(browser: Browser, url: str) -> Iterator[Callable[..., Page]]:
    """Make pages on the site at `url`. A broken rule of the content policy, or a script error, fails at the end."""
    home = urlsplit(url).netloc
    said: list[str] = []
    contexts = []
    # A sandbox that starts beside these tests changes the machine's interfaces: a request is lost, and asked again.
    # Leaving a page ends its requests: htmx says that one was given up (`afterRequest` comes with it, as with a
    # `sendError`, which stays a fault).
    expected = {"status of 422", "ERR_NETWORK_CHANGED", "htmx:sendAbort", "htmx:afterRequest"}

    def make(*, refused: str = "", **options: Any) -> Page:
        """`refused`: a status that the test expects, besides 422."""
        expected.add(f"status of {refused or 422}")
        context = browser.new_context(base_url=url, reduced_motion="reduce", **options)
        context.set_default_timeout(_PATIENCE_MS)
        context.route(lambda asked: urlsplit(asked).netloc not in {home, ""}, lambda route: route.abort())
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        return page

    yield make
    for context in contexts:
        context.close()
    # Chromium reports each answer of 400 and more by itself; a refused form is one.
    wrong = [text for text in said if not any(part in text for part in expected)]
    assert not wrong, wrong
