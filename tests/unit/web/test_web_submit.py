"""Joining and submitting: what is taken, what is refused, and what the person is told."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from tests.factories.server import phase_of, run_make, submission_make
from touchstone.competitions.models import Participation, Phase
from touchstone.core.clock import now
from touchstone.evaluations.models import Run, RunStatus
from touchstone.submissions.models import Submission

SUBMIT = "/c/open-one/submit/"
IMAGE = f"team/model@sha256:{'0' * 64}"


def csv(text: str = "id,prediction\na,no\nb,yes\n", name: str = "predictions.csv") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, text.encode(), content_type="text/csv")


def form(**changes: object) -> dict[str, object]:
    data = {"phase": "main", "kind": "predictions", "file": csv(), "message": "second try", "idempotency_key": ""}
    return {key: value for key, value in (data | changes).items() if value is not None}


def test_joining_needs_the_terms(world) -> None:
    client = world.client("stranger")
    response = client.post("/c/open-one/join/", {"display_name": "Stan"})
    assert response.status_code == 422
    assert "id_accept_terms_error" in response.content.decode()
    response = client.post("/c/open-one/join/", {"display_name": "Stan", "accept_terms": "on"})
    assert response["Location"] == SUBMIT
    assert Participation.objects.get(user=world.stranger).display_name == "Stan"


def test_a_taken_name_is_said_beside_the_field(world) -> None:
    response = world.client("stranger").post(
        "/c/open-one/join/", {"display_name": "team <B>paul</B>", "accept_terms": "on"}
    )
    assert response.status_code == 422
    assert "id_display_name_error" in response.content.decode()


def test_strangers_are_asked_to_sign_in_to_join(world) -> None:
    response = world.client("anonymous").post("/c/open-one/join/", {"display_name": "x", "accept_terms": "on"})
    assert response["Location"] == "/login/?next=/c/open-one/join/"


def test_quota_kinds_and_the_exact_command_are_shown_before(world) -> None:
    html = world.client("participant").get(SUBMIT).content.decode()
    assert "<strong>2</strong> of 3 left today" in html
    assert "<strong>3</strong> of 4 left in this phase" in html
    assert "touchstone submit open-one/main predictions.csv --wait" in html
    assert re.findall(r'name="kind" value="(\w+)"', html) == ["predictions", "model", "code", "container"]
    assert "At most 1 MiB" in html
    assert '<option value="warm-up">' not in html


def test_a_submission_is_taken(world) -> None:
    response = world.client("participant").post(SUBMIT, form())
    made = Submission.objects.exclude(pk=world.run.submission_id).get()
    assert response["Location"] == f"/s/{made.pk}/"
    assert (made.kind, made.source, made.message, made.run.status) == ("predictions", "web", "second try", "received")


def test_htmx_is_sent_on_without_a_redirect(world) -> None:
    response = world.client("participant").post(SUBMIT, form(), headers={"HX-Request": "true"})
    assert response.status_code == 204
    assert response["HX-Redirect"].startswith("/s/")


def test_the_same_form_twice_is_one_submission(world) -> None:
    client = world.client("participant")
    key = re.search(r'name="idempotency_key" value="([^"]+)"', client.get(SUBMIT).content.decode())
    assert key is not None
    first = client.post(SUBMIT, form(idempotency_key=key[1]))
    again = client.post(SUBMIT, form(idempotency_key=key[1]))
    assert first["Location"] == again["Location"]
    assert Submission.objects.count() == 2


@pytest.mark.parametrize(
    ("changes", "field", "text"),
    [
        ({"file": None}, "file", "Choose the file"),
        ({"file": SimpleUploadedFile("x.csv", b"")}, "file", "empty"),
        ({"file": csv("x" * (2**20 + 1))}, "file", "1048576"),
        ({"kind": None}, "kind", "required"),
        ({"phase": "later"}, "phase", "not one of the available"),
        ({"kind": "container", "file": None}, "file", "archive or the digest"),
        ({"kind": "container", "file": None, "image": "UPPER CASE"}, "image", "which image by its digest"),
        ({"message": "x" * 501}, "message", "500"),
    ],
)  # fmt: skip
def test_a_refusal_stands_beside_its_field(world, changes: dict[str, object], field: str, text: str) -> None:
    response = world.client("participant").post(SUBMIT, form(**changes), headers={"HX-Request": "true"})
    html = response.content.decode()
    assert response.status_code == 422
    assert html.lstrip().startswith('<form id="submit-form"')
    error = re.search(rf'id="id_{field}_error".*?</div>', html, re.S)
    assert error is not None
    assert text in error[0]
    assert Submission.objects.count() == 1


def test_an_image_by_name(world) -> None:
    world.client("participant").post(SUBMIT, form(kind="container", file=None, image=IMAGE))
    assert Submission.objects.filter(image=IMAGE, files=[]).count() == 1


def test_a_spent_quota_says_when_it_resets(world) -> None:
    for _ in range(2):
        run_make(submission_make(world.participation, Phase.objects.get(competition=world.public, slug="main")))
    response = world.client("participant").post(SUBMIT, form())
    html = response.content.decode()
    assert response.status_code == 422
    assert "You have used all 3 submissions of today" in html
    assert "next day begins at" in html
    assert "<strong>0</strong> of 3 left today" in html


def test_between_phases_there_is_no_form_but_the_next_date(world) -> None:
    Phase.objects.filter(competition=world.public, slug="main").update(closes=now() - timedelta(minutes=1))
    client = world.client("participant")
    html = client.get(SUBMIT).content.decode()
    assert "No phase is open now" in html
    assert "later opens" in html
    assert 'id="submit-form"' not in html
    assert client.post(SUBMIT, form()).status_code in (200, 422)
    assert Submission.objects.count() == 1


def test_the_list_shows_states_and_only_ones_own(world) -> None:
    phase = Phase.objects.get(competition=world.public, slug="main")
    run_make(submission_make(world.participation, phase), RunStatus.REJECTED, message="id b is missing")
    html = world.client("participant").get("/c/open-one/submissions/").content.decode()
    assert "Rejected" in html
    assert "id b is missing" in html
    assert "Scored" in html
    assert "/s/" not in world.client("stranger").get("/c/open-one/submissions/").content.decode()
    everybodys = world.client("organiser").get("/c/open-one/submissions/?all=1").content.decode()
    assert f"/s/{world.run.submission_id}/" in everybodys
    assert "/s/" not in world.client("stranger").get("/c/open-one/submissions/?all=1").content.decode()


def test_the_list_follows_what_is_open_and_then_stops(world) -> None:
    client = world.client("participant")
    url = "/c/open-one/submissions/"
    assert "hx-trigger" not in client.get(url).content.decode()
    run = run_make(submission_make(world.participation, phase_of(world.public)))
    html = client.get(url).content.decode()
    found = re.search(r'<div id="submissions" hx-get="([^"]+)" hx-trigger="every 3s"', html)
    assert found is not None
    again = found[1].replace("&amp;", "&")
    assert client.get(again, headers={"HX-Request": "true"}).status_code == 204
    Run.objects.filter(pk=run.pk).update(status="cancelled")
    part = client.get(again, headers={"HX-Request": "true"}).content.decode()
    assert "Cancelled" in part
    assert "hx-trigger" not in part
    assert "<html" not in part


def test_failures_of_today_are_shown_beside_the_quota(world) -> None:
    submission = submission_make(world.participation, Phase.objects.get(competition=world.public, slug="main"))
    run_make(submission, "failed", verdict="crash", counts_quota=False)
    html = world.client("participant").get("/c/open-one/submissions/").content.decode()
    assert "<strong>1</strong> of 20 failures allowed today" in html
