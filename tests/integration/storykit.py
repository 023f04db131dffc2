"""What the stories do on pages, a step a function. Playwright only: no command line, no database."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from livekit import answers, competition, inputs, write_bundle
from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Page

#: What a queue, a judge and a slow machine may take.
PATIENCE_MS = 120_000
_PASSWORD = "a-long-enough-one"


def sign_up(page: Page, name: str) -> None:
    page.goto("/signup/")
    page.get_by_label("User name").fill(name)
    page.get_by_label("E-mail address").fill(f"{name}@example.org")
    page.get_by_label("Password").fill(_PASSWORD)
    page.get_by_role("button", name="Create account").click()
    page.wait_for_url("**/")


def data_of(folder: Path) -> Path:
    """The files of the splits of a small task on two numbers; `private` is for the finals."""
    data = write_bundle(folder, competition()) / "data"
    (data / "private").mkdir()
    items = [(f"p{number}", a, b) for number, (a, b) in enumerate(inputs(30))]
    rows = {
        "inputs": ["id,a,b", *(f"{key},{a:.4f},{b:.4f}" for key, a, b in items)],
        "labels": ["id,label", *(f"{key},{'yes' if a > b else 'no'}" for key, a, b in items)],
    }
    for name, lines in rows.items():
        (data / "private" / f"{name}.csv").write_text("\n".join(lines) + "\n")
    return data


def predictions(path: Path, *, wrong: int = 0, rows: int = 40) -> Path:
    lines = answers(wrong=wrong).splitlines()
    path.write_text("\n".join(lines[: rows + 1]) + "\n")
    return path


def save(page: Page, *, then: str = "") -> None:
    """Save a step of the wizard, and go on where one is named."""
    name = f"Save and go on to {then}" if then else "Save"
    page.get_by_role("button", name=name, exact=True).click()
    if then:
        expect(page.get_by_role("heading", name=then, level=2)).to_be_visible()


def draft_begin(page: Page, title: str) -> None:
    page.goto("/")
    page.get_by_role("link", name="New competition").click()
    page.get_by_label("Title", exact=True).fill(title)
    page.get_by_role("button", name="Begin").click()
    expect(page.get_by_role("heading", name=title, level=1)).to_be_visible()


def step(page: Page, name: str) -> None:
    """Go to a step by the menu at the side."""
    page.get_by_role("navigation", name="Steps").get_by_role("link", name=re.compile(name)).click()
    expect(page.get_by_role("heading", name=name, level=2)).to_be_visible()


def write_about(page: Page) -> None:
    page.get_by_label("Who sees it").select_option("public")
    page.get_by_label("Summary (optional)").fill("Which of two numbers is larger?")
    page.get_by_label("Title of the page").fill("Overview")
    page.get_by_label("Text", exact=True).fill("# The task\n\nSay **yes** where a is larger than b.")
    page.get_by_label("Terms (optional)").fill("Play fair.")
    save(page)
    expect(page.get_by_role("heading", name="Overview", level=4)).to_be_visible()


def upload_data(page: Page, data: Path) -> None:
    step(page, "Data")
    for split, seen in (("sample", "public"), ("test", "hidden"), ("private", "hidden")):
        page.get_by_label("Name", exact=True).fill(split)
        page.get_by_label("Who sees it", exact=True).select_option(seen)
        page.get_by_role("button", name="Save splits").click()
        expect(page.get_by_role("heading", name=f"Files of {split}")).to_be_visible()
    for split in ("sample", "test", "private"):
        for name in ("inputs.csv", "labels.csv"):
            page.get_by_label(f"Choose files for {split}, or drop them here").set_input_files(data / split / name)
            row = page.get_by_role("table", name=f"Files of {split}").get_by_text(name)
            expect(row).to_be_visible(timeout=PATIENCE_MS)


def look_at_data(page: Page) -> None:
    page.get_by_role("button", name="Look at the data").click()
    expect(page.get_by_role("heading", name="Do the splits share what they should not?")).to_be_visible(
        timeout=PATIENCE_MS
    )


def describe_task(page: Page) -> None:
    """What was found in the data is proposed."""
    step(page, "Task and attributes")
    expect(page.get_by_label("Classes")).to_have_value("no\nyes")
    page.get_by_label("Positive class (optional)").select_option("yes")
    save(page)


def choose_metrics(page: Page) -> None:
    step(page, "Metrics")
    for name in ("Accuracy", "Log loss"):
        page.get_by_role("link", name=f"Add {name}", exact=True).first.click()
        page.get_by_role("button", name="Add to the competition").click()
        expect(page.get_by_role("heading", name="Metrics", level=2)).to_be_visible()


def rank(page: Page) -> None:
    step(page, "Leaderboards")
    page.get_by_role("link", name="Add a leaderboard").click()
    page.get_by_label("Ranked by").select_option("performance.accuracy")
    for name in ("Accuracy", "Log loss"):
        page.get_by_role("checkbox", name=re.compile(f"^{name}")).check()
    page.get_by_role("button", name="Save the leaderboard").click()
    expect(page.get_by_role("link", name="Change main")).to_be_visible()


def open_a_phase(page: Page) -> None:
    step(page, "Phases")
    page.get_by_label("Title", exact=True).fill("Open")
    page.get_by_label("Opens (UTC)").fill("2026-01-01T00:00")
    page.get_by_label("Closes (UTC)").fill("2099-01-01T00:00")
    page.get_by_label("Scored on").select_option("test")
    page.get_by_label("Submissions in all (optional)").fill("20")
    save(page)
    expect(page.get_by_role("heading", name="Open", level=3, exact=True)).to_be_visible()


def add_finals(page: Page) -> None:
    """A last phase in which the best are evaluated again on data that nobody had a score of."""
    page.get_by_text("Add a phase").click()
    new = page.locator("details.row-new")
    new.get_by_label("Title", exact=True).fill("Finals")
    new.get_by_label("Opens (UTC)").fill("2099-01-01T00:00")
    new.get_by_label("Scored on").select_option("private")
    save(page)
    row = page.locator(".row-card", has=page.get_by_role("heading", name="Finals", level=3, exact=True))
    row.get_by_text("Finalists, logs and priority").click()
    row.get_by_label("Finalists of").select_option("open")
    save(page)
    expect(page.get_by_role("heading", name="Finals", level=3, exact=True)).to_be_visible()


def allow_every_kind(page: Page) -> None:
    step(page, "Rules and quotas")
    for name in ("Model", "Container", "Code"):
        page.get_by_role("checkbox", name=re.compile(f"^{name}:")).check()
    limits = {"Largest file sent": "1GiB", "Wall clock of a run": "60s", "Until it is ready": "30s", "Memory": "512MiB"}
    for name, value in limits.items():
        page.get_by_label(f"{name} (optional)").fill(value)
    save(page)


def publish(page: Page) -> str:
    """Check what is written, publish, check by made-up submissions, open; the competition's address."""
    page.get_by_role("link", name="Check and publish").first.click()
    page.get_by_role("button", name="Publish", exact=True).click()
    page.get_by_role("button", name="Run the check").click()
    expect(page.get_by_text("Version 1 passed the check.")).to_be_visible(timeout=PATIENCE_MS)
    truth = page.get_by_role("table", name="Open: The truth")
    expect(truth.get_by_role("row", name=re.compile("Accuracy"))).to_contain_text("1.000")
    address = page.url.partition("/manage/")[0] + "/"
    page.get_by_role("button", name="Open the competition").click()
    return address


