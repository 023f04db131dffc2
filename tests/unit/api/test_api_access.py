"""Who may ask the interface what: every address that answers a GET, asked in every role; and what answers give away."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

import pytest
from django.urls import get_resolver

from tests.factories.server import competition_make, participation_make, run_make, submission_make
from tests.factories.walking import (
    EVERYBODY,
    INSIDERS,
    NOBODY,
    ORGANISERS_ONLY,
    missing_rows,
    open_acts,
    told_apart,
    words_of,
    wrong_answers,
)
from tests.factories.world import World, changes, score, world
from touchstone.evaluations.models import RunStatus

__all__ = ["world"]

UNKNOWN = "00000000-0000-4000-8000-000000000000"
#: Without a session or a token the interface answers 401 and says what it needs.
SIGNED_IN = "401 ok ok ok ok ok ok"
MISSING = "401 - - - - - -"
TEAM = "401 - ok ok ok ok -"
TEAM_ALONE = "401 403 ok ok 403 403 403"  # that one takes no part in what all may see is no secret
ORGANISERS = "401 403 403 403 ok ok 403"
RUNNING = "401 - - - ok ok -"
ACT = "405 405 405 405 405 405 405"
_C = "/api/v1/competitions"

#: Address → what anonymous, stranger, participant, partner, organiser, helper and staff get; see walking.py.
WALK = {
    "/api/v1/me": SIGNED_IN,
    "/api/v1/me/news": SIGNED_IN,
    "/api/v1/me/export": "401 403 403 403 403 403 403",
    "/api/v1/tokens": SIGNED_IN,
    "/api/v1/tokens/none": ACT,
    "/api/v1/me/credentials": SIGNED_IN,
    "/api/v1/me/credentials/none": ACT,
    "/api/v1/device/code": ACT,
    "/api/v1/device/token": ACT,
    "/api/v1/oidc/mint": ACT,
    "/api/v1/trusted-publishers": SIGNED_IN,
    f"/api/v1/trusted-publishers/{UNKNOWN}": ACT,
    "/api/v1/competitions": EVERYBODY,
    "/api/v1/schema": EVERYBODY,
    "/api/v1/nodes": "401 403 403 403 403 403 ok",
    "/api/v1/queues": SIGNED_IN,
    "/api/v1/no-such-thing": NOBODY,
    f"{_C}/open-one": EVERYBODY,
    f"{_C}/open-one/join": ACT,
    f"{_C}/open-one/data/train/labels.csv": EVERYBODY,
    f"{_C}/open-one/data/validation/inputs.csv": EVERYBODY,
    f"{_C}/open-one/data/validation/labels.csv": ORGANISERS_ONLY,
    f"{_C}/open-one/data/test/inputs.csv": ORGANISERS_ONLY,
    f"{_C}/open-one/starting-kit": NOBODY,
    f"{_C}/open-one/reruns": ORGANISERS,
    f"{_C}/open-one/participants": RUNNING,
    f"{_C}/open-one/participants/decision": ACT,
    f"{_C}/open-one/announcements": EVERYBODY,
    f"{_C}/secret-one/announcements": INSIDERS,
    f"{_C}/sealed-one/announcements": ORGANISERS_ONLY,
    f"{_C}/open-one/announcements/read": ACT,
    f"{_C}/open-one/announcements/1/withdraw": ACT,
    f"{_C}/open-one/invitations": RUNNING,
    f"{_C}/open-one/invitations/1": ACT,
    "/api/v1/invitations/accept": ACT,
    f"{_C}/open-one/team": "401 - ok ok - - -",
    f"{_C}/secret-one/team": "401 - ok ok - - -",
    f"{_C}/open-one/team/members": ACT,
    f"{_C}/open-one/team/invitations": ACT,
    f"{_C}/open-one/team/invitations/1": ACT,
    f"{_C}/open-one/phases/main/freeze": ACT,
    f"{_C}/open-one/phases/main/finals": MISSING,
    f"{_C}/open-one/phases/main/finals/publish": ACT,
    "/api/v1/nodes/none/act": ACT,
    "/api/v1/drafts": SIGNED_IN,
    "/api/v1/drafts/templates": SIGNED_IN,
    f"/api/v1/drafts/{UNKNOWN}": MISSING,
    f"/api/v1/drafts/{UNKNOWN}/files": ACT,
    f"/api/v1/drafts/{UNKNOWN}/editors": ACT,
    f"/api/v1/drafts/{UNKNOWN}/publish": ACT,
    f"/api/v1/drafts/{UNKNOWN}/sections/about": MISSING,
    f"/api/v1/drafts/{UNKNOWN}/sections/about/undo": ACT,
    f"{_C}/open-one/leaderboards/main/main/plane": EVERYBODY,
    f"{_C}/secret-one/leaderboards/main/main/plane": INSIDERS,
    f"{_C}/open-one/leaderboards/main/main/compare": "400 400 400 400 400 400 400",
    f"{_C}/open-one/leaderboards/main/main/history": EVERYBODY,
    f"{_C}/secret-one/leaderboards/main/main/history": INSIDERS,
    f"{_C}/open-one/leaderboards/main/main/parquet": EVERYBODY,
    f"{_C}/secret-one/leaderboards/main/main/parquet": INSIDERS,
    f"{_C}/sealed-one/leaderboards/main/main/parquet": ORGANISERS_ONLY,
    f"{_C}/open-one/leaderboards/main/main/snapshots": ACT,
    f"{_C}/open-one/leaderboards/main/main/snapshots/{UNKNOWN}": NOBODY,
    f"{_C}/open-one/entries/{{run}}": EVERYBODY,
    f"{_C}/open-one/entries/{UNKNOWN}": NOBODY,
    f"{_C}/open-one/reruns/{UNKNOWN}": "401 403 403 403 - - 403",
    "/api/v1/submissions/{run}/withdraw": ACT,
    f"{_C}/open-one/export": "401 - - - ok ok -",
    f"{_C}/open-one/check": "401 - - - ok ok -",
    f"{_C}/open-one/open": ACT,
    f"{_C}/open-one/images": TEAM_ALONE,
    f"{_C}/open-one/quota": TEAM_ALONE,
    f"{_C}/open-one/submissions": SIGNED_IN,
    f"{_C}/open-one/leaderboards/main/main": EVERYBODY,
    f"{_C}/open-one/leaderboards/main/main?format=csv": EVERYBODY,
    f"{_C}/open-one/phases/main/transfer-matrices": ORGANISERS,
    f"/api/v1/transfer-matrices/{UNKNOWN}": MISSING,
    f"/api/v1/transfer-matrices/{UNKNOWN}/cancel": ACT,
    "/api/v1/uploads": ACT,
    "/api/v1/uploads/{upload}": "401 - ok - - - -",
    "/api/v1/uploads/{upload}/parts/1": ACT,
    "/api/v1/uploads/{upload}/complete": ACT,
    "/api/v1/webhooks": SIGNED_IN,
    f"/api/v1/webhooks/{UNKNOWN}": MISSING,
    f"/api/v1/webhooks/{UNKNOWN}/rotate": ACT,
    f"/api/v1/webhooks/{UNKNOWN}/ping": ACT,
    f"/api/v1/webhooks/{UNKNOWN}/deliveries": MISSING,
    f"/api/v1/webhooks/{UNKNOWN}/deliveries/{UNKNOWN}/redeliver": ACT,
    "/api/v1/submissions": SIGNED_IN,
    "/api/v1/submissions/compare": "401 400 400 400 400 400 400",
    "/api/v1/submissions/{run}": TEAM,
    "/api/v1/submissions/{run}/events": TEAM,
    "/api/v1/submissions/{run}/stream": TEAM,
    "/api/v1/submissions/{run}/log": TEAM,
    "/api/v1/submissions/{run}/results": TEAM,
    "/api/v1/submissions/{run}/cancel": ACT,
    "/api/v1/submissions/{run}/finalist": ACT,
    f"/api/v1/submissions/{UNKNOWN}": MISSING,
    f"{_C}/secret-one": INSIDERS,
    f"{_C}/secret-one/data/train/labels.csv": INSIDERS,
    f"{_C}/secret-one/images": "401 - ok ok 403 403 -",
    f"{_C}/secret-one/quota": "401 - ok ok 403 403 -",
    f"{_C}/secret-one/submissions": TEAM,
    f"{_C}/secret-one/leaderboards/main/main": INSIDERS,
    f"{_C}/secret-one/leaderboards/main/main?format=csv": INSIDERS,
    f"{_C}/secret-one/phases/main/transfer-matrices": "401 - 403 403 ok ok -",
    f"{_C}/sealed-one": ORGANISERS_ONLY,
    f"{_C}/sealed-one/data/train/labels.csv": ORGANISERS_ONLY,
    f"{_C}/sealed-one/images": "401 - - - 403 403 -",
    f"{_C}/sealed-one/quota": "401 - - - 403 403 -",
    f"{_C}/sealed-one/submissions": "401 - - - ok ok -",
    f"{_C}/sealed-one/leaderboards/main/main": ORGANISERS_ONLY,
}

EXAMPLES = {"<slug:slug>": "open-one", "<slug:phase>": "main", "<slug:board>": "main"}


@pytest.fixture
def places(world: World) -> dict[str, Any]:
    """What `{…}` in the table stands for."""
    return {"run": world.run.submission_id, "upload": _upload(world)}


def _upload(world: World) -> str:
    client = world.client("participant")
    asked = {"name": "model.onnx", "size": 10, "sha256": "0" * 64}
    answer = client.post("/api/v1/uploads", json.dumps(asked), content_type="application/json")
    assert answer.status_code == 201, answer.content
    return str(answer.json()["id"])


def test_walk(world: World, places: dict[str, Any]) -> None:
    wrong = wrong_answers(world, WALK, places)
    assert not wrong, "\n".join(wrong)


def test_no_address_was_forgotten() -> None:
    patterns = next(p for p in get_resolver().url_patterns if getattr(p, "app_name", "") == "api").url_patterns
    anything: defaultdict[str, str] = defaultdict(lambda: UNKNOWN)
    walked = {get_resolver().resolve(path.partition("?")[0].format_map(anything)).url_name for path in WALK}
    found = missing_rows(((p.name, f"api/v1/{p.pattern}") for p in patterns), walked, EXAMPLES)
    assert not found, found


def test_what_one_may_not_see_is_answered_as_what_is_not_there(world: World, places: dict[str, Any]) -> None:
    """Word for word, so that no text, title or tag tells that there is something."""
    wrong = told_apart(world, WALK, places, slugs=("secret-one", "sealed-one"))
    assert not wrong, "\n".join(wrong)


#: What outsiders read that could count or list what they may not see.
OUTSIDE = [
    "/", "/?q=one", "/?q=secret", "/?q=sealed", "/account/", "/c/open-one/", "/c/open-one/leaderboard/main/main/",
    "/c/open-one/leaderboard/main/main.json", "/c/open-one/leaderboard/main/main.csv", "/c/open-one/submissions/",
    _C, f"{_C}?q=one", f"{_C}?q=secret", f"{_C}?q=sealed", f"{_C}?limit=1", f"{_C}/open-one", "/api/v1/submissions",
    "/api/v1/submissions?competition=secret-one", "/api/v1/submissions?competition=open-one",
    f"{_C}/open-one/leaderboards/main/main", f"{_C}/open-one/leaderboards/main/main?format=csv",
]  # fmt: skip


def test_what_goes_on_out_of_sight_changes_no_answer(world: World) -> None:
    """No list, total, search, tag or error text that an outsider gets differs once more has happened elsewhere."""
    clients = {role: world.client(role) for role in ("anonymous", "stranger", "staff")}

    def everything() -> dict[tuple[str, str], str]:
        return {(role, path): words_of(client, path) for role, client in clients.items() for path in OUTSIDE}

    before = everything()
    for competition in (world.private, world.sealed):
        phase = competition.phases.get(slug="main")
        score(run_make(submission_make(participation_make(competition, display_name="Zanzibar"), phase)))
        competition_make(world.organiser, slug=f"another-{competition.slug}", **changes(visibility="private"))
    after = everything()

    assert [key for key in before if before[key] != after[key]] == []
    told = [
        key for key, words in after.items() if "Zanzibar" in words or ("secret-one" in words and "secret" not in key[1])
    ]
    assert not told


def test_of_the_same_competition_others_submissions_are_not_told(world: World) -> None:
    """Of what somebody else sent, a participant and a stranger see what the board shows, and nothing of a failure."""
    paths = [
        "/c/open-one/submissions/",
        "/api/v1/submissions",
        "/api/v1/submissions?competition=open-one",
        f"{_C}/open-one/quota",
    ]
    clients = {role: world.client(role) for role in ("stranger", "participant", "partner")}

    def everything() -> dict[tuple[str, str], str]:
        return {(role, path): words_of(client, path) for role, client in clients.items() for path in paths}

    before = everything()
    theirs = submission_make(participation_make(world.public), world.run.submission.phase, message="Zanzibar")
    made = run_make(theirs, RunStatus.FAILED)

    assert [key for key, words in everything().items() if words != before[key]] == []
    for client in clients.values():
        for part in ("", "/events", "/log", "/results", "/stream"):
            assert client.get(f"/api/v1/submissions/{made.submission_id}{part}").status_code == 404
        assert client.get(f"/s/{made.submission_id}/").status_code == 404


#: Acts for oneself.
FREE = {
    "/api/v1/uploads", "/api/v1/invitations/accept", f"{_C}/open-one/join", f"{_C}/open-one/announcements/read",
    f"{_C}/open-one/leaderboards/main/main/snapshots",
}  # fmt: skip

#: How one comes to a token: what is sent decides.
EVERYBODYS = {"/api/v1/device/code", "/api/v1/device/token", "/api/v1/oidc/mint"}


def test_acts_are_refused_to_those_who_have_nothing_to_do_with_it(world: World, places: dict[str, Any]) -> None:
    found = open_acts(world, WALK, places, free=FREE, everybody=EVERYBODYS)
    assert not found, "\n".join(found)
