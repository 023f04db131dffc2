"""Who may see which page: every address, walked in every role."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from django.test import Client
from django.urls import get_resolver

from tests.unit.web.conftest import ROLES

OK, LOGIN, GONE = 200, "login", 404
#: One signed in a while ago, and is asked for the password again.
AGAIN = "again"
SECRET_BOARD = "/c/secret-one/leaderboard/main/main/"
EVERYBODY = (OK, OK, OK, OK)
MEMBERS = (GONE, GONE, OK, OK)

#: Address → what anonymous, stranger, participant and organiser get. `{run}` is the participant's submission.
WALK = {
    "/": EVERYBODY,
    "/signup/": (OK, "/", "/", "/"),
    "/login/": (OK, "/", "/", "/"),
    "/account/": (LOGIN, OK, OK, OK),
    "/account/tokens/999/revoke/": (LOGIN, GONE, GONE, GONE),
    "/account/export.zip": (LOGIN, OK, OK, OK),
    "/account/delete/": (LOGIN, AGAIN, AGAIN, AGAIN),
    "/email/": (LOGIN, OK, OK, OK),
    "/2fa/": (LOGIN, OK, OK, OK),
    "/2fa/totp/activate/": (LOGIN, AGAIN, AGAIN, AGAIN),
    "/2fa/webauthn/add/": (LOGIN, AGAIN, AGAIN, AGAIN),
    "/sessions/": (LOGIN, OK, OK, OK),
    "/connections/": (LOGIN, OK, OK, OK),
    "/password/change/": (LOGIN, OK, OK, OK),
    "/competitions/new/": (LOGIN, OK, OK, OK),
    "/c/open-one/": EVERYBODY,
    "/c/open-one/data/": EVERYBODY,
    "/c/open-one/data/train/labels.csv": EVERYBODY,
    "/c/open-one/data/validation/inputs.csv": EVERYBODY,
    "/c/open-one/data/validation/labels.csv": (GONE, GONE, GONE, OK),
    "/c/open-one/data/test/inputs.csv": (GONE, GONE, GONE, OK),
    "/c/open-one/data/test/labels.csv": (GONE, GONE, GONE, OK),
    "/c/open-one/data/none/labels.csv": (GONE, GONE, GONE, GONE),
    "/c/open-one/data/train/../test/labels.csv": (GONE, GONE, GONE, GONE),
    "/c/open-one/starting-kit.zip": (GONE, GONE, GONE, GONE),
    "/c/open-one/phases/": EVERYBODY,
    "/c/open-one/rules/": EVERYBODY,
    "/c/open-one/p/faq/": EVERYBODY,
    "/c/open-one/p/none/": (GONE, GONE, GONE, GONE),
    "/c/open-one/join/": (OK, OK, "/c/open-one/submit/", OK),
    "/c/open-one/leaderboard/": ("/c/open-one/leaderboard/main/main/",) * 4,
    "/c/open-one/leaderboard/main/main/": EVERYBODY,
    "/c/open-one/leaderboard/main/none/": (GONE, GONE, GONE, GONE),
    "/c/open-one/leaderboard/main/main.csv": EVERYBODY,
    "/c/open-one/leaderboard/main/main.json": EVERYBODY,
    "/c/open-one/submissions/": (LOGIN, OK, OK, OK),
    "/c/open-one/transfer/": (LOGIN, GONE, GONE, OK),
    "/c/open-one/transfer/00000000-0000-4000-8000-000000000000.csv": (LOGIN, GONE, GONE, GONE),
    "/c/open-one/transfer/00000000-0000-4000-8000-000000000000/cancel/": (LOGIN, 405, 405, 405),
    "/c/open-one/submit/": (LOGIN, "/c/open-one/join/", OK, "/c/open-one/join/"),
    "/s/{run}/": (LOGIN, GONE, OK, OK),
    "/s/{run}/state": (GONE, GONE, OK, OK),
    "/s/{run}/logs": (GONE, GONE, OK, OK),
    "/nodes/": (LOGIN, OK, OK, OK),
    "/nodes/one/drain/": (LOGIN, 403, 403, 403),
    "/s/{run}/cancel/": (LOGIN, 405, 405, 405),
    "/s/00000000-0000-4000-8000-000000000000/": (LOGIN, GONE, GONE, GONE),
    "/c/secret-one/": MEMBERS,
    "/c/secret-one/data/": MEMBERS,
    "/c/secret-one/data/train/labels.csv": MEMBERS,
    "/c/secret-one/phases/": MEMBERS,
    "/c/secret-one/rules/": MEMBERS,
    "/c/secret-one/leaderboard/": (GONE, GONE, SECRET_BOARD, SECRET_BOARD),
    "/c/secret-one/leaderboard/main/main/": MEMBERS,
    "/c/secret-one/leaderboard/main/main.csv": MEMBERS,
    "/c/secret-one/leaderboard/main/main.json": MEMBERS,
    "/c/secret-one/join/": (GONE, GONE, "/c/secret-one/submit/", OK),
    "/c/secret-one/submissions/": (LOGIN, GONE, OK, OK),
    "/c/secret-one/submit/": (LOGIN, GONE, OK, "/c/secret-one/join/"),
    "/c/none-such/": (GONE, GONE, GONE, GONE),
    "/c/NOT-a-slug/": (GONE, GONE, GONE, GONE),
    "/healthz": EVERYBODY,
}  # fmt: skip


@pytest.mark.parametrize("position", range(4), ids=ROLES)
def test_walk(world, position: int) -> None:
    client = world.client(ROLES[position])
    wrong = []
    for address, expected in WALK.items():
        path = address.format(run=world.run.submission_id)
        response = client.get(path)
        if response.streaming:
            b"".join(response.streaming_content)  # the file is closed at its end
        want = expected[position]
        if want == LOGIN:
            fine = response.status_code == 302 and unquote(response["Location"]) == f"/login/?next={path}"
        elif want == AGAIN:
            fine = response.status_code == 302 and response["Location"].startswith("/reauthenticate/")
        elif isinstance(want, str):
            fine = response.status_code == 302 and response["Location"] == want
        else:
            fine = response.status_code == want
        if not fine:
            wrong.append((path, want, response.status_code, response.get("Location")))
    assert wrong == []


def test_no_address_was_forgotten() -> None:
    """A new page comes with a row in the walk."""
    patterns = next(p for p in get_resolver().url_patterns if getattr(p, "app_name", "") == "web").url_patterns
    walked = {
        get_resolver().resolve(path.format(run="00000000-0000-4000-8000-000000000000")).url_name
        for path in WALK
        if "NOT" not in path and ".." not in path
    }
    assert {pattern.name for pattern in patterns} - walked == {"readyz"}


@pytest.mark.parametrize("path", ["/s/{run}/cancel/", "/logout/"])
def test_acts_need_a_post(world, path: str) -> None:
    assert world.client("participant").get(path.format(run=world.run.submission_id)).status_code == 405


def test_strangers_cannot_cancel(world) -> None:
    path = f"/s/{world.run.submission_id}/cancel/"
    assert world.client("stranger").post(path).status_code == 404


def test_the_home_page_lists_only_what_one_may_see(world) -> None:
    def shown(role: str) -> set[str]:
        html = world.client(role).get("/").content.decode()
        return {slug for slug in ("open-one", "secret-one") if f"/c/{slug}/" in html}

    assert shown("anonymous") == shown("stranger") == {"open-one"}
    assert shown("participant") == shown("organiser") == {"open-one", "secret-one"}


def test_the_home_page_says_what_goes_on(world) -> None:
    html = world.client("anonymous").get("/").content.decode()
    assert "<strong>1</strong> participant<" in html
    assert "<strong>1</strong> submission<" in html
    assert "Main phase · closes" in html
    for pillar in ("Performance", "Robustness"):
        assert pillar in html


@pytest.mark.django_db
def test_an_empty_home_page_says_what_comes_next() -> None:
    html = Client().get("/").content.decode()
    assert "No competitions yet" in html
    assert "Sign up to start one" in html


def test_unlisted_is_open_to_who_has_the_link(world) -> None:
    world.public.visibility = "unlisted"
    world.public.save()
    client = world.client("stranger")
    assert "/c/open-one/" not in client.get("/").content.decode()
    assert client.get("/c/open-one/").status_code == 200
