"""Two who work on one draft at once, and two who look at one leaderboard."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from django.test import Client
from playwright.sync_api import expect

from tests.factories.server import competition_make, participation_make, run_make, submission_make, user_make
from tests.factories.world import changes, score
from touchstone.drafts.selectors import section_get
from touchstone.drafts.services import draft_create

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from touchstone.accounts.models import User

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def signed_in(open_page, live_server, user: User) -> Page:
    page = open_page(refused="409")
    client = Client()
    client.force_login(user)
    page.context.add_cookies(
        [{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}]
    )
    return page


def test_two_organisers_edit_at_once_and_neither_loses_work(open_page, live_server) -> None:
    olga, hugo = user_make("olga"), user_make("hugo")
    draft = draft_create(user=olga, title="Night birds")
    draft.editors.add(hugo)
    hers, his = (signed_in(open_page, live_server, user) for user in (olga, hugo))
    for page in (hers, his):
        page.goto(f"/drafts/{draft.pk}/about/")

    hers.get_by_label("Summary (optional)").fill("Calls recorded at night.")
    his.get_by_label("Licence of the data (optional)").fill("CC BY 4.0")
    hers.get_by_role("button", name="Save", exact=True).click()
    expect(hers.get_by_text("Saved by olga")).to_be_visible()
    his.get_by_role("button", name="Save", exact=True).click()

    # Hugo was later: he chooses for each place, and nothing of either is gone.
    expect(his.get_by_role("heading", name="About: two versions")).to_be_visible()
    summary = his.get_by_role("radiogroup", name="summary")
    expect(summary).to_contain_text("Calls recorded at night.")
    summary.get_by_role("radio", name="What olga saved").check()
    expect(his.get_by_role("radiogroup", name="licence").get_by_role("radio", name="Mine")).to_be_checked()
    his.get_by_role("button", name="Save what is chosen").click()
    expect(his.get_by_text("Saved by hugo")).to_be_visible()

    body = section_get(draft=draft, name="about").body
    assert (body["summary"], body["licence"]) == ("Calls recorded at night.", "CC BY 4.0")
    hers.reload()
    expect(hers.get_by_label("Licence of the data (optional)")).to_have_value("CC BY 4.0")


def names(page: Page) -> list[str]:
    """Who stands on the board, from the top."""
    rows = page.get_by_role("table").first.locator("tbody tr th")
    return [text.removeprefix("Compare").split()[0] for text in rows.all_inner_texts()]


def test_a_visitor_sorts_filters_picks_compares_and_shares_what_they_see(open_page) -> None:
    competition = competition_make(slug="birds", **changes())
    phase = competition.phases.get(slug="main")
    for name, value in (("Anna", 0.9), ("Ben", 0.7), ("Cleo", 0.8), ("Dora", 0.6)):
        score(run_make(submission_make(participation_make(competition, display_name=name), phase)), value)
    page = open_page(viewport={"width": 1280, "height": 900})

    page.goto("/c/birds/leaderboard/")
    assert names(page) == ["Anna", "Cleo", "Ben", "Dora"]
    page.get_by_role("link", name="Participant").click()
    expect(page.get_by_role("columnheader", name="Participant")).to_have_attribute("aria-sort", "ascending")
    assert names(page) == ["Anna", "Ben", "Cleo", "Dora"]
    page.get_by_role("searchbox").fill("ben, cleo, dora")
    page.get_by_role("button", name="Show", exact=True).click()
    page.wait_for_url("**q=*")
    assert names(page) == ["Ben", "Cleo", "Dora"]
    page.get_by_text("Columns", exact=True).click()
    for box in reversed(page.locator(".menu-body input[name=cols]:checked").all()[1:]):
        box.uncheck()
    page.get_by_role("button", name="Show columns").click()
    page.wait_for_url("**cols=*")
    expect(page.get_by_role("columnheader", name="Log loss")).to_have_count(0)

    # Somebody else, whose browser runs no script, opens the address and sees the same.
    other = open_page(viewport={"width": 1280, "height": 900}, java_script_enabled=False)
    other.goto(page.url)
    assert other.get_by_role("table").first.inner_text() == page.get_by_role("table").first.inner_text()
    other.get_by_role("link", name="Participant").click()
    assert names(other) == ["Dora", "Cleo", "Ben"]

    for name in ("Ben", "Cleo"):
        page.get_by_role("checkbox", name=re.compile(name)).check()
    page.get_by_role("button", name="Compare ticked").click()
    expect(page.get_by_role("heading", name=re.compile("Compare|against", re.IGNORECASE)).first).to_be_visible()
    expect(page.get_by_role("main")).to_contain_text("Ben")
    expect(page.get_by_role("main")).to_contain_text("0.800")
