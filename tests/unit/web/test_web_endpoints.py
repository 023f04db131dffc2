"""Endpoints in the browser: keeping a credential, submitting an address, and what everybody is told of the entry."""

from __future__ import annotations

import pytest

from tests.factories.server import participation_make, run_make, submission_make
from tests.unit.web.conftest import World, score
from touchstone.competitions.models import Phase
from touchstone.evaluations.models import Run
from touchstone.submissions.endpoints import credential_add
from touchstone.submissions.models import Credential, Submission

SUBMIT = "/c/open-one/submit/"
URL = "https://models.example.org/mine"
FACTS = {
    "items_asked": 80, "items_allowed": 400, "items_by_stage": {"predict": 48, "drift": 32}, "questions": 10,
    "answered_at_once": 9, "latency": {"median": 0.05, "p95": 0.2, "n": 8},
    "network": {"median": 0.02, "p95": 0.03, "n": 9},
    "drift": {"asked": 32, "differed": 9, "low": 0.156, "high": 0.453, "flagged": True}, "flags": ["endpoint_drift"],
}  # fmt: skip


@pytest.fixture
def taking(world: World) -> World:
    """The open competition takes endpoints."""
    world.public.spec["submission"]["kinds"].append("endpoint")
    world.public.spec["data"]["test"]["leaves_platform"] = True
    world.public.save()
    return world


def test_a_credential_is_kept_listed_and_deleted_and_never_shown(world: World) -> None:
    client = world.client("participant")
    empty = client.get("/account/credentials/").content.decode()
    made = client.post("/account/credentials/", {"name": "hf", "header": "X-Key", "secret": "s3cr3t-of-mine"})
    listed = client.get("/account/credentials/").content.decode()

    assert "No credentials yet" in empty
    assert made.status_code == 302
    assert ">hf</th>" in listed
    assert "s3cr3t" not in listed + Credential.objects.get().sealed
    assert "Delete this credential?" in client.get("/account/credentials/hf/delete/").content.decode()
    client.post("/account/credentials/hf/delete/")
    assert not Credential.objects.exists()


def test_a_wrong_credential_is_told_beside_its_field_and_not_sent_back(world: World) -> None:
    answer = world.client("participant").post(
        "/account/credentials/", {"name": "hf", "header": "Host", "secret": "s3cr3t-of-mine"}
    )

    assert answer.status_code == 422
    html = answer.content.decode()
    assert "id_header_error" in html
    assert "s3cr3t" not in html


def test_an_address_is_submitted_with_the_model_and_the_credential(taking: World) -> None:
    client = taking.client("participant")
    credential_add(user=taking.participant, name="hf", header="X-Key", secret="s3cr3t-of-mine")
    html = client.get(SUBMIT).content.decode()
    data = {"phase": "main", "kind": "endpoint", "url": URL, "model": "", "credential": "hf", "message": "", "name": ""}

    sent = client.post(SUBMIT, data)

    assert '<option value="hf">hf</option>' in html
    made = Submission.objects.get(kind="endpoint")
    assert sent["Location"] == f"/s/{made.pk}/"
    assert made.endpoint == {"url": URL, "model": "model", "credential": "hf"}
    page = client.get(f"/s/{made.pk}/").content.decode()
    assert URL in page.replace("<wbr>", "")
    assert "credential hf" in page
    assert "s3cr3t" not in page


@pytest.mark.parametrize(
    ("url", "words"), [("", "Write the address"), ("https://10.0.0.1/", "10.0.0.1 is not a public address")]
)
def test_what_is_no_endpoint_is_told_beside_the_address_which_stays(taking: World, url: str, words: str) -> None:
    answer = taking.client("participant").post(SUBMIT, {"phase": "main", "kind": "endpoint", "url": url})

    html = answer.content.decode()
    assert answer.status_code == 422
    assert "id_url_error" in html
    assert words in html
    assert url in html
    assert not Submission.objects.filter(kind="endpoint").exists()


def test_the_form_offers_endpoints_only_where_they_are_taken(world: World) -> None:
    html = world.client("participant").get(SUBMIT).content.decode()

    assert "endpoint" not in html


def test_board_and_entry_say_that_data_left_and_that_it_changed(taking: World) -> None:
    member = participation_make(taking.public, display_name="Caller")
    phase = Phase.objects.get(competition=taking.public, slug="main")
    made = submission_make(member, phase)
    run = score(run_make(made))
    Submission.objects.filter(pk=made.pk).update(
        kind="endpoint", files=[], endpoint={"url": URL, "model": "net", "credential": ""}
    )
    Run.objects.filter(pk=run.pk).update(kind="endpoint", environment={"endpoint": FACTS})
    client = taking.client("anonymous")

    board = client.get("/c/open-one/leaderboard/main/main/").content.decode()
    entry = client.get(f"/c/open-one/entry/{made.pk}/").content.decode()

    for html in (board, entry):
        assert "Data left the platform" in html
        assert "Changed during its run" in html
        assert URL not in html
    assert "9 of 10 requests" in entry
    assert "median 0.05 s, 95 % within 0.20 s" in entry
    assert "9 of 32 items had another answer" in entry
    rules = client.get("/c/open-one/rules/").content.decode()
    assert "20 requests a second" in rules
