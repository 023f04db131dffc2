"""Whether a number under attack may be believed stands beside it, on the page of a submission and on boards."""

from __future__ import annotations

import re

import pytest

from runners.contract import Verdict
from tests.factories.server import metric, participation_make, run_make, submission_make
from tests.unit.web.conftest import score
from touchstone.competitions.models import Competition, Phase
from touchstone.leaderboards.models import Leaderboard
from touchstone.leaderboards.services import leaderboard_rebuild
from touchstone.web.boards import title_of

DOUBT = {"check": "black_box_control", "outcome": "broken", "text": "Square fools 6 of 50 items more than the attack."}
TEXT = "Square fools 6 of 50 items more than the attack."


def robust(value: float, verdict: str | None, *checks: dict[str, str]) -> object:
    return metric(
        "hsj.robust_accuracy", value, metric="robustness.attack", pillar="robustness", direction="maximise",
        title="Robust accuracy (hop_skip_jump, l2, eps 1)", n=8,
        parameters={"attack": "hop_skip_jump", "eps": 1.0, "check_items": 50, "check_queries": 400},
        details={"validity": {"verdict": verdict, "text": "", "checks": list(checks)}},
    )  # fmt: skip


@pytest.fixture
def attacked(world):
    """A second run of the world, with a robust accuracy that is `broken`, and one of another team that is sound."""
    phase = Phase.objects.get(competition=world.public, slug="main")
    found = {}
    for name, made in (("doubtful", robust(0.61, "broken", DOUBT)), ("honest", robust(0.31, "sound")),
                       ("unasked", robust(0.41, None))):  # fmt: skip
        team = participation_make(world.public, display_name=name)
        results = (metric(value=0.9), metric("performance.log_loss", 0.4), made)
        found[name] = score(run_make(submission_make(team, phase)), results=results, verdict=Verdict.OK)
    return found


def row_of(html: str, start: str) -> str:
    found = re.search(rf"<tr[^>]*>(?:(?!</tr>).)*{re.escape(start)}.*?</tr>", html, re.S)
    assert found is not None
    return found[0]


@pytest.mark.parametrize(
    ("name", "word", "icon"), [("doubtful", "Broken", "circle-x"), ("honest", "Sound", "shield-check"),
                               ("unasked", "Not checked", "circle-dashed")],
)  # fmt: skip
def test_the_page_of_a_submission_says_it_in_a_word(world, attacked, name, word, icon) -> None:
    html = world.client("organiser").get(f"/s/{attacked[name].submission_id}/").content.decode()
    row = row_of(html, "Robust accuracy (hop_skip_jump")
    assert re.search(rf'<svg class="icon"[^>]*><use href="[^"]*#{icon}"></use></svg>{word}</span>', row)
    assert (TEXT in row) == (name == "doubtful")
    assert ("1 check speaks against it" in row) == (name == "doubtful")
    assert "style=" not in row


def test_settings_of_the_checks_are_no_reading_for_people(world, attacked) -> None:
    html = world.client("organiser").get(f"/s/{attacked['honest'].submission_id}/").content.decode()
    assert "attack = hop_skip_jump" in html
    assert "check_items" not in html
    assert "check_queries" not in html


def test_a_number_without_an_attack_has_no_chip(world, attacked) -> None:
    html = world.client("organiser").get(f"/s/{attacked['doubtful'].submission_id}/").content.decode()
    assert "Broken" not in row_of(html, ">performance.accuracy<")


def test_cells_of_a_board_say_it_too(world, attacked) -> None:
    html = world.client("stranger").get(
        "/c/open-one/leaderboard/main/main/?cols=performance.accuracy,hsj.robust_accuracy"
    ).content.decode()  # fmt: skip
    doubtful, honest = row_of(html, ">doubtful"), row_of(html, ">honest")
    assert ">Broken</span>" in doubtful.replace("</svg>", "</svg>>")
    assert f'<span title="black box control: {TEXT}">black box control</span>' in doubtful
    assert "Sound" in honest
    assert "black box" not in honest
    assert doubtful.count('class="validity"') == 1


def test_rounded_boards_tell_which_check_failed_and_no_figure_of_it(world, attacked) -> None:
    Phase.objects.filter(competition=world.public).update(feedback="rounded")
    html = world.client("stranger").get("/c/open-one/leaderboard/main/main/?cols=hsj.robust_accuracy").content.decode()
    assert "black box control" in html
    assert "6 of 50" not in html
    page = world.client("participant").get(f"/s/{world.run.submission_id}/")
    assert page.status_code == 200


def test_a_rebuilt_board_keeps_verdicts(world, attacked) -> None:
    board = Leaderboard.objects.get(phase__competition=world.public, phase__slug="main")
    leaderboard_rebuild(leaderboard=board)
    scores = board.entries.get(participation__display_name="doubtful").scores
    assert scores["hsj.robust_accuracy"]["verdict"] == "broken"
    assert "verdict" not in scores["performance.accuracy"]


def test_the_interface_tells_verdict_and_doubts(world, attacked) -> None:
    client = world.client("organiser")
    items = client.get(f"/api/v1/submissions/{attacked['doubtful'].submission_id}/results").json()["items"]
    found = {item["key"]: (item["verdict"], item["doubts"]) for item in items}
    assert found["hsj.robust_accuracy"] == ("broken", [f"black box control: {TEXT}"])
    assert found["performance.accuracy"] == ("", [])
    board = client.get("/api/v1/competitions/open-one/leaderboards/main/main?cols=hsj.robust_accuracy").json()
    cells = {row["participant"]: row["scores"]["hsj.robust_accuracy"]["verdict"] for row in board["rows"]}
    assert cells["doubtful"] == "broken"
    assert cells["honest"] == "sound"
    assert cells["unasked"] == "unchecked"


@pytest.mark.parametrize(
    ("key", "metric_name", "title"),
    [
        ("hsj.robust_accuracy", "robustness.attack", "Robust accuracy"),
        ("fairness.reject_option[sex]", "fairness.reject_option", "After reject option classification"),
        ("odds.cost[sex]", "fairness.reject_option", "Balanced accuracy lost to mitigation"),
        ("rb[sex=male]", "robustness.bias", "Attack success rate"),
        ("rb.ratio", "robustness.bias", "Robustness bias, ratio"),
        ("performance.accuracy", "performance.accuracy", "Accuracy"),
    ],
)
def test_columns_that_nobody_has_yet_are_named_by_their_part(key, metric_name, title) -> None:
    from runners.spec import catalogue

    assert title_of(key, catalogue()["metrics"][metric_name]) == title


def test_the_page_of_metrics_leaves_the_settings_of_checks_out(world) -> None:
    found = Competition.objects.get(pk=world.public.pk)
    found.spec["metrics"][2] = {**found.spec["metrics"][2], "check_items": 7}
    found.save()
    html = world.client("stranger").get("/c/open-one/").content.decode()
    assert "attack = hop_skip_jump" in html
    assert "check_items" not in html
