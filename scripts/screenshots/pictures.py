"""Which pictures there are: of what, as whom, and what is done on the page before."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

Act = Callable[["Page"], None]


@dataclass(frozen=True)
class Picture:
    """`path` may hold `{names}` of places. `key` ones are taken dark and on a phone too, `address` ones below it."""

    name: str
    what: str
    path: str
    who: str = "anonymous"
    act: Act | None = None
    key: bool = False
    media: str = "screen"
    status: int = 200
    address: bool = False


def _columns(page: Page) -> None:
    page.get_by_text("Columns", exact=True).click()


def _tick(page: Page) -> None:
    for box in page.get_by_role("checkbox", name="Compare").all()[:2]:
        box.check()
    page.get_by_role("button", name="Compare ticked").click()
    page.wait_for_load_state("networkidle")


def _show_table(page: Page) -> None:
    page.locator(".toolbar").first.evaluate("el => el.scrollIntoView({block: 'start'})")


def _show_chart(page: Page) -> None:
    page.locator("figure.chart").first.evaluate("el => el.scrollIntoView({block: 'center'})")


def _half_sent(page: Page) -> None:
    page.route(re.compile(r"/parts/([2-9]|\d\d+)$"), lambda _route: None)  # stays on its way
    page.get_by_label("Choose a file, or drop it here").set_input_files(
        {"name": "predictions.csv", "mimeType": "text/csv", "buffer": b"id,p_no_recidivism,p_recidivism\n" * 800_000}
    )
    page.get_by_label("Name (optional)").fill("calibrated, 5 seeds")
    page.get_by_role("main").get_by_role("button", name="Submit").click()
    page.wait_for_timeout(4000)


def _one_operation(page: Page) -> None:
    chosen = page.locator("details").filter(has=page.get_by_text("Compare two to four submissions", exact=True)).last
    chosen.locator("summary").first.click()
    chosen.evaluate("el => el.scrollIntoView({block: 'start'})")


def _to_table(page: Page) -> None:
    page.locator("thead a").first.focus()
    page.keyboard.press("Tab")


def _second_factor(page: Page) -> None:
    page.get_by_label("User name or e-mail address").fill("tessa")
    page.get_by_label("Password", exact=True).fill("correct-horse-battery")
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url("**/2fa/**")


_BOARD = "/c/recidivism/leaderboard/development/main/"
_SHOWN = "performance.balanced_accuracy,performance.roc_auc,performance.log_loss"
_PICKED = f"{_BOARD}?cols={_SHOWN}&sort=-performance.roc_auc"
PICTURES = (
    Picture("01-home", "home", "/", key=True),
    Picture("02-overview", "a competition", "/c/recidivism/", key=True),
    Picture("03-leaderboard", "a leaderboard with tie groups", _BOARD, "participant", _show_table, key=True),
    Picture("04-columns", "columns picked, and their address", _PICKED, "participant", _columns, address=True),
    Picture("05-pareto", "two results against each other", f"{_BOARD}pareto/", act=_show_chart, key=True),
    Picture("06-compare", "two entries compared", _BOARD, act=_tick),
    Picture("07-entry", "an entry with its groups and its evidence", "/c/recidivism/entry/{done}/"),
    Picture("08-submit", "a file on its way", "/c/recidivism/submit/", "participant", _half_sent),
    Picture("09-running", "a run with its live log", "/s/{running}/", "participant", key=True),
    Picture("10-failed", "a failure explained", "/s/{failed}/", "participant"),
    Picture("11-wizard-data", "the wizard: data splits", "/drafts/{draft}/data/", "organiser"),
    Picture("12-wizard-metrics", "the wizard: metrics", "/drafts/{draft}/metrics/", "organiser", key=True),
    Picture("13-running-it", "an organiser's dashboard", "/c/recidivism/manage/", "organiser"),
    Picture("14-api", "the interface's reference", "/api/v1/docs", act=_one_operation),
    Picture("17-second-factor", "sign-in with a second factor", "/login/", act=_second_factor),
    Picture("18-not-for-you", "what one may not see", "/c/sealed/", status=404),
    Picture("18-nothing-yet", "a board not shown yet", "/c/recidivism/leaderboard/final/main/", "participant"),
    Picture("19-keyboard", "the keyboard's place in the table", _BOARD, "participant", _to_table),
    Picture("20-report", "a report, as printed", "/c/recidivism/report/development/", "organiser", media="print"),
)
