"""The leaderboard page and its exports."""

from __future__ import annotations

import csv
import io
import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from runners.contract import MetricResult
from tests.factories.server import metric, participation_make, run_make, submission_make
from tests.unit.web.conftest import World, score
from touchstone.competitions.models import Phase
from touchstone.leaderboards.models import Leaderboard

BOARD = "/c/open-one/leaderboard/main/main/"


def enter(world: World, name: str, value: float, loss: float = 0.4, **fields: object) -> None:
    """Another participant with a scored run."""
    phase = Phase.objects.get(competition=world.public, slug="main")
    member = participation_make(world.public, display_name=name, **fields)
    results: list[MetricResult] = [
        metric(value=value, low=value - 0.01, high=value + 0.01),
        metric("performance.log_loss", loss),
    ]
    score(run_make(submission_make(member, phase)), results=tuple(results), verdict=_ok())


def _ok() -> object:
    from runners.contract import Verdict

    return Verdict.OK


def html_of(world: World, query: str = "", role: str = "participant") -> str:
    return world.client(role).get(BOARD + query).content.decode()


def names(html: str) -> list[str]:
    body = html.split("<tbody>", 1)[1]
    return re.findall(r'class="stick name">.*?<a href="[^"]*/entry/[^"]*">([^<]*)</a>', body)


def test_a_row(world) -> None:
    html = html_of(world)
    assert names(html) == ["Team &lt;b&gt;Paul&lt;/b&gt;"]
    for text in (
        '<span class="value">0.873</span>',
        "[0.861, 0.884]",
        "n = 2\u202f000",
        "higher is better",
        ">You<",
        'class="you"',
    ):
        assert text in html
    assert f'href="/c/open-one/entry/{world.run.submission_id}/"' in html
    assert re.search(r'pill-ok" title="performance.log_loss &lt;= 5">.*?met: 0.4</span>', html)
    assert "<code>performance.log_loss &lt;= 5</code>" in html


def test_others_do_not_get_the_mark_or_the_way_to_the_submission(world) -> None:
    html = html_of(world, role="stranger")
    assert ">You<" not in html
    assert f"/s/{world.run.submission_id}" not in html


def test_ties_baselines_and_the_unranked(world) -> None:
    enter(world, "Twin", 0.873)
    enter(world, "Naive", 0.5, is_baseline=True)
    enter(world, "Gated", 0.99, loss=9.0)
    html = html_of(world)
    assert names(html) == ["Team &lt;b&gt;Paul&lt;/b&gt;", "Twin", "Naive", "Gated"]
    ranks = re.findall(r'<td class="stick rank">([^<]*)(?:<span class="tied">([^<]*)</span>)?</td>', html)
    assert ranks == [("", ""), ("1–2", "tied with 1 other"), ("1–2", "tied with 1 other"), ("3", ""), ("–", "")]
    assert html.count("opens-tie") == 1  # above the baseline, whose interval lies below theirs
    assert re.search(r'pill-error" title="performance.log_loss &lt;= 5">.*?not met: 9</span>', html)
    assert ">Baseline<" in html
    assert html.index("Not ranked") < html.index(">Gated")
    assert "gate performance.log_loss" in html


def test_the_plot_shows_ranked_rows_with_their_intervals(world) -> None:
    assert 'class="plot"' not in html_of(world)
    enter(world, "Second", 0.6)
    enter(world, "Gated", 0.99, loss=9.0)
    html = html_of(world)
    plot = re.search(r'<div class="plot".*?</div>', html, re.S)
    assert plot is not None
    assert plot[0].count('class="plot-dot"') == 2
    assert "Gated" not in plot[0]
    assert plot[0].count('class="plot-tick"') >= 2


def test_sorting_is_by_links_and_said_to_everybody(world) -> None:
    enter(world, "Low", 0.2, loss=0.1)
    plain = html_of(world)
    assert 'aria-sort="ascending"' in plain
    link = re.search(r'href="(\?sort=performance\.log_loss[^"]*)"', plain)
    assert link is not None
    html = html_of(world, link[1].replace("&amp;", "&"))
    assert names(html)[0] == "Low"
    assert re.search(r'aria-sort="ascending" title="performance.log_loss"', html)
    turned = html_of(world, "?sort=-performance.log_loss")
    assert names(turned)[-1] == "Low"
    assert re.search(r'aria-sort="descending" title="performance.log_loss"', turned)
    assert html.count("aria-sort") == turned.count("aria-sort") == 1


