"""A run that is watched in a browser: its page changes while the node works, over the stream and without it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from runners.contract import EventBatch, RunEvent
from tests.factories.server import (
    PASSWORD,
    competition_make,
    metric,
    node_make,
    participation_make,
    result_make,
    run_make,
    submission_make,
    user_make,
)
from touchstone.core.streams import streams_open
from touchstone.evaluations.models import Run
from touchstone.evaluations.services import events_append, result_accept, run_claim

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def watched(open_page) -> tuple[Page, Run]:
    """Somebody who looks at the page of a run that waits."""
    user = user_make("nina")
    run = run_make(submission_make(participation_make(competition_make(slug="tiny"), user)))
    page = open_page()
    page.goto("/login/")
    page.get_by_label("User name").fill("nina")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url("**/")
    page.goto(f"/s/{run.submission_id}/")
    return page, run


def evaluate(page: Page, run: Run) -> None:
    """A node takes the run, tells what it writes, and reports; the page is looked at in between."""
    expect(page.locator("#run").get_by_text("The submission waits in the queue.")).to_be_visible()
    node = node_make()
    run_claim(node=node, queue="cpu", kinds=["predictions"])
    expect(page.locator("#run").get_by_text("The submission is being evaluated.")).to_be_visible()

    def tell(text: str, *, public: bool) -> None:
        event = RunEvent(at="x", kind="log", message=text, data={"public": public})
        events_append(node=node, run_id=run.pk, attempt=1, batch=EventBatch(events=(event,)))

    assert page.get_by_role("heading", name="Sample log").count() == 0
    tell("loading <weights>\n", public=True)
    expect(page.get_by_role("heading", name="Sample log")).to_be_visible()
    expect(page.locator("[data-log-part=sample] pre")).to_have_text("loading <weights>\n")
    for line in range(3):
        tell(f"line {line}\n", public=False)
    expect(page.locator("[data-log-part=run] pre")).to_have_text("line 0\nline 1\nline 2\n")
    results = (metric(value=0.9, low=0.8, high=1.0, n=40, title="Accuracy"),)
    log = "loading <weights>\nline 0\nline 1\nline 2\nthe end\n"
    report = result_make(Run.objects.get(pk=run.pk), results=results, log=log, sample_log="loading <weights>\n")
    result_accept(node=node, result=report)
    expect(page.get_by_role("row", name=re.compile("Accuracy"))).to_contain_text("0.900")


def test_over_the_stream(open_page) -> None:
    page, run = watched(open_page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    evaluate(page, run)

    expect(page.locator("[data-log-part=run] pre")).to_have_text("line 0\nline 1\nline 2\nthe end\n")
    # Asked only when there was something to see, and for the logs never: they came by themselves.
    assert not [url for url in asked if url.endswith("/logs")]
    assert len([url for url in asked if "/state?" in url]) <= 8
    expect(page.locator("#run")).not_to_have_attribute("data-live", "")
    page.goto("/")
    assert streams_open() == 0


def test_without_a_stream_it_asks(open_page, settings) -> None:
    settings.TOUCHSTONE_STREAMS = 0
    page, run = watched(lambda: open_page(refused="503"))

    evaluate(page, run)

    assert streams_open() == 0


def test_the_list_of_submissions_follows(open_page) -> None:
    page, run = watched(open_page)
    page.goto("/c/tiny/submissions/")
    expect(page.locator("#submissions").get_by_text("Queued")).to_be_visible()
    node = node_make()
    run_claim(node=node, queue="cpu", kinds=["predictions"])
    expect(page.locator("#submissions").get_by_text("Running")).to_be_visible()
    result_accept(node=node, result=result_make(Run.objects.get(pk=run.pk)))
    expect(page.locator("#submissions").get_by_text("Scored")).to_be_visible()
    assert page.locator("#submissions[hx-trigger]").count() == 0
