"""The Markdown of a job, read as a CI service reads it: rendered with tables, raw HTML and links on."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from markdown_it import MarkdownIt

from touchstone_client.board_types import BoardColumn, BoardRow, Score, Standing
from touchstone_client.errors import ClientError, Detail
from touchstone_client.summary import Judged, Origin, job_summary, link, refusal_summary, text
from touchstone_client.types import Explanation, MetricValue, Results, Submission

KEY = "performance.accuracy"
SENT = Submission(
    "1d", "garments", "development", "predictions", "scored", True, "Northwind", "wider net",
    datetime(2026, 1, 1, tzinfo=UTC), url="https://touchstone.example.org/s/1d/",
)  # fmt: skip
RESULTS = Results("1d", "scored", True, "full", (
    MetricValue(KEY, "Accuracy", KEY, "performance", 0.75, "maximise", "ok", low=0.70, high=0.80, n=100),
    MetricValue("gap", "Gap", "gap", "fairness", None, "zero", "too_few", reason="5 people"),
))  # fmt: skip
HOSTILE = [
    "@octocat", "![x](https://evil.example/x.png)", "[click](https://evil.example)", "<img src=x onerror=alert(1)>",
    "a | b", "`code`", "**bold** _it_ ~~no~~", "https://evil.example/", "www.evil.example", "team@evil.example", "#12",
    "!34", "owner/repo#5", "<!-- gone", "</details>", "&lt;b&gt;", "# head", "\\| x", ":smile:", "$var",
    "<a@b.example>",
]  # fmt: skip


def standing(**changes: Any) -> Standing:
    row = BoardRow(
        2, False, "Northwind", {KEY: Score("0.750", 0.75, 0.70, 0.80)}, is_you=True, submission="1d", rank_best=2,
        rank_worst=4, tied_with=2,
    )  # fmt: skip
    columns = (BoardColumn(KEY, "Accuracy", is_ranking=True),)
    url = "https://touchstone.example.org/c/garments/"
    return Standing("garments/development/main", url, 17, columns, replace(row, **changes), tied=("Kestrel",))


def summary(**changes: Any) -> str:
    given: dict[str, Any] = {
        "submission": SENT, "results": RESULTS, "board_row": standing(), "previous_best": None, "url": SENT.url,
    }  # fmt: skip
    return job_summary(**{**given, **changes})


def rendered(markdown: str) -> str:
    return str(MarkdownIt("gfm-like", {"linkify": False, "html": True}).render(markdown))


def words(markdown: str) -> str:
    import html

    return html.unescape(re.sub(r"<[^>]*>", "", rendered(markdown))).replace("\u2060", "")


def test_rank_range_and_those_who_are_tied() -> None:
    told = words(summary())
    assert "Rank 2 of 17 on garments/development/main; by its interval between 2 and 4" in told
    assert "tied with Kestrel and 1 other." in told


def test_a_rank_that_is_certain_has_no_range() -> None:
    assert "Rank 2 of 17 on garments/development/main." in words(summary(board_row=standing(rank_worst=2, tied_with=0)))


def test_an_entry_that_is_not_this_submission_or_not_ranked_says_so() -> None:
    assert "not your best" in words(summary(board_row=standing(submission="other")))
    told = words(summary(board_row=standing(rank=None, unranked="misses a gate")))
    assert "Not ranked on garments/development/main: misses a gate." in told


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(0.60, 0.70, "intervals overlap"), (0.60, 0.69, "do not overlap"), (None, None, "intervals not known")],
)
def test_the_change_says_whether_intervals_overlap_and_no_more(
    low: float | None, high: float | None, said: str
) -> None:
    before = BoardRow(3, False, "Northwind", {KEY: Score("0.650", 0.65, low, high)}, submission="older")
    told = words(summary(previous_best=before))
    assert f"+0.1000, {said}" in told or f"+0.1000, intervals {said}" in told
    assert not re.search("significan|improv|chance", told)


def test_values_intervals_and_what_is_missing() -> None:
    told = rendered(summary())
    assert "<td>0.7000 to 0.8000</td>" in told
    assert "<summary>1 more result</summary>" in told
    assert "(5 people)" in words(summary())


def test_thresholds() -> None:
    judged = (Judged(KEY, "at least 0.8", "0.75", False), Judged("gap", "at most 0.1", "0.05", True))
    told = rendered(summary(thresholds=judged))
    assert told.count("<strong>missed</strong>") == 1
    assert told.count("<td>met</td>") == 1


def test_a_failure_is_explained() -> None:
    why = Explanation("It fell over.", "line one\nline | two", "Look at the log.")
    failed = replace(SENT, status="failed", verdict="crash", explanation=why)
    told = words(summary(submission=failed, board_row=None, results=replace(RESULTS, items=())))
    for part in ("Not scored: failed (crash).", "What: It fell over.", "Why: line one line | two", "Next: Look at"):
        assert part in told
    assert "Rank" not in told


def test_a_wait_that_ended_first() -> None:
    waiting = replace(SENT, status="queued", final=False, queue_position=3)
    assert "Not ended yet: queued, place 3 in the queue." in words(summary(submission=waiting, results=None))


def test_what_was_refused() -> None:
    error = ClientError("No", why="used | up", hint="Wait.", request_id="r1", details=[Detail("row 1 <b>")])
    told = words(refusal_summary(target="garments/development", error=error))
    for part in ("Not submitted. No", "Why: used | up", "Next: Wait.", "row 1 <b>", "Request id: r1"):
        assert part in told


def test_where_it_was_built() -> None:
    origin = Origin("0123456789abcdef", "lab/model", "main", "https://ci.example.org/1")
    assert "commit 0123456789ab of lab/model (main), as the job says" in words(summary(origin=origin))
    assert "as the CI service vouches" in words(summary(origin=replace(origin, verified=True)))
    assert 'href="https://ci.example.org/1"' in rendered(summary(origin=origin))


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_names_stay_text_everywhere(hostile: str) -> None:
    row = replace(standing().row, unranked=hostile)
    item = replace(RESULTS.items[0], title=hostile, unit=hostile, verdict=hostile)
    told = summary(
        submission=replace(SENT, message=hostile, kind=hostile),
        results=replace(RESULTS, items=(item, replace(item, value=None, reason=hostile)), note=hostile),
        board_row=replace(standing(), leaderboard=hostile, row=row, tied=(hostile,)),
        thresholds=(Judged(hostile, hostile, hostile, False),),
        origin=Origin(hostile, hostile, hostile),
        previous_best=row,
    )
    page = rendered(told)
    assert "evil.example" not in "".join(re.findall(r'(?:href|src)="([^"]*)"', page))
    assert not re.search(r"<(img|script|del|em|code|h1)", page)
    # A service looks for names and addresses in the text once more: none may be left in one piece.
    seen = re.sub(r"&#8288;", "\u2060", re.sub(r"<[^>]*>", " ", page))
    assert not re.search(r"(^|\W)[@#!~$%]\w|https?://|:\w+:", seen.replace("&quot;", '"'))
    assert words(told).count(hostile) >= 8, "and all of it can be read"
    table = next(part for part in page.split("<table>")[1:])
    assert {line.count("<td") for line in table.split("</tr>") if "<td" in line} == {6}


def test_text_is_one_line_of_bounded_length_without_controls() -> None:
    assert text("a\nb\r\n\tc") == "a b c"
    assert len(text("x" * 10_000)) == 400
    assert "\u202e" not in text("a\u202eb\x1b[31m")


@pytest.mark.parametrize("address", ["javascript:alert(1)", "data:text/html,x", "", "//evil.example", "https://"])
def test_only_web_addresses_are_links(address: str) -> None:
    assert link("x", address) == "x"


def test_an_address_cannot_end_its_link() -> None:
    found = rendered(link("x", "https://a.example/) [y](https://evil.example/"))
    assert found.count("<a ") == 1
