"""Sending a file in parts: recognised, interrupted, gone on with after a reload, and submitted."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.factories.server import PASSWORD, competition_make, participation_make, user_make
from touchstone.submissions.models import Submission, Upload

pytestmark = pytest.mark.django_db(transaction=True)
PART = 1000


def test_an_upload_goes_on_after_a_reload(open_page, settings: Any) -> None:
    settings.TOUCHSTONE_UPLOAD_PART_SIZE = PART
    competition = competition_make(slug="tiny", submission={"kinds": ["model", "predictions"]})
    participation_make(competition, user_make("paul"))
    data = b"id,prediction\n" + b"".join(b"item%d,yes\n" % n for n in range(400))
    file = {"name": "answers.csv", "mimeType": "text/csv", "buffer": data}
    page = open_page(refused="400")
    page.goto("/login/?next=/c/tiny/submit/")
    page.get_by_label("User name or e-mail address").fill("paul")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Sign in", exact=True).click()

    refused = {"status": 400, "content_type": "application/json", "body": '{"detail": "The line broke."}'}
    page.route("**/parts/3", lambda route: route.fulfill(**refused))
    page.locator("input[type=file]").set_input_files(file)
    expect(page.get_by_text("answers.csv looks like: predictions.")).to_be_visible()
    expect(page.get_by_role("radio", name="Predictions")).to_be_checked()
    expect(page.get_by_text("answers.csv could not be sent. The line broke.")).to_be_visible()
    assert set(Upload.objects.get().parts) == {"1", "2"}

    page.unroute("**/parts/3")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if "/parts/" in request.url else None)
    page.reload()
    expect(page.get_by_text(f"{2 * PART * 100 // len(data)} % of answers.csv has arrived before.")).to_be_visible()
    page.locator("input[type=file]").set_input_files(file)
    expect(page.get_by_text("answers.csv is uploaded.")).to_be_visible()
    assert not any(url.endswith(("/parts/1", "/parts/2")) for url in sent)
    page.reload()  # nothing is chosen any more, and nothing has to be
    expect(page.get_by_text("answers.csv is uploaded.")).to_be_visible()

    page.get_by_role("radio", name="Predictions").check()
    page.get_by_label("Name", exact=False).first.fill("In parts")
    page.get_by_role("main").get_by_role("button", name="Submit", exact=True).click()
    expect(page.get_by_role("heading", name="In parts")).to_be_visible()
    made = Submission.objects.get()
    assert made.files[0]["sha256"] == hashlib.sha256(data).hexdigest()
    assert (made.kind, made.source, made.sent_by.username) == ("predictions", "web", "paul")


def test_a_file_that_is_too_large_is_told_before_it_is_sent(open_page) -> None:
    competition = competition_make(slug="tiny", submission={"kinds": ["predictions"], "size": "1KiB"})
    participation_make(competition, user_make("paul"))
    page = open_page()
    page.goto("/login/?next=/c/tiny/submit/")
    page.get_by_label("User name or e-mail address").fill("paul")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Sign in", exact=True).click()
    page.locator("input[type=file]").set_input_files({"name": "x.csv", "mimeType": "text/csv", "buffer": b"a" * 2048})
    expect(page.get_by_text("x.csv has 2.0 KiB; at most 1.0 KiB are taken here.")).to_be_visible()
    assert not Upload.objects.exists()
    page.get_by_role("button", name="Remove").click()
    expect(page.get_by_text("x.csv has 2.0 KiB")).to_be_hidden()
