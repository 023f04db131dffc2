"""Webhooks by the interface."""

from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from tests.factories.server import competition_make
from tests.unit.api.api_helpers import client_for, problem
from touchstone.accounts.models import User
from touchstone.competitions.models import Competition
from touchstone.hooks.models import Delivery, Webhook
from touchstone.hooks.services import webhook_ping

pytestmark = pytest.mark.django_db
URL = "https://hooks.example.org/x"
W = "/api/v1/webhooks"


def make(client: APIClient, **changes: object) -> dict[str, object]:
    answer = client.post(W, {"url": URL, "events": ["submission.scored"]} | changes, format="json")
    assert answer.status_code == 201, answer.content
    return answer.json()


def test_from_registering_to_removing(paula: User) -> None:
    client = client_for(paula, "read", "submit")
    new = make(client)
    assert str(new["secret"]).startswith("whsec_")
    one = f"{W}/{new['id']}"
    shown = client.get(one).json()
    assert "secret" not in shown
    assert client.get(W).json() == {"items": [shown]}
    turned = client.post(f"{one}/rotate").json()
    assert turned["secret"] != new["secret"]
    assert turned["old_secret_until"]
    assert client.patch(one, {"enabled": False}, format="json").json()["enabled"] is False
    problem(client.post(f"{one}/ping"), 409, "webhook_off")
    problem(client.patch(one, {"url": "http://10.0.0.1/"}, format="json"), 400, "address")
    client.patch(one, {"enabled": True}, format="json")
    assert client.post(f"{one}/ping").status_code == 202
    row = client.get(f"{one}/deliveries").json()["items"][0]
    assert (row["event"], row["status"], row["attempts"]) == ("ping", "waiting", 0)
    problem(client.post(f"{one}/deliveries/{row['id']}/redeliver"), 409, "waiting")
    Delivery.objects.update(status="given_up", attempts=9)
    assert client.post(f"{one}/deliveries/{row['id']}/redeliver").json()["status"] == "waiting"
    assert client.delete(one).status_code == 204
    problem(client.get(one), 404, "not_found")


def test_of_a_competition_only_its_organisers(small: Competition, paula: User, olga: User) -> None:
    client = client_for(olga, "organise")
    new = make(client, competition=small.slug, events=["board.changed"])
    assert new["competition"] == small.slug
    assert len(client.get(f"{W}?competition={small.slug}").json()["items"]) == 1
    theirs = client_for(paula, "read", "submit", "organise")
    assert theirs.get(f"{W}?competition={small.slug}").json() == {"items": []}
    problem(theirs.get(f"{W}/{new['id']}"), 404, "not_found")
    asked = {"url": URL, "events": ["board.changed"], "competition": small.slug}
    problem(theirs.post(W, asked, format="json"), 403, "not_allowed")
    problem(theirs.post(W, asked | {"competition": "none"}, format="json"), 404, "not_found")
    problem(theirs.post(W, {"url": URL, "events": ["board.changed"]}, format="json"), 400, "events")


def test_scopes(small: Competition, olga: User) -> None:
    of_competition = make(client_for(olga, "organise"), competition=small.slug)
    own = make(client_for(olga, "read", "submit"))
    reader = client_for(olga, "read")
    for path in (W, f"{W}/{own['id']}", f"{W}/{of_competition['id']}", f"{W}?competition={small.slug}"):
        problem(reader.get(path), 403, "scope_missing")
    limited = client_for(olga, f"organise:{small.slug}", f"submit:{small.slug}")
    assert limited.get(f"{W}/{of_competition['id']}").status_code == 200
    problem(limited.get(f"{W}/{own['id']}"), 403, "scope_missing")
    problem(client_for(olga, "submit").post(f"{W}/{of_competition['id']}/rotate"), 403, "scope_missing")
    elsewhere = client_for(olga, f"organise:{competition_make(olga, slug='elsewhere').slug}")
    for slug in (small.slug, "not-there"):  # whether it is there is not told
        problem(elsewhere.get(f"{W}?competition={slug}"), 403, "scope_missing")
        asked = {"url": URL, "events": ["board.changed"], "competition": slug}
        problem(elsewhere.post(W, asked, format="json"), 403, "scope_missing")


def test_who_may_not_read_results_has_none_sent(paula: User) -> None:
    sender, own = client_for(paula, "submit"), make(client_for(paula, "read", "submit"))
    elsewhere = {"url": "https://elsewhere.example.org/"}
    for answer in (
        sender.post(W, elsewhere | {"events": ["submission.scored"]}, format="json"),
        sender.patch(f"{W}/{own['id']}", elsewhere, format="json"),
    ):
        assert "'read'" in problem(answer, 403, "scope_missing")["detail"]
    assert [hook.url for hook in Webhook.objects.all()] == [URL]


def test_messages_of_one_are_not_found_below_another(paula: User) -> None:
    client = client_for(paula, "read", "submit")
    first, second = make(client), make(client)
    webhook_ping(webhook=Webhook.objects.get(pk=first["id"]))
    row = Delivery.objects.get()
    problem(client.post(f"{W}/{second['id']}/deliveries/{row.pk}/redeliver"), 404, "not_found")
