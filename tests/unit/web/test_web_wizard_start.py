"""Beginning drafts and deleting them; pictures of competitions; invitations by link."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from tests.factories.server import competition_make, user_make

pytestmark = pytest.mark.django_db


def _client(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def wanda() -> Any:
    return user_make("wanda")


def test_the_page_of_new_competitions_offers_every_beginning(wanda) -> None:
    competition_make(wanda, slug="mine", title="My own")
    competition_make(slug="foreign", title="Not mine")
    html = _client(wanda).get("/competitions/new/").content.decode()
    assert "No drafts yet" in html
    for words in ("A copy of “Robust garment recognition”", "The next version of “My own”", "Upload and check"):
        assert words in html
    assert "Not mine" not in html


def test_a_draft_begins_empty_and_is_listed(wanda) -> None:
    client = _client(wanda)
    answer = client.post("/drafts/", {"title": "Owls", "begin": ""})
    assert re.fullmatch(r"/drafts/[0-9a-f-]{36}/about/", answer["Location"])
    assert "Owls" in client.get("/competitions/new/").content.decode()
    assert "Owls" not in _client(user_make("stan")).get("/competitions/new/").content.decode()
    assert client.get(answer["Location"].replace("about/", ""))["Location"] == answer["Location"]


def test_a_refused_beginning_keeps_what_was_typed(wanda) -> None:
    client = _client(wanda)
    answer = client.post("/drafts/", {"title": " ", "begin": "template:recidivism"})
    html = answer.content.decode()
    assert answer.status_code == 422
    assert 'value="template:recidivism" checked' in html
    assert "Give the competition a title" in html
    assert client.post("/drafts/", {"title": "x", "begin": "template:none"}).status_code == 404
    assert client.get("/drafts/")["Location"] == "/competitions/new/"


def test_who_organises_begins_the_next_version_from_manage(wanda) -> None:
    competition_make(wanda, slug="mine")
    client = _client(wanda)
    answer = client.post("/c/mine/manage/edit/")
    assert answer.status_code == 302
    html = client.get("/c/mine/manage/edit/").content.decode()
    assert "Drafts of its next version" in html
    stan = _client(user_make("stan"))
    assert stan.get("/c/mine/manage/edit/").status_code == 404
    assert stan.post("/c/mine/manage/edit/").status_code == 404
    assert stan.post("/drafts/", {"begin": "competition:mine"}).status_code == 403


def test_a_competition_that_moved_on_is_said(wanda) -> None:
    from touchstone.competitions.models import Competition

    competition_make(wanda, slug="mine")
    client = _client(wanda)
    address = client.post("/drafts/", {"begin": "competition:mine"})["Location"]
    assert "another version since" not in client.get(address).content.decode()
    Competition.objects.update(version=2)
    assert "another version since" in client.get(address).content.decode()


def test_deleting_asks_first_and_is_for_who_began_it(wanda) -> None:
    from touchstone.drafts.models import Draft
    from touchstone.drafts.services import draft_create

    draft, carl = draft_create(user=wanda, title="Owls"), user_make("carl")
    draft.editors.add(carl)
    path = f"/drafts/{draft.pk}/delete/"
    assert _client(carl).post(path).status_code == 403
    client = _client(wanda)
    assert "This cannot be undone" in client.get(path).content.decode()
    assert Draft.objects.exists()
    assert client.post(path).status_code == 302
    assert not Draft.objects.exists()


def test_the_picture_of_a_competition_is_for_who_may_see_it(wanda) -> None:
    import io

    from touchstone.core.storage import blob_put

    competition = competition_make(wanda, slug="mine", visibility="private")
    assert _client(wanda).get("/c/mine/image").status_code == 404
    competition.image = blob_put(file=io.BytesIO(b"\xff\xd8\xff" + b"0" * 20)).sha256
    competition.save()
    shown = _client(wanda).get("/c/mine/image")
    assert (shown.status_code, shown["Content-Type"]) == (200, "image/jpeg")
    b"".join(shown.streaming_content)
    assert Client().get("/c/mine/image").status_code == 404
    assert '<img class="comp-image' in _client(wanda).get("/c/mine/").content.decode()


def _invite(client: Client, **fields: str) -> str:
    html = client.post("/c/mine/manage/invitations/", {"role": "participant", **fields}).content.decode()
    found = re.search(r"http://testserver(/invitations/[^/]+/)", html)
    assert found is not None
    return found[1]


def test_a_link_is_shown_once_and_lets_one_person_in(wanda) -> None:
    competition_make(wanda, slug="mine", visibility="private")
    organiser = _client(wanda)
    link = _invite(organiser, email="stan@example.org")
    again = organiser.get("/c/mine/manage/invitations/").content.decode()
    assert link not in again
    assert "stan@example.org" in again
    assert Client().get(link)["Location"].startswith("/login/?next=/invitations/")
    stan = _client(user_make("stan"))
    assert "Take part in" in stan.get(link).content.decode()
    assert stan.post(link, {"display_name": "Stan"})["Location"] == "/c/mine/"
    assert stan.get("/c/mine/").status_code == 200
    assert _client(user_make("other")).get(link).status_code == 404
    assert "Nobody is waited for" in organiser.get("/c/mine/manage/invitations/").content.decode()


def test_terms_are_shown_and_must_be_accepted(wanda) -> None:
    from touchstone.competitions.models import Competition

    competition_make(wanda, slug="mine")
    Competition.objects.update(terms="Be **fair**.")
    link = _invite(_client(wanda))
    stan = _client(user_make("stan"))
    assert "<strong>fair</strong>" in stan.get(link).content.decode()
    answer = stan.post(link, {"display_name": "The Owl"})
    assert answer.status_code == 422
    assert 'value="The Owl"' in answer.content.decode()
    assert stan.post(link, {"display_name": "The Owl", "accept_terms": "on"}).status_code == 302


def test_before_it_opens_an_invited_participant_is_told_to_wait(wanda) -> None:
    from touchstone.competitions.models import Competition

    competition_make(wanda, slug="mine")
    Competition.objects.update(opened_at=None)
    link = _invite(_client(wanda))
    answer = _client(user_make("stan")).post(link, {"display_name": "x"}, follow=True)
    assert answer.redirect_chain[-1][0] == "/"
    assert "when its organisers open it" in answer.content.decode()


def test_an_organiser_by_link(wanda) -> None:
    competition_make(wanda, slug="mine")
    link = _invite(_client(wanda), role="organiser")
    carl = _client(user_make("carl"))
    assert "What organisers can do" in carl.get(link).content.decode()
    assert carl.post(link).status_code == 302
    assert carl.get("/c/mine/manage/edit/").status_code == 200


def test_revoking_and_refused_forms(wanda) -> None:
    from touchstone.competitions.models import Invitation

    competition_make(wanda, slug="mine")
    client = _client(wanda)
    link = _invite(client)
    path = f"/c/mine/manage/invitations/{Invitation.objects.get().pk}/revoke/"
    assert _client(user_make("stan")).post(path).status_code == 404
    assert client.get(path).status_code == 405
    assert client.post(path).status_code == 302
    assert client.post(path).status_code == 404
    assert _client(user_make("other")).get(link).status_code == 404
    refused = client.post("/c/mine/manage/invitations/", {"role": "participant", "email": "nonsense"})
    assert refused.status_code == 422
    assert 'value="nonsense"' in refused.content.decode()


def test_who_joins_where_organisers_approve_is_told_to_wait_and_gets_no_data(wanda) -> None:
    data = {"test": {"path": "data/test", "visibility": "public"}}
    competition = competition_make(wanda, slug="mine", access={"approval": True}, data=data)
    stan = _client(user_make("stan"))
    assert "The data are for participants: join first" in stan.get("/c/mine/data/").content.decode()
    answer = stan.post("/c/mine/join/", {"display_name": "Stan", "accept_terms": "on"}, follow=True)
    assert answer.redirect_chain[-1][0] == "/c/mine/"
    assert "You have asked to take part" in answer.content.decode()
    assert "as soon as the organisers have approved you" in stan.get("/c/mine/data/").content.decode()
    assert stan.get("/c/mine/data/test/labels.csv").status_code == 404
    competition.participations.update(status="active")
    assert b"".join(stan.get("/c/mine/data/test/labels.csv").streaming_content).startswith(b"id,")


def test_who_may_not_join_is_told_which_domains_may(wanda) -> None:
    competition_make(wanda, slug="mine", access={"email_domains": ["uni.example"]})
    stan = _client(user_make("stan"))
    refused = stan.post("/c/mine/join/", {"display_name": "Stan", "accept_terms": "on"})
    assert refused.status_code == 422
    assert "confirmed e-mail address at uni.example" in refused.content.decode()
