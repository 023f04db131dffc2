"""The public part of a submission, its badge, and the looks around a leaderboard."""

from __future__ import annotations

import io
import re
import uuid

import pytest
from django.core.management import call_command

from tests.factories.server import metric, participation_make, run_make, submission_make
from tests.unit.web.conftest import World, score
from touchstone.competitions.models import Phase
from touchstone.core.clock import now
from touchstone.leaderboards.models import Leaderboard, LeaderboardEntry, LeaderboardEvent, LeaderboardSnapshot
from touchstone.leaderboards.services import participant_rebuild
from touchstone.submissions.models import Submission

BOARD = "/c/open-one/leaderboard/main/main/"
GROUPS = [
    {"group": name, "n": 50, "selection_rate": rate, "accuracy": rate}
    for name, rate in (("female", 0.2), ("male", 0.6))
]


def enter(world: World, name: str, value: float, loss: float | None = 0.4, details: object = None) -> Submission:
    from runners.contract import Verdict

    member = participation_make(world.public, display_name=name)
    return again(world, member, value, loss, details, Verdict.OK)


def again(world: World, member, value, loss=0.4, details=None, verdict="ok") -> Submission:
    phase = Phase.objects.get(competition=world.public, slug="main")
    results = [metric(value=value, low=value - 0.01, high=value + 0.01, title="Accuracy", details=details or {})]
    if loss is not None:
        results.append(metric("performance.log_loss", loss, title="Log loss"))
    run = score(run_make(submission_make(member, phase)), results=tuple(results), verdict=verdict)
    return Submission.objects.get(pk=run.submission_id)


def text(world: World, path: str, role: str = "anonymous", status: int = 200) -> str:
    response = world.client(role).get(path)
    assert response.status_code == status, path
    return response.content.decode()


def entry_path(submission: Submission) -> str:
    return f"/c/open-one/entry/{submission.pk}/"


def rounding(world: World, feedback: str) -> None:
    phase = Phase.objects.get(competition=world.public, slug="main")
    phase.feedback = feedback
    phase.save()


def test_an_entry_says_its_place_its_scores_and_where_it_comes_from(world) -> None:
    enter(world, "Twin", 0.875)
    one = enter(world, "Third", 0.5, details={"groups": GROUPS})
    Submission.objects.filter(pk=one.pk).update(name="Our own words")  # for the team and the organisers
    html = text(world, entry_path(one))
    assert "Our own words" not in html
    assert "Rank 3: no other entry" in html
    assert re.search(r"lowest for female, 0\.200; highest for male, 0\.600\. The gap is 0\.400", html)
    assert one.files[0]["sha256"] in html
    assert one.phase.split.digest in html
    assert "Share of right answers" in html or "accuracy" in html.lower()
    assert "/s/" not in re.sub(r"/static/", "", html).replace("/c/", "").split("<main", 1)[1]
    paul = Submission.objects.get(pk=world.run.submission_id)
    assert "Rank 1 to 2: tied with 1 other" in text(world, entry_path(paul))


@pytest.mark.parametrize("role", ["anonymous", "stranger", "participant"])
def test_what_a_phase_hides_has_no_page_and_no_badge(world, role: str) -> None:
    one = enter(world, "Second", 0.5)
    rounding(world, "none")
    for path in (entry_path(one), f"/c/open-one/badge/{one.pk}.svg"):
        text(world, path, role, status=404)
    for path in ("pareto/", "history/", f"compare/?e={one.pk}&e={world.run.submission_id}"):
        text(world, BOARD + path, role, status=403)
    assert "Second" in text(world, entry_path(one), "organiser")


def test_a_rounding_phase_gives_no_exact_number_away(world) -> None:
    one = enter(world, "Second", 0.51234, details={"groups": GROUPS})
    rounding(world, "rounded")
    compared = f"compare/?e={one.pk}&e={world.run.submission_id}"
    for path in (entry_path(one), f"/c/open-one/badge/{one.pk}.svg", BOARD + "pareto/", BOARD + compared):
        html = text(world, path)
        assert "0.512" not in html
        assert "0.522" not in html
        assert "0.600" not in html
        assert "0.51" in html
    history = text(world, BOARD + "history/")
    assert "0.873" not in history
    assert "0.87" in history


def test_foreign_and_missing_entries_are_alike(world) -> None:
    one = enter(world, "Second", 0.5)
    text(world, f"/c/open-one/entry/{uuid.uuid4()}/", status=404)
    text(world, f"/c/secret-one/entry/{one.pk}/", status=404)
    LeaderboardEntry.objects.filter(run__submission=one).update(hidden=True)
    text(world, entry_path(one), status=404)


def test_a_replaced_entry_stays_and_one_that_never_showed_does_not(world) -> None:
    member = participation_make(world.public, display_name="Busy")
    first, better, worse = (again(world, member, value) for value in (0.5, 0.6, 0.55))
    assert "has a later one now" in text(world, entry_path(first))
    assert "Rank 2" in text(world, entry_path(better))
    text(world, entry_path(worse), status=404)
    history = text(world, entry_path(better)).split('id="past"', 1)[1]
    assert "0.600" in history
    assert "0.500" in history
    assert "0.550" not in history


