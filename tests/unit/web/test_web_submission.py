"""The page of one submission, in every state of its run."""

from __future__ import annotations

import re

import pytest

from runners.contract import EngineReport, Verdict
from tests.factories.server import node_make, run_make, submission_make
from tests.unit.web.conftest import score
from touchstone.competitions.models import Phase
from touchstone.core.clock import now
from touchstone.evaluations.events import event_add
from touchstone.evaluations.models import Node, Run, RunStatus


def fresh(world, status: RunStatus = RunStatus.QUEUED, **fields: object) -> Run:
    phase = Phase.objects.get(competition=world.public, slug="main")
    return run_make(submission_make(world.participation, phase), status, **fields)


def page(world, run: Run, role: str = "participant") -> str:
    return world.client(role).get(f"/s/{run.submission_id}/").content.decode()


def test_scores_have_value_interval_n_unit_and_direction(world) -> None:
    html = page(world, world.run)
    row = re.search(r"<tr>\s*<th scope=\"row\">Accuracy<.*?</tr>", html, re.S)
    assert row is not None
    for text in (">0.873<", "[0.861, 0.884]", "2\u202f000", "higher is better", '<circle class="iv-dot"'):
        assert text in row[0]
    assert ">nat<" in html
    assert "Performance" in html
    assert "Robustness" in html


def test_what_does_not_apply_says_why_and_shows_no_number(world) -> None:
    row = re.search(r"<tr>\s*<th scope=\"row\">hsj.*?</tr>", page(world, world.run), re.S)
    assert row is not None
    assert "Not applicable" in row[0]
    assert "a prediction file cannot be queried" in row[0]
    assert "0.000" not in row[0]


def test_stages_and_history(world) -> None:
    html = page(world, world.run)
    assert html.index("Fetching data and submission</dt>") < html.index("Measuring performance.accuracy</dt>")
    assert "1 min 1 s" in html
    assert "Scored." in html
    assert "data-live" not in html
    assert "data-stream" not in html
    assert "live.js" not in html


def test_a_failure_says_what_why_and_what_next(world) -> None:
    engine = EngineReport(name="bubblewrap", ok=True, isolation="user namespace", not_enforced=("disk quota",))
    run = score(fresh(world), verdict=Verdict.MEMORY, message="peak was 2 GiB", log="MemoryError", engine=engine)
    html = page(world, run)
    assert "used more memory than allowed" in html
    assert "peak was 2 GiB" in html
    assert "What to do next" in html
    assert "MemoryError" in html
    assert "Failed" in html
    assert "disk quota" in html
    assert 'id="scores"' not in html


def test_waiting_shows_place_and_workers_and_follows(world) -> None:
    fresh(world)
    run = fresh(world)
    node_make("one")
    html = page(world, run)
    assert "number 2 in the queue" in html
    assert "2 workers online" in html
    assert re.search(r'<div id="run" data-live hx-get="/s/[^"]+/state\?v=[0-9a-f]+" hx-trigger="look"', html)
    assert f'data-stream="/api/v1/submissions/{run.submission_id}/stream?after=0.0.0.0"' in html
    assert "web/js/live.js" in html
    assert "Cancel the run" in html


def test_no_worker_is_said(world) -> None:
    Node.objects.update(disabled_at=now())
    assert "No worker that can run a submission of kind" in page(world, fresh(world))


def test_the_poll_answers_only_when_something_changed(world) -> None:
    run = fresh(world, RunStatus.RUNNING, attempt=1)
    client = world.client("participant")
    url = re.search(r'hx-get="([^"]+)"', page(world, run))
    assert url is not None
    assert client.get(url[1]).status_code == 204
    event_add(run=run, kind="progress", message="7 of 9 items")
    answer = client.get(url[1])
    assert answer.status_code == 200
    html = answer.content.decode()
    assert html.lstrip().startswith('<div id="run"')
    assert "7 of 9 items" in html
    assert 'hx-swap-oob="innerHTML"' in html
    assert answer["Cache-Control"].count("no-store")


def test_the_poll_ends_with_the_run(world) -> None:
    run = score(fresh(world))
    html = world.client("participant").get(f"/s/{run.submission_id}/state").content.decode()
    assert "hx-trigger" not in html


def test_cancelling(world) -> None:
    run = fresh(world)
    client = world.client("participant")
    assert client.post(f"/s/{run.submission_id}/cancel/")["Location"] == f"/s/{run.submission_id}/"
    run.refresh_from_db()
    assert run.status == "cancelled"
    assert "The run is cancelled." in client.get(f"/s/{run.submission_id}/").content.decode()
    client.post(f"/s/{run.submission_id}/cancel/")
    assert "had ended before" in client.get(f"/s/{run.submission_id}/").content.decode()


def test_a_running_one_is_asked_to_stop(world) -> None:
    run = fresh(world, RunStatus.RUNNING, attempt=1)
    client = world.client("organiser")
    client.post(f"/s/{run.submission_id}/cancel/")
    html = client.get(f"/s/{run.submission_id}/").content.decode()
    assert "Cancel asked" in html
    assert "Cancel the run" not in html


def test_the_two_logs_stand_apart(world) -> None:
    run = score(fresh(world), sample_log="loading\n", log="loading\nanswering\n", estimated_seconds=75.0)
    html = page(world, run)
    assert html.index("Sample log") < html.index("loading") < html.index("Run log") < html.index("answering")
    assert html.count("loading\n") == 1
    assert "1 min 15 s" in html
    assert "loading" in world.client("participant").get(f"/s/{run.submission_id}/logs").content.decode()


def test_a_log_that_is_kept_back_says_so(world) -> None:
    Phase.objects.filter(competition=world.public).update(logs="sample")
    run = score(fresh(world), sample_log="loading\n", log="loading\nsecret\n")
    html = page(world, run)
    assert "loading" in html
    assert "secret\n" not in html
    assert "keeps what runs write about its own data" in html
    assert "secret\n" in page(world, run, "organiser")


@pytest.mark.parametrize(
    ("code", "text"), [("too_slow", "would not have finished in time"), ("image_start", "entry point")]
)
def test_codes_have_words_of_their_own(world, code: str, text: str) -> None:
    verdict = Verdict.TIMEOUT if code == "too_slow" else Verdict.CRASH
    html = page(world, score(fresh(world), verdict=verdict, code=code, message=""))
    assert text in html
    assert "failed submissions have a limit of their own" in html


@pytest.mark.parametrize(("role", "shown"), [("participant", False), ("organiser", True)])
def test_a_phase_without_feedback_tells_the_organiser_only(world, role: str, shown: bool) -> None:
    Phase.objects.filter(competition=world.public).update(feedback="none")
    html = page(world, world.run, role)
    assert ("0.873" in html) is shown
    assert ("no feedback" in html) is not shown
    board = world.client(role).get("/c/open-one/leaderboard/main/main/").content.decode()
    assert ("0.873" in board) is shown
    csv = world.client(role).get("/c/open-one/leaderboard/main/main.csv").getvalue().decode()
    assert ("0.873" in csv) is shown
