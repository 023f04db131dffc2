"""The next step, for each state of a participant."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client

from tests.factories.server import participation_make, run_make, submission_make, user_make
from tests.unit.web.conftest import World
from touchstone.competitions.models import Participation, Phase
from touchstone.core.clock import now

PAGE = "/c/open-one/"


def step(client: Client) -> tuple[str, str]:
    """State and text of the next step on the overview."""
    response = client.get(PAGE)
    found = response.context["standing"]
    assert found.title in response.content.decode().replace("&#x27;", "'")
    return found.state, found.text


def signed_in(who: Participation) -> Client:
    client = Client()
    client.force_login(who.user)
    return client


def main(world: World) -> Phase:
    return Phase.objects.get(competition=world.public, slug="main")


def test_outside(world) -> None:
    assert step(world.client("anonymous"))[0] == step(world.client("stranger"))[0] == "outside"
    assert step(world.client("organiser"))[0] == "organiser"
    past = now() - timedelta(hours=1)
    Phase.objects.filter(competition=world.public).update(opens=past - timedelta(days=1), closes=past)
    assert step(world.client("stranger"))[0] == "over"


@pytest.mark.parametrize(
    ("status", "reason", "state", "told"),
    [("pending", "", "pending", "approval"), ("removed", "Two accounts.", "removed", "Two accounts.")],
)
def test_not_active(world, status: str, reason: str, state: str, told: str) -> None:
    who = participation_make(world.public, status=status, status_reason=reason)
    client = signed_in(who)
    found, text = step(client)
    assert found == state
    assert told in text
    answer = client.get(f"{PAGE}submit/")  # the same is said where one would submit
    assert answer.context["form"] is None
    assert told in answer.content.decode()
    assert client.get(f"{PAGE}join/")["Location"] == f"{PAGE}submit/"


def test_inside(world) -> None:
    who = participation_make(world.public, user_make("ines"))
    client = signed_in(who)
    assert step(client)[0] == "first"
    run_make(submission_make(who, main(world)))
    assert step(client) == ("ready", "You can send 2 more now.")
    for _ in range(2):
        run_make(submission_make(who, main(world)))
    state, text = step(client)
    assert state == "none_left"
    assert "1 again in" in text  # of three a day, for four in all
    assert "(00:00 UTC)" in text


def test_phases(world) -> None:
    client = world.client("participant")
    Phase.objects.filter(pk=main(world).pk).update(frozen_at=now(), frozen_reason="A label was wrong.")
    state, text = step(client)
    assert (state, "A label was wrong." in text) == ("frozen", True)
    Phase.objects.filter(pk=main(world).pk).update(frozen_at=None, closes=now() - timedelta(hours=1))
    state, text = step(client)
    assert state == "early"
    assert text.startswith("later opens in ")


def test_choosing_comes_first(world) -> None:
    world.public.spec["phases"][2]["finalists"] = {"phase": "main", "choose": 1}
    world.public.save()
    Phase.objects.filter(pk=main(world).pk).update(closes=now() - timedelta(hours=1))
    assert step(world.client("participant"))[0] == "choose"


def test_the_quota_says_when_and_what_counts(world) -> None:
    html = world.client("participant").get(f"{PAGE}submit/").content.decode()
    assert "<strong>2</strong> of 3 left today; 3 again in" in html
    assert "What counts?" in html
