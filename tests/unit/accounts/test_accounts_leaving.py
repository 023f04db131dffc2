"""Taking one's data along, and leaving."""

from __future__ import annotations

import io
import json
import zipfile

import pytest
from django.core.files.base import ContentFile
from django.test import Client

from tests.factories.server import PASSWORD, competition_make, participation_make, phase_of, user_make
from touchstone.accounts.leaving import account_delete, export_archive
from touchstone.accounts.models import ApiToken, User
from touchstone.accounts.services import token_create
from touchstone.audit.services import audit_verify
from touchstone.competitions.models import Participation
from touchstone.core.errors import Conflict
from touchstone.evaluations.models import RunStatus
from touchstone.submissions.models import Submission
from touchstone.submissions.services import submission_create

pytestmark = pytest.mark.django_db


def proved() -> Client:
    """Nina's browser, which has just given the password once more."""
    client = Client()
    client.post("/login/", {"login": "nina", "password": PASSWORD})
    client.post("/reauthenticate/", {"password": PASSWORD})
    return client


def sent(user: User) -> Submission:
    competition = competition_make()
    participation_make(competition, user)
    file = ContentFile(b"id,prediction\na,no\nb,yes\n", name="mine.csv")
    return submission_create(user=user, phase=phase_of(competition), kind="predictions", file=file)


def test_the_export_has_account_submissions_and_files() -> None:
    user = user_make("nina")
    submission = sent(user)
    sent(user_make("max"))
    token_create(user=user, name="laptop", scopes=["read"])

    with export_archive(user=user) as file_out, zipfile.ZipFile(file_out) as archive:
        account = json.loads(archive.read("account.json"))
        rows = json.loads(archive.read("submissions.json"))
        names = archive.namelist()
        file = archive.read(f"submissions/{submission.pk}/{submission.files[0]['name']}")

    assert account["username"] == "nina"
    assert [token["name"] for token in account["tokens"]] == ["laptop"]
    assert "digest" not in str(account)
    assert [row["id"] for row in rows] == [str(submission.pk)]
    assert file == b"id,prediction\na,no\nb,yes\n"
    assert len(names) == 3


def test_leaving_forgets_the_person_and_keeps_what_was_scored() -> None:
    user = user_make("nina", first_name="Nina")
    submission = sent(user)
    token_create(user=user, name="laptop", scopes=["read"])
    client = Client()
    client.post("/login/", {"login": "nina", "password": PASSWORD})

    account_delete(user=user)

    user.refresh_from_db()
    left = " ".join(str(value) for value in vars(user).values())
    assert "nina" not in left.lower()
    assert client.get("/account/").status_code == 302
    assert Client().post("/login/", {"login": "nina", "password": PASSWORD}).status_code == 422
    assert not ApiToken.objects.exists()
    assert Participation.objects.get().display_name.startswith("deleted participant")
    submission.refresh_from_db()
    assert submission.run.status == RunStatus.CANCELLED
    assert audit_verify() is None


def test_the_name_and_the_address_are_free_again() -> None:
    account_delete(user=user_make("nina"))
    assert user_make("nina").email == "nina@example.org"


def test_an_owner_stays_until_somebody_else_owns() -> None:
    user = user_make("nina")
    competition_make(user)
    with pytest.raises(Conflict):
        account_delete(user=user)
    client = proved()
    assert "You own competitions" in client.get("/account/delete/").content.decode()


def test_the_page_asks_for_the_name() -> None:
    user = user_make("nina")
    client = proved()
    assert client.post("/account/delete/", {"username": "nino"}).status_code == 422
    assert client.post("/account/delete/", {"username": "nina"})["Location"] == "/"
    user.refresh_from_db()
    assert not user.is_active


def test_the_export_is_ones_own() -> None:
    user_make("nina")
    client = Client()
    client.post("/login/", {"login": "nina", "password": PASSWORD})
    response = client.get("/account/export.zip")
    with zipfile.ZipFile(io.BytesIO(b"".join(response.streaming_content))) as archive:
        assert json.loads(archive.read("account.json"))["username"] == "nina"
    assert "no-store" in response["Cache-Control"]