def join(page: Page, address: str, name: str) -> None:
    page.goto(address)
    page.get_by_role("link", name="Join").first.click()
    page.get_by_label("Name on the leaderboard").fill(name)
    page.get_by_label("I have read the terms and accept them.").check()
    page.get_by_role("main").get_by_role("button", name="Join").click()
    page.wait_for_url("**/submit/")


def submit(page: Page, address: str, what: Path | str, *, kind: str = "Predictions", name: str = "") -> None:
    """Send a file, or an image by its name; the page of the submission is there."""
    page.goto(f"{address}submit/")
    page.get_by_role("radio", name=re.compile(f"^{kind}")).check()
    if isinstance(what, Path):
        page.get_by_label("Choose a file, or drop it here").set_input_files(what)
    else:
        page.get_by_label("Image name, instead of a file").fill(what)
    if name:
        page.get_by_label("Name (optional)").fill(name)
    page.get_by_role("main").get_by_role("button", name="Submit").click()
    page.wait_for_url(re.compile(r"/s/[0-9a-f-]{36}/$"), timeout=PATIENCE_MS)


def scored(page: Page, value: str) -> None:
    """The page shows it by itself: nobody loads it again."""
    expect(page.get_by_role("heading", name="Scores")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_role("row", name=re.compile("Accuracy")).first).to_contain_text(value)


def finals(page: Page, address: str) -> None:
    """Start the finals and wait until every finalist that can be run is through."""
    page.goto(f"{address}manage/phases/")
    page.get_by_role("link", name="Final ranking").click()
    page.get_by_role("button", name="Start the finals").click()
    expect(page.get_by_role("link", name="Publish the ranking…")).to_be_visible(timeout=PATIENCE_MS)


def finals_publish(page: Page) -> None:
    page.get_by_role("link", name="Publish the ranking…").click()
    page.get_by_role("button", name="Publish the ranking", exact=True).click()
    expect(page.get_by_text("The final ranking is published.")).to_be_visible()