def test_columns_can_be_picked_without_a_script(world) -> None:
    picked = html_of(world, "?cols=performance.log_loss&cols=hsj.robust_accuracy")
    heads = re.findall(r'<th scope="col"[^>]* title="([^"]+)"', picked)
    assert heads == ["performance.log_loss", "hsj.robust_accuracy"]
    assert re.search(r'value="hsj.robust_accuracy" checked', picked)
    assert not re.search(r'value="performance.accuracy" checked', picked)
    assert "not applicable" in picked
    assert "cols=performance.log_loss,hsj.robust_accuracy" in picked


def test_searching_keeps_the_rest_of_the_view(world) -> None:
    enter(world, "Zeta", 0.4)
    html = html_of(world, "?q=zet&sort=participant&cols=performance.log_loss")
    assert names(html) == ["Zeta"]
    assert '<input type="hidden" name="sort" value="participant">' in html
    assert '<input type="hidden" name="cols" value="performance.log_loss">' in html
    nobody = html_of(world, "?q=%3Cscript%3E")
    assert "Nobody like that" in nobody
    assert "“&lt;script&gt;”" in nobody


def test_pages_follow_each_other(world, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("touchstone.web.views.board._LIMIT", 2)
    for index in range(4):
        enter(world, f"P{index}", 0.5 - index / 10)
    seen, query = [], ""
    for _ in range(3):
        html = html_of(world, query)
        seen += names(html)
        link = re.search(r'href="(\?[^"]*after=[^"]+)"', html)
        query = link[1].replace("&amp;", "&") if link else ""
    assert seen == ["Team &lt;b&gt;Paul&lt;/b&gt;", "P0", "P1", "P2", "P3"]
    assert query == ""


def test_an_empty_board_says_what_comes_next(world) -> None:
    html = world.client("stranger").get("/c/open-one/leaderboard/later/main/").content.decode()
    assert "Nothing scored yet" in html
    assert "/c/open-one/join/" in html


@pytest.mark.parametrize(
    "path", [BOARD, "/c/open-one/leaderboard/main/main.csv", "/c/open-one/leaderboard/main/main.json"]
)
def test_an_unchanged_board_is_not_sent_again(world, path: str) -> None:
    client = world.client("participant")
    etag = client.get(path)["ETag"]
    same = client.get(path, headers={"If-None-Match": etag})
    assert same.status_code == 304
    assert same["ETag"] == etag
    assert client.get(path + "?sort=participant", headers={"If-None-Match": etag}).status_code == 200
    assert world.client("stranger").get(path, headers={"If-None-Match": etag}).status_code == 200
    board = Leaderboard.objects.get(competition=world.public, phase__slug="main")
    board.version += 1
    board.save()
    assert client.get(path, headers={"If-None-Match": etag}).status_code == 200


def test_bad_sort_and_cursor_are_told_with_the_way_out(world) -> None:
    for query in ("?sort=nonsense", "?cols=nonsense", "?after=nonsense"):
        response = world.client("anonymous").get(BOARD + query)
        assert response.status_code == 400
        assert (
            "Sort by" in response.content.decode()
            or "Columns are" in response.content.decode()
            or "Begin again" in response.content.decode()
        )


def test_csv_has_raw_numbers_and_no_formulas(world) -> None:
    enter(world, "=HYPERLINK(1)", 0.25 + 1e-12)
    response = world.client("anonymous").get("/c/open-one/leaderboard/main/main.csv")
    assert response["Content-Disposition"] == 'attachment; filename="open-one-main-main.csv"'
    rows = list(csv.DictReader(io.StringIO(response.getvalue().decode())))
    assert [row["participant"] for row in rows] == ["Team <b>Paul</b>", "'=HYPERLINK(1)"]
    assert (rows[0]["rank"], rows[0]["performance.accuracy"], rows[0]["performance.accuracy.low"]) == (
        "1",
        "0.873",
        "0.861",
    )
    assert rows[0]["hsj.robust_accuracy.state"] == "not_applicable"
    assert float(rows[1]["performance.accuracy"]) == 0.25 + 1e-12
    assert response.streaming


def test_n_comes_with_the_rows_and_not_by_a_query_of_its_own(world) -> None:
    with CaptureQueriesContext(connection) as captured:
        assert "n = 2\u202f000" in html_of(world)
    assert sum('FROM "leaderboards_leaderboardentry"' in query["sql"] for query in captured) <= 4


def test_json_names_its_version(world) -> None:
    body = world.client("anonymous").get("/c/open-one/leaderboard/main/main.json").json()
    assert (body["competition"], body["phase"], body["leaderboard"]) == ("open-one", "main", "main")
    assert body["version"] == Leaderboard.objects.get(competition=world.public, phase__slug="main").version
    assert body["rows"][0]["performance.accuracy"] == 0.873


@pytest.mark.parametrize(("role", "most"), [("participant", 8), ("anonymous", 5)])
@pytest.mark.parametrize("query", ["", "?q=p,q&only=ranked&sort=-performance.log_loss&cols=performance.log_loss"])
def test_the_page_takes_few_queries_however_many_entries(
    world, django_assert_max_num_queries, role: str, most: int, query: str
) -> None:
    client = world.client(role)
    for rounds in (0, 5):
        for index in range(rounds):
            enter(world, f"Q{index}", 0.5 - index / 50)
        with django_assert_max_num_queries(most):
            assert client.get(BOARD + query).status_code == 200


def test_filters_go_together_and_stay_in_the_address(world) -> None:
    enter(world, "Naive", 0.5, is_baseline=True)
    enter(world, "Gated", 0.99, loss=9.0)
    assert names(html_of(world, "?who=baselines")) == ["Naive"]
    assert names(html_of(world, "?who=participants&only=ranked")) == ["Team &lt;b&gt;Paul&lt;/b&gt;"]
    assert names(html_of(world, "?q=gat, naive")) == ["Naive", "Gated"]
    assert "The filters let no entry through" in html_of(world, "?kind=container")
    html = html_of(world, "?who=participants&only=ranked")
    assert '<option value="participants" selected>' in html
    assert "who=participants&amp;only=ranked" in html or "only=ranked" in html
    assert names(html_of(world, "?who=nonsense")) == names(html_of(world))


def test_an_organisers_entry_and_a_late_one_are_told(world) -> None:
    from touchstone.competitions.models import Participation

    assert "Organiser&#x27;s entry" not in html_of(world)
    Participation.objects.filter(pk=world.participation.pk).update(user=world.organiser)
    Phase.objects.filter(competition=world.public, slug="main").update(closes=world.public.created_at)
    html = html_of(world)
    assert "Organiser&#x27;s entry" in html
    assert '<span class="tag">Late</span>' in html


def test_parquet_has_types_and_says_where_it_is_from(world) -> None:
    import pyarrow.parquet as pq

    enter(world, "Second", 0.5)
    response = world.client("anonymous").get("/c/open-one/leaderboard/main/main.parquet")
    table = pq.read_table(io.BytesIO(response.getvalue()))
    assert table.column("participant").to_pylist() == ["Team <b>Paul</b>", "Second"]
    assert table.column("performance.accuracy").to_pylist() == [0.873, 0.5]
    assert table.column("tie_group").to_pylist() == [1, 2]
    assert table.schema.metadata[b"competition"] == b"open-one"


def test_a_search_that_no_text_can_hold_is_no_error(world) -> None:
    client = world.client("stranger")
    assert client.get(BOARD, {"q": "a\x00b"}).status_code == 200
    assert client.post(f"{BOARD}share/?q=a%00b").status_code == 302
    for path in ("/c/open-one/data/%00/x", "/nodes/%00/drain/", "/api/v1/competitions/open-one/data/%00/x"):
        assert client.get(path).status_code == 404
