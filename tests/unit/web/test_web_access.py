"""Who may see which page: every address, walked in every role."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
from django.test import Client
from django.urls import get_resolver

from tests.factories.walking import (
    ACT,
    EVERYBODY,
    INSIDERS,
    NOBODY,
    ORGANISERS,
    ORGANISERS_ONLY,
    SIGNED_IN,
    missing_rows,
    open_acts,
    told_apart,
    wrong_answers,
)
from tests.unit.web.conftest import World

UNKNOWN = "00000000-0000-4000-8000-000000000000"
BOARD = "/c/open-one/leaderboard/main/main/"
SECRET_BOARD = "/c/secret-one/leaderboard/main/main/"
OUT = "ok >/ >/ >/ >/ >/ >/"
#: Who began the draft alone.
WRITER = "login - - - ok - -"
AGAIN = "login again again again again again again"

#: Address → what anonymous, stranger, participant, partner, organiser, helper and staff get; see walking.py.
WALK = {
    # account
    "/": EVERYBODY,
    "/signup/": OUT,
    "/login/": OUT,
    "/account/": SIGNED_IN,
    "/account/tokens/999/revoke/": "login - - - - - -",
    "/account/webhooks/": SIGNED_IN,
    f"/webhooks/{UNKNOWN}/": "login - - - - - -",
    f"/webhooks/{UNKNOWN}/delete/": "login - - - - - -",
    f"/webhooks/{UNKNOWN}/ping/": "login 405 405 405 405 405 405",
    f"/webhooks/{UNKNOWN}/messages/{UNKNOWN}/again/": "login 405 405 405 405 405 405",
    "/account/export.zip": AGAIN,
    "/account/credentials/": SIGNED_IN,
    "/account/credentials/none/delete/": "login - - - - - -",
    "/account/trusted-publishers/": SIGNED_IN,
    f"/account/trusted-publishers/{UNKNOWN}/remove/": "login - - - - - -",
    "/device/": SIGNED_IN,
    "/account/delete/": AGAIN,
    "/language/": ACT,
    "/email/": SIGNED_IN,
    "/2fa/": SIGNED_IN,
    "/2fa/totp/activate/": AGAIN,
    "/2fa/webauthn/add/": AGAIN,
    "/sessions/": SIGNED_IN,
    "/connections/": SIGNED_IN,
    "/password/change/": SIGNED_IN,
    # a competition, read
    "/c/open-one/": EVERYBODY,
    "/c/open-one/data/": EVERYBODY,
    "/c/open-one/data/train/labels.csv": EVERYBODY,
    "/c/open-one/data/validation/inputs.csv": EVERYBODY,
    "/c/open-one/data/validation/labels.csv": ORGANISERS_ONLY,
    "/c/open-one/data/test/inputs.csv": ORGANISERS_ONLY,
    "/c/open-one/data/test/labels.csv": ORGANISERS_ONLY,
    "/c/open-one/data/none/labels.csv": NOBODY,
    "/c/open-one/data/train/../test/labels.csv": NOBODY,
    "/c/open-one/starting-kit.zip": NOBODY,
    "/c/open-one/phases/": EVERYBODY,
    "/c/open-one/rules/": EVERYBODY,
    "/c/open-one/p/faq/": EVERYBODY,
    "/c/open-one/p/none/": NOBODY,
    "/c/none-such/": NOBODY,
    "/c/NOT-a-slug/": NOBODY,
    # leaderboards
    "/c/open-one/leaderboard/": f">{BOARD} " * 7,
    "/c/open-one/leaderboard/main/main/": EVERYBODY,
    "/c/open-one/leaderboard/main/none/": NOBODY,
    "/c/open-one/leaderboard/main/main.csv": EVERYBODY,
    "/c/open-one/leaderboard/main/main.json": EVERYBODY,
    "/c/open-one/leaderboard/main/main.parquet": EVERYBODY,
    "/c/open-one/leaderboard/main/main/pareto/": EVERYBODY,
    "/c/open-one/leaderboard/main/main/history/": EVERYBODY,
    "/c/open-one/leaderboard/main/main/compare/": "400 " * 7,
    "/c/open-one/leaderboard/main/main/share/": "login 405 405 405 405 405 405",
    f"/c/open-one/leaderboard/main/main/at/{UNKNOWN}/": NOBODY,
    "/c/open-one/entry/{run}/": EVERYBODY,
    f"/c/open-one/entry/{UNKNOWN}/": NOBODY,
    "/c/open-one/badge/{run}.svg": EVERYBODY,
    "/c/secret-one/leaderboard/main/main.parquet": INSIDERS,
    "/c/secret-one/leaderboard/main/main/pareto/": INSIDERS,
    "/c/secret-one/leaderboard/main/main/history/": INSIDERS,
    "/c/secret-one/entry/{run}/": NOBODY,
    # taking part
    "/c/open-one/join/": "ok ok >/c/open-one/submit/ >/c/open-one/submit/ ok ok ok",
    "/c/open-one/submissions/": SIGNED_IN,
    "/c/open-one/submit/": "login > ok ok > > >",
    "/c/open-one/submissions/compare/": SIGNED_IN,
    "/c/open-one/team/": "login - ok ok - - -",
    "/c/open-one/team/invitations/999/revoke/": "login 405 405 405 405 405 405",
    "/c/open-one/team/leave/999/": "login - - - - - -",
    "/s/{run}/name/": "login 405 405 405 405 405 405",
    "/s/{run}/finalist/": "login 405 405 405 405 405 405",
    "/s/{run}/": "login - ok ok ok ok -",
    "/s/{run}/state": INSIDERS,
    "/s/{run}/logs": INSIDERS,
    "/s/{run}/cancel/": "login 405 405 405 405 405 405",
    f"/s/{UNKNOWN}/": "login - - - - - -",
    # organising
    "/competitions/new/": SIGNED_IN,
    "/c/open-one/manage/": ORGANISERS,
    "/c/open-one/manage/check/": ORGANISERS,
    "/c/open-one/manage/check/start/": "login 405 405 405 405 405 405",
    "/c/open-one/manage/open/": "login 405 405 405 405 405 405",
    "/c/open-one/manage/export/": ORGANISERS,
    "/c/open-one/manage/export/bundle.zip": ORGANISERS,
    "/c/open-one/manage/export/everything/": "login 405 405 405 405 405 405",
    f"/c/open-one/manage/export/{UNKNOWN}/everything.zip": "login - - - - - -",
    "/c/open-one/manage/webhooks/": ORGANISERS,
    "/c/open-one/manage/reports/": ORGANISERS,
    "/c/open-one/report/main/": EVERYBODY,
    "/c/open-one/report/none.pdf": NOBODY,
    "/c/secret-one/report/main/": INSIDERS,
    "/c/open-one/manage/submissions/": ORGANISERS,
    "/c/open-one/manage/submissions.csv": ORGANISERS,
    "/c/open-one/manage/submissions/rerun/": ORGANISERS,
    "/c/open-one/manage/submissions/withdraw/": ORGANISERS,
    "/c/open-one/manage/submissions/other/": "login - - - - - -",
    "/c/open-one/manage/reruns/": ORGANISERS,
    f"/c/open-one/manage/reruns/{UNKNOWN}/": "login - - - - - -",
    "/c/open-one/manage/participants/": ORGANISERS,
    "/c/open-one/manage/participants.csv": ORGANISERS,
    "/c/open-one/manage/participants/999/remove/": "login - - - - - -",
    "/c/open-one/manage/announcements/": ORGANISERS,
    "/c/open-one/manage/announcements/999/withdraw/": "login - - - - - -",
    "/c/open-one/announcements/": EVERYBODY,
    "/c/secret-one/announcements/": INSIDERS,
    "/c/open-one/manage/phases/": ORGANISERS,
    "/c/open-one/manage/phases/main/freeze/": ORGANISERS,
    "/c/open-one/manage/phases/main/finals/": "login - - - - - -",
    "/s/{run}/withdraw/": "login - ok ok ok ok -",
    "/c/open-one/transfer/": ORGANISERS,
    f"/c/open-one/transfer/{UNKNOWN}.csv": "login - - - - - -",
    f"/c/open-one/transfer/{UNKNOWN}/cancel/": "login 405 405 405 405 405 405",
    # a draft
    "/drafts/": "login" + " >/competitions/new/" * 6,
    "/markdown/": "login 405 405 405 405 405 405",
    "/drafts/{draft}/": "login - - - > - -",
    "/drafts/{draft}/about/": WRITER,
    "/drafts/{draft}/concepts/": WRITER,
    "/drafts/{draft}/data/": WRITER,
    "/drafts/{draft}/data/add/": "login 405 405 405 405 405 405",
    "/drafts/{draft}/data/remove/": "login - - - - - -",
    "/drafts/{draft}/data/found/": WRITER,
    f"/drafts/{{draft}}/data/found/{'0' * 64}.png": "login - - - - - -",
    "/drafts/{draft}/data/card/": WRITER,
    "/drafts/{draft}/task/": WRITER,
    "/drafts/{draft}/metrics/": WRITER,
    "/drafts/{draft}/metrics/fairness/": WRITER,
    "/drafts/{draft}/metrics/add/performance.accuracy/": WRITER,
    "/drafts/{draft}/metrics/0/": "login - - - - - -",
    "/drafts/{draft}/boards/": WRITER,
    "/drafts/{draft}/boards/add/": WRITER,
    "/drafts/{draft}/boards/0/": "login - - - - - -",
    "/drafts/{draft}/phases/": WRITER,
    "/drafts/{draft}/rules/": WRITER,
    "/drafts/{draft}/people/": WRITER,
    "/drafts/{draft}/review/": WRITER,
    "/drafts/{draft}/delete/": WRITER,
    "/drafts/{draft}/preview/": WRITER,
    "/drafts/{draft}/preview/data/": WRITER,
    "/drafts/{draft}/preview/leaderboard/": WRITER,
    "/drafts/{draft}/preview/p-none/": "login - - - - - -",
    f"/drafts/{{draft}}/image/{'0' * 64}": "login - - - - - -",
    "/drafts/{draft}/about/merge/": "login 405 405 405 405 405 405",
    "/drafts/{draft}/about/undo/": "login 405 405 405 405 405 405",
    f"/drafts/{UNKNOWN}/about/": "login - - - - - -",
    # inviting and editing
    "/c/open-one/manage/invitations/": ORGANISERS,
    "/c/open-one/manage/invitations/999/revoke/": "login 405 405 405 405 405 405",
    "/c/open-one/manage/edit/": ORGANISERS,
    "/c/secret-one/manage/edit/": ORGANISERS,
    "/c/open-one/image": NOBODY,
    "/invitations/nonsense/": "login - - - - - -",
    "/invitations/{invitation}/": SIGNED_IN,
    # the platform
    "/nodes/": SIGNED_IN,
    "/nodes/one/drain/": "login 403 403 403 403 403 -",
    "/healthz": EVERYBODY,
    # a private competition
    "/c/secret-one/": INSIDERS,
    "/c/secret-one/data/": INSIDERS,
    "/c/secret-one/data/train/labels.csv": INSIDERS,
    "/c/secret-one/phases/": INSIDERS,
    "/c/secret-one/rules/": INSIDERS,
    "/c/secret-one/leaderboard/": f"- - >{SECRET_BOARD} >{SECRET_BOARD} >{SECRET_BOARD} >{SECRET_BOARD} -",
    "/c/secret-one/leaderboard/main/main/": INSIDERS,
    "/c/secret-one/leaderboard/main/main.csv": INSIDERS,
    "/c/secret-one/leaderboard/main/main.json": INSIDERS,
    "/c/secret-one/join/": "- - >/c/secret-one/submit/ >/c/secret-one/submit/ ok ok -",
    "/c/secret-one/submissions/": "login - ok ok ok ok -",
    "/c/secret-one/submissions/compare/": "login - ok ok ok ok -",
    "/c/secret-one/team/": "login - ok ok - - -",
    "/c/secret-one/submit/": "login - ok ok > > -",
    "/c/secret-one/manage/": ORGANISERS,
    # one that has not been opened
    "/c/sealed-one/": ORGANISERS_ONLY,
    "/c/sealed-one/data/": ORGANISERS_ONLY,
    "/c/sealed-one/data/train/labels.csv": ORGANISERS_ONLY,
    "/c/sealed-one/phases/": ORGANISERS_ONLY,
    "/c/sealed-one/rules/": ORGANISERS_ONLY,
    "/c/sealed-one/join/": ORGANISERS_ONLY,
    "/c/sealed-one/leaderboard/main/main/": ORGANISERS_ONLY,
    "/c/sealed-one/leaderboard/main/main.csv": ORGANISERS_ONLY,
    "/c/sealed-one/leaderboard/main/main.json": ORGANISERS_ONLY,
    "/c/sealed-one/submissions/": ORGANISERS,
    "/c/sealed-one/manage/": ORGANISERS,
}

#: What the parts of an address stand for, where a row is proposed for one that has none.
EXAMPLES = {"<key:slug>": "open-one", "<key:phase>": "main", "<key:board>": "main", "<key:page>": "faq"}


def places(world: World) -> dict[str, Any]:
    """What `{…}` in the table stands for."""
    from touchstone.competitions.invitations import invitation_create
    from touchstone.drafts.services import draft_create

    draft = draft_create(user=world.organiser, title="A draft")
    _made, invitation = invitation_create(competition=world.sealed, role="participant", by=world.organiser)
    return {"run": world.run.submission_id, "draft": draft.pk, "invitation": invitation}


def test_walk(world) -> None:
    wrong = wrong_answers(world, WALK, places(world))
    assert not wrong, "\n".join(wrong)


def test_what_one_may_not_see_is_answered_as_what_is_not_there(world) -> None:
    """Word for word, so that no text, title or tag tells that there is something."""
    wrong = told_apart(world, WALK, places(world), slugs=("secret-one", "sealed-one"))
    assert not wrong, "\n".join(wrong)


#: Acts for oneself.
FREE = {"/drafts/", "/markdown/", "/language/", "/c/open-one/leaderboard/main/main/share/"}


def test_acts_are_refused_to_those_who_have_nothing_to_do_with_it(world) -> None:
    found = open_acts(world, WALK, places(world), free=FREE)
    assert not found, "\n".join(found)


def test_no_address_was_forgotten() -> None:
    """A new page comes with a row in the walk."""
    patterns = next(p for p in get_resolver().url_patterns if getattr(p, "app_name", "") == "web").url_patterns
    anything: defaultdict[str, str] = defaultdict(lambda: UNKNOWN)
    walked = {
        get_resolver().resolve(path.format_map(anything)).url_name
        for path in WALK
        if "NOT" not in path and ".." not in path
    }
    found = missing_rows(((p.name, str(p.pattern)) for p in patterns), walked | {"readyz"}, EXAMPLES)
    assert not found, found


@pytest.mark.parametrize("path", ["/s/{run}/cancel/", "/logout/"])
def test_acts_need_a_post(world, path: str) -> None:
    assert world.client("participant").get(path.format(run=world.run.submission_id)).status_code == 405


def test_strangers_cannot_cancel(world) -> None:
    path = f"/s/{world.run.submission_id}/cancel/"
    assert world.client("stranger").post(path).status_code == 404


def test_the_home_page_lists_only_what_one_may_see(world) -> None:
    def shown(role: str) -> set[str]:
        html = world.client(role).get("/").content.decode()
        return {slug for slug in ("open-one", "secret-one", "sealed-one") if f"/c/{slug}/" in html}

    assert shown("anonymous") == shown("stranger") == shown("staff") == {"open-one"}
    assert shown("participant") == shown("partner") == {"open-one", "secret-one"}
    assert shown("organiser") == shown("helper") == {"open-one", "secret-one", "sealed-one"}


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