def test_a_withdrawn_entry_leaves_a_tombstone(world) -> None:
    one = enter(world, "Gone", 0.95)
    assert LeaderboardEvent.objects.get(run=one.run, kind="score").is_frontier
    Submission.objects.filter(pk=one.pk).update(withdrawn_at=now(), withdrawn_reason="A leak")
    participant_rebuild(phase=one.phase, participation=one.participation)
    page = text(world, entry_path(one))
    assert "Withdrawn" in page
    assert "0.95" not in page
    board = text(world, BOARD)
    assert "1 withdrawn submission" in board
    assert "by its participant: A leak" in board
    assert "Its participant took this entry back on" in page
    rows = world.client("anonymous").get(BOARD[:-1] + ".json").json()["rows"]
    assert [row["flags"] for row in rows] == ["", "withdrawn"]
    assert rows[1]["participant"] == "Gone"
    assert rows[1]["unranked"].endswith("by its participant: A leak")
    assert (rows[1]["rank"], rows[1]["performance.accuracy"]) == (None, None)
    assert "by its participant: A leak" in b"".join(world.client("anonymous").get(BOARD[:-1] + ".csv")).decode()
    assert "Gone" not in text(world, BOARD + "history/")


def test_a_badge_is_safe_and_is_kept(world) -> None:
    world.public.title = 'Open "<script>" & more'
    world.public.save()
    path = f"/c/open-one/badge/{world.run.submission_id}.svg"
    response = world.client("anonymous").get(path)
    svg = response.content.decode()
    assert response["Content-Type"].startswith("image/svg+xml")
    assert "<script" not in svg
    assert "&lt;script&gt;" in svg
    assert "rank 1 · Accuracy 0.873" in svg
    assert world.client("anonymous").get(path, headers={"If-None-Match": response["ETag"]}).status_code == 304


def test_the_front_honours_directions_and_names_who_lacks_a_value(world) -> None:
    enter(world, "Front", 0.5, loss=0.1)
    enter(world, "Behind", 0.6, loss=0.5)
    enter(world, "Lacking", 0.7, loss=None)
    html = text(world, BOARD + "pareto/?x=performance.log_loss&y=performance.accuracy")
    assert "2 of 3 entries are on the front" in html
    assert "They are Front, Team &lt;b&gt;Paul&lt;/b&gt;." in html
    assert "Lacking: no value of Log loss" in html
    text(world, BOARD + "pareto/?x=nonsense", status=400)


def test_entries_are_compared_with_words_on_what_the_difference_is_worth(world) -> None:
    one = enter(world, "Second", 0.87, details={"groups": GROUPS})
    two = enter(world, "Third", 0.5, details={"groups": GROUPS})
    html = text(world, f"{BOARD}compare/?e={world.run.submission_id}&e={one.pk}&e={two.pk}")
    assert "unpaired" in html
    assert "within the intervals" in html
    assert re.search(r"−0\.373\s+worse<", html)
    both = text(world, f"{BOARD}compare/?e={one.pk}&e={two.pk}")
    assert "Second: worst for female (0.200), gap 0.400." in both
    text(world, f"{BOARD}compare/?e={one.pk}", status=400)
    text(world, f"{BOARD}compare/?e={one.pk}&e={uuid.uuid4()}", status=404)


def test_the_history_is_who_led(world) -> None:
    enter(world, "Low", 0.5)
    enter(world, "High", 0.9)
    html = text(world, BOARD + "history/")
    assert re.findall(r'entry/[^"]*">([^<]+)</a>', html) == ["High", "Team &lt;b&gt;Paul&lt;/b&gt;"]
    assert "The lead changed 1 time." in html


def test_a_snapshot_stays_the_same_and_says_what_changed(world) -> None:
    client = world.client("stranger")
    share = BOARD + "share/?sort=participant&cols=performance.accuracy"
    assert world.client("anonymous").post(share).status_code == 302
    assert LeaderboardSnapshot.objects.count() == 0
    kept = client.post(share)["Location"]
    assert client.post(share)["Location"] == kept
    assert LeaderboardSnapshot.objects.count() == 1
    before = text(world, kept)
    assert "has not changed since then" in before
    assert ">You<" not in text(world, kept, "participant")
    enter(world, "Newcomer", 0.99)
    after = text(world, kept)
    table = before[before.index("<table") : before.index("</table>")]
    assert after[after.index("<table") : after.index("</table>")] == table
    assert "New: Newcomer" in after
    assert "place 1 then, 2 now" in after
    response = client.get(kept)
    assert client.get(kept, headers={"If-None-Match": response["ETag"]}).status_code == 304
    assert client.post(share)["Location"] != kept


def test_a_snapshot_goes_with_what_the_phase_hides(world) -> None:
    client = world.client("stranger")
    kept = client.post(BOARD + "share/")["Location"]
    rounding(world, "rounded")
    text(world, kept, status=403)
    rounding(world, "none")
    text(world, kept, status=403)
    assert client.post(BOARD + "share/").status_code == 403
    rounding(world, "full")
    other = Leaderboard.objects.exclude(phase__slug="main").filter(competition=world.public).first()
    text(world, kept.replace("/main/main/", f"/{other.phase.slug}/{other.slug}/"), status=404)


def test_the_history_is_the_same_when_it_is_built_anew(world) -> None:
    phase = world.run.submission.phase
    for value in (0.5, 0.9, 0.7, 0.95):
        enter(world, f"At {value}", value)

    def told() -> list[tuple[float | None, bool]]:
        events = LeaderboardEvent.objects.filter(leaderboard__phase=phase).order_by("at", "pk")
        return list(events.values_list("sort_key", "is_frontier"))

    written = told()
    assert [key for key, leads in written if leads] == [0.873, 0.9, 0.95]
    assert len(written) == 5
    LeaderboardEvent.objects.all().delete()
    call_command("rebuild_leaderboards", "open-one", stdout=io.StringIO())
    assert told() == written
