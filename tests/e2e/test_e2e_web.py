"""People at a browser: from signing up to a place on the leaderboard, and from a broken bundle to a competition."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.factories.server import PASSWORD, bundle_folder, metric, node_make, result_make, user_make, zipped
from touchstone.competitions.models import Competition
from touchstone.competitions.services import competition_import
from touchstone.evaluations.models import Run
from touchstone.evaluations.services import result_accept, run_check, run_claim

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

ROWS = 40


def predictions(path: Path, *, rows: int = ROWS) -> Path:
    lines = "".join(f"item{i},{'yes' if i % 2 else 'no'}\n" for i in range(rows))
    path.write_text(f"id,prediction\n{lines}")
    return path


def sign_in(page: Page, name: str) -> None:
    page.goto("/login/")
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Sign in", exact=True).click()


def evaluate(run: Run) -> None:
    """What check, node and judge do, through the services they call."""
    run_check(run_id=run.pk)
    node = node_make()
    claimed = run_claim(node=node, queue="cpu", kinds=["predictions"])
    assert claimed is not None
    run.refresh_from_db()
    results = (
        metric(value=0.9, low=0.8, high=1.0, n=ROWS, title="Accuracy"),
        metric("performance.log_loss", None, title="Log loss"),
    )
    result_accept(node=node, result=result_make(run, results=results))


def submit(page: Page, file: Path) -> None:
    page.get_by_label("Choose a file, or drop it here").set_input_files(file)
    page.get_by_label("Note").fill("first try")
    page.get_by_role("main").get_by_role("button", name="Submit").click()
    page.wait_for_url(re.compile(r"/s/[0-9a-f-]{36}/$"))


def test_from_signing_up_to_the_leaderboard(open_page, tmp_path: Path) -> None:
    competition_import(user=user_make("olga"), archive=bundle_folder(tmp_path, "tiny", rows=ROWS))
    page = open_page()

    page.goto("/")
    page.get_by_role("link", name="Tiny tiny").click()
    page.get_by_role("link", name="Join").first.click()
    page.get_by_role("main").get_by_role("link", name="Sign up").click()
    page.get_by_label("User name").fill("nina")
    page.get_by_label("E-mail address").fill("nina@example.org")
    page.get_by_label("Password").fill("a-long-enough-one")
    page.get_by_role("button", name="Create account").click()

    page.wait_for_url("**/c/tiny/join/")
    page.get_by_label("Name on the leaderboard").fill("Team Nina")
    page.get_by_label("I have read the terms and accept them.").check()
    page.get_by_role("main").get_by_role("button", name="Join").click()
    page.wait_for_url("**/c/tiny/submit/")
    submit(page, predictions(tmp_path / "predictions.csv"))

    expect(page.get_by_role("heading", name="The submission has arrived.")).to_be_visible()
    evaluate(Run.objects.get())
    # The page follows by itself: nobody reloads it.
    expect(page.get_by_role("heading", name="Scores")).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("Accuracy"))).to_contain_text("0.900")
    expect(page.get_by_text("nothing to divide by")).to_be_visible()
    assert page.locator("#run").get_attribute("hx-trigger") is None

    page.get_by_role("link", name="Leaderboard").click()
    row = page.get_by_role("row", name=re.compile("Team Nina"))
    expect(row).to_contain_text("You")
    expect(row).to_contain_text("[0.800, 1.000]")


def test_a_bad_file_is_explained(open_page, tmp_path: Path) -> None:
    competition = competition_import(
        user=user_make("olga"), archive=bundle_folder(tmp_path, "tiny", rows=ROWS)
    ).competition
    competition.splits.update(visibility="inputs")  # of a hidden split, ids are not told
    page = open_page()
    join(page, competition)
    submit(page, predictions(tmp_path / "predictions.csv", rows=ROWS - 2))
    run_check(run_id=Run.objects.get().pk)
    expect(page.get_by_role("heading", name="The file was not accepted, and nothing was run.")).to_be_visible()
    expect(page.locator("#run").get_by_text("item38")).to_be_visible()
    expect(page.locator("#run").get_by_text("It does not count against your quota.")).to_be_visible()


def join(page: Page, competition: Competition) -> None:
    from touchstone.competitions.services import participation_join

    participation_join(competition=competition, user=user_make("paul"), accept_terms=True)
    sign_in(page, "paul")
    page.goto(f"/c/{competition.slug}/submit/")


def test_everything_works_without_scripts(open_page, tmp_path: Path) -> None:
    competition = competition_import(
        user=user_make("olga"), archive=bundle_folder(tmp_path, "tiny", rows=ROWS)
    ).competition
    page = open_page(java_script_enabled=False)
    join(page, competition)
    page.get_by_role("main").get_by_role("button", name="Submit").click()
    expect(page.get_by_text("Choose the file to submit.")).to_be_visible()
    submit(page, predictions(tmp_path / "predictions.csv"))
    evaluate(Run.objects.get())
    page.reload()
    expect(page.get_by_role("heading", name="Scores")).to_be_visible()
    page.goto("/c/tiny/leaderboard/")
    page.get_by_role("link", name="Participant").click()
    assert "sort=participant" in page.url
    page.get_by_text("Columns", exact=True).click()
    page.get_by_role("checkbox", name="Log loss").uncheck()
    page.get_by_role("button", name="Show columns").click()
    assert "cols=performance.accuracy" in page.url
    assert "sort=participant" in page.url
    expect(page.get_by_role("columnheader", name="Log loss")).to_have_count(0)


def test_a_mistake_in_the_form_is_said_in_place(open_page, tmp_path: Path) -> None:
    competition = competition_import(
        user=user_make("olga"), archive=bundle_folder(tmp_path, "tiny", rows=ROWS)
    ).competition
    page = open_page()
    join(page, competition)
    page.get_by_label("Note").fill("kept")
    page.get_by_role("main").get_by_role("button", name="Submit").click()
    expect(page.get_by_text("Choose the file to submit.")).to_be_visible()
    expect(page.get_by_label("Note")).to_have_value("kept")
    submit(page, predictions(tmp_path / "predictions.csv"))


def test_an_organiser_mends_a_bundle(open_page, tmp_path: Path) -> None:
    user_make("olga")
    page = open_page()
    sign_in(page, "olga")
    page.get_by_role("link", name="New competition").click()
    broken, good = tmp_path / "broken.zip", tmp_path / "good.zip"
    folder = bundle_folder(tmp_path / "b", "fresh", metrics=[{"use": "performance.acuracy"}], titel="x")
    broken.write_bytes(zipped(folder).getvalue())
    good.write_bytes(zipped(bundle_folder(tmp_path / "g", "fresh")).getvalue())

    page.get_by_label("Choose a zip, or drop it here").set_input_files(broken)
    expect(page.get_by_text("broken.zip ·")).to_be_visible()
    page.get_by_role("button", name="Upload and check").click()
    expect(page.get_by_text("Nothing was created.")).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("metrics"))).to_contain_text("performance.accuracy")
    assert not Competition.objects.exists()

    page.get_by_label("Choose a zip, or drop it here").set_input_files(good)
    page.get_by_role("button", name="Upload and check").click()
    page.wait_for_url("**/c/fresh/")
    expect(page.get_by_text("Tiny fresh is created.")).to_be_visible()
    expect(page.get_by_text("You organise this")).to_be_visible()


def test_a_token_by_keyboard(open_page) -> None:
    user_make("olga")
    page = open_page()
    sign_in(page, "olga")
    page.goto("/account/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.get_by_label("Name").fill("laptop")
    page.get_by_label("Name").press("Enter")
    expect(page.locator("#secret")).to_contain_text("ts_")


def test_nothing_is_wider_than_a_phone(open_page, tmp_path: Path) -> None:
    competition = competition_import(
        user=user_make("olga"), archive=bundle_folder(tmp_path, "tiny", rows=ROWS)
    ).competition
    page = open_page(viewport={"width": 390, "height": 844})
    join(page, competition)
    submit(page, predictions(tmp_path / "predictions.csv"))
    run = Run.objects.get()
    evaluate(run)
    wide = []
    paths = ["", "data/", "phases/", "rules/", "leaderboard/", "submissions/", "submit/"]
    for path in [
        *(f"/c/tiny/{path}" for path in paths),
        "/",
        "/account/",
        "/competitions/new/",
        f"/s/{run.submission_id}/",
    ]:
        page.goto(path)
        if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            wide.append(path)
    assert wide == []
