"""Taking one's data along, and leaving."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.test import Client

from tests.factories.server import (
    PASSWORD,
    board_of,
    competition_make,
    participation_make,
    phase_of,
    run_make,
    submission_make,
    user_make,
)
from touchstone.accounts.leaving import account_delete, export_archive
from touchstone.accounts.models import ApiToken, User
from touchstone.accounts.services import token_create
from touchstone.api.models import IdempotentAnswer
from touchstone.api.tasks import answers_forget_task
from touchstone.audit.services import audit_verify
from touchstone.competitions.models import Participation
from touchstone.core.clock import now
from touchstone.core.errors import Conflict
from touchstone.evaluations.models import RunEvent, RunStatus
from touchstone.leaderboards.models import LeaderboardEntry
from touchstone.submissions.models import Submission
from touchstone.submissions.services import submission_create
from touchstone.transfers.models import Matrix, MatrixEntry

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


def test_what_the_interface_answered_is_forgotten_with_the_person_and_after_a_day() -> None:
    user, other = user_make("nina"), user_make("max")
    for person in (user, other):
        IdempotentAnswer.objects.create(user=person, key="k", digest="d", status=201, body={"name": person.username})
    account_delete(user=user)
    assert [row.user for row in IdempotentAnswer.objects.all()] == [other]
    answers_forget_task()
    assert IdempotentAnswer.objects.count() == 1
    IdempotentAnswer.objects.update(created_at=now() - timedelta(hours=25))
    answers_forget_task()
    assert not IdempotentAnswer.objects.exists()


def test_nothing_shown_keeps_the_name() -> None:
    user = user_make("nina")
    participation = participation_make(competition_make(), user, display_name="Nina of Example")
    submission = submission_make(participation)
    run_make(submission, RunStatus.QUEUED)
    copied = run_make(submission_make(participation, original=submission), RunStatus.SCORED)
    matrix = Matrix.objects.create(phase=submission.phase, asked_by=user_make("olga"), parameters={})
    entry = MatrixEntry.objects.create(
        matrix=matrix, position=0, submission=submission, run=copied, name="Nina of Example", is_source=True
    )
    board = board_of(participation.competition)
    LeaderboardEntry.objects.create(
        leaderboard=board, participation=participation, run=submission.run, achieved_at=now(), scores={}
    )

    account_delete(user=user)

    entry.refresh_from_db()
    assert entry.name == Participation.objects.get().display_name
    assert not RunEvent.objects.filter(message__icontains="nina").exists()
    assert board_of(participation.competition).version == board.version + 1  # no browser keeps the board as it was


def test_nobody_holds_anybody_here_by_taking_a_name() -> None:
    user = user_make("nina")
    participation = participation_make(competition_make(), user)
    user_make(f"deleted-{user.pk}")
    taken = f"Deleted Participant {participation.pk}"
    participation_make(participation.competition, display_name=taken)

    account_delete(user=user)

    participation.refresh_from_db()
    assert participation.display_name.casefold().startswith(taken.casefold())
    with pytest.raises(ValidationError):
        User.objects.get(pk=user.pk).clean_fields(exclude=["email", "password"])  # no sign-up could have this name


def test_the_audit_is_locked_after_everything_else(django_assert_max_num_queries) -> None:
    user = user_make("nina")
    participation = participation_make(competition_make(), user)
    for _ in range(2):
        run_make(submission_make(participation), RunStatus.QUEUED)

    with django_assert_max_num_queries(100) as found:
        account_delete(user=user)

    asked = [query["sql"] for query in found.captured_queries]
    first = next(i for i, sql in enumerate(asked) if "pg_advisory_xact_lock" in sql)
    locked = next(i for i, sql in enumerate(asked) if "evaluations_run" in sql and "FOR UPDATE" in sql)
    assert locked < first
    assert not any("UPDATE" in sql and "accounts_user" in sql for sql in asked[first:])
    assert sum("competitions_participation" in sql and sql.startswith("UPDATE") for sql in asked[first:]) == 0


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
    response = proved().get("/account/export.zip")
    with zipfile.ZipFile(io.BytesIO(b"".join(response.streaming_content))) as archive:
        assert json.loads(archive.read("account.json"))["username"] == "nina"
    assert "no-store" in response["Cache-Control"]
