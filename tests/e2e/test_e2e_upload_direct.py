"""Sending a file's parts from the browser straight to a real S3-compatible store, under the strict policy."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.factories.s3 import Store
from tests.factories.server import PASSWORD, competition_make, participation_make, user_make
from touchstone.core.storage import blob_open
from touchstone.submissions.models import Upload

pytestmark = pytest.mark.django_db(transaction=True)


def test_parts_go_from_the_browser_to_the_store(open_page, settings: Any, s3_store: Store, tmp_path: Path) -> None:
    settings.TOUCHSTONE_UPLOAD_PART_SIZE = 1000
    options = s3_store.options(prefix=tmp_path.name)
    settings.STORAGES = {
        **settings.STORAGES, "default": {"BACKEND": "touchstone.core.s3.S3Storage", "OPTIONS": options},
    }  # fmt: skip
    policy = settings.CONTENT_SECURITY_POLICY["DIRECTIVES"]
    settings.CONTENT_SECURITY_POLICY = {"DIRECTIVES": {**policy, "connect-src": [*policy["connect-src"], s3_store.url]}}
    competition = competition_make(slug="tiny", submission={"kinds": ["predictions"]})
    participation_make(competition, user_make("paul"))
    data = b"id,prediction\n" + b"".join(b"item%d,yes\n" % n for n in range(400))
    page = open_page()
    page.context.unroute_all()  # the store has an address of its own
    page.goto("/login/?next=/c/tiny/submit/")
    page.get_by_label("User name or e-mail address").fill("paul")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Sign in", exact=True).click()
    sent: list[Any] = []
    page.on("request", lambda request: sent.append(request) if request.method == "PUT" else None)

    page.locator("input[type=file]").set_input_files({"name": "answers.csv", "mimeType": "text/csv", "buffer": data})
    expect(page.get_by_text("answers.csv is uploaded.")).to_be_visible()

    assert len(sent) == -(-len(data) // 1000)
    assert all(request.url.startswith(s3_store.url) for request in sent)
    assert not any("x-csrftoken" in request.headers or "cookie" in request.headers for request in sent)
    with blob_open(sha256=hashlib.sha256(data).hexdigest()) as file:
        assert file.read() == data
    assert Upload.objects.get().completed_at
