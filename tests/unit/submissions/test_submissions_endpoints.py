"""Endpoints from their registration to a node: checked, called once, and their secrets in nobody else's hands."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from django.core.management import call_command

from tests.factories.endpoints import Endpoint, endpoint
from tests.factories.server import competition_make, node_make, participation_make, phase_of, user_make
from touchstone.accounts.leaving import account_delete, export_archive
from touchstone.audit.models import AuditEntry
from touchstone.competitions.models import Competition, Phase
from touchstone.core.clock import now
from touchstone.core.errors import Conflict, NotFound, UserError
from touchstone.evaluations.models import Run, RunEvent
from touchstone.evaluations.services import run_check, run_claim
from touchstone.submissions.endpoints import (
    EndpointGiven,
    credential_add,
    credential_delete,
    credentials_of,
    credentials_reseal,
)
from touchstone.submissions.models import Credential
from touchstone.submissions.services import submission_create

pytestmark = pytest.mark.django_db

SECRET = "Bearer s3cr3t-of-mine"
INPUT = {"kind": "tabular", "shape": [2], "features": ["a", "b"], "range": [0, 1]}


@pytest.fixture
def competition(settings: Any) -> Competition:
    settings.TOUCHSTONE_OUTBOUND_ALLOW = ("127.0.0.0/8",)
    budget = {"timeout": "2s", "retries": 0, "rate": 1000}
    return competition_make(
        input=INPUT, data={"test": {"path": "data/test", "visibility": "hidden", "leaves_platform": True}},
        submission={"kinds": ["predictions", "endpoint"], "endpoint": budget},
    )  # fmt: skip


def even(x: Any) -> Any:
    return np.full((len(x), 2), 0.5)


def sent(competition: Competition, of: Endpoint | str, *, credential: str = "", user: Any = None) -> Run:
    user = user or user_make()
    if not competition.participations.filter(user=user).exists():
        participation_make(competition, user)
    given = EndpointGiven(of if isinstance(of, str) else of.url, credential=credential)
    made = submission_create(user=user, phase=phase_of(competition), kind="endpoint", endpoint=given)
    assert made.run is not None
    return made.run


def checked(run: Run) -> Run:
    run_check(run_id=run.pk)
    run.refresh_from_db()
    return run


def test_a_sound_endpoint_is_called_once_and_queued_with_its_secret_for_the_node_alone(
    competition: Competition, caplog: pytest.LogCaptureFixture
) -> None:
    user = user_make()
    credential_add(user=user, name="hf", header="X-Key", secret=SECRET)
    with endpoint(even, secret=SECRET) as mine:
        run = checked(sent(competition, mine, credential="hf", user=user))

    assert (run.status, run.queue, run.cpus, run.memory) == ("queued", "cpu", 0.0, 0)
    assert mine.items == 2
    spec = run_claim(node=node_make(), queue="cpu", kinds=["endpoint"])
    assert spec is not None
    assert spec.endpoint is not None
    assert (spec.endpoint.url, spec.endpoint.header, spec.endpoint.secret) == (mine.url, "X-Key", SECRET)
    assert spec.endpoint.splits == ("test",)
    assert spec.endpoint.budget.timeout == 2.0
    everywhere = [str(list(model.objects.values())) for model in (AuditEntry, RunEvent, Run, Credential)]
    assert "s3cr3t" not in "".join(everywhere) + caplog.text + repr(spec)
    assert credentials_of(user=user).get().host in mine.url


def test_a_submission_that_is_refused_binds_no_credential(competition: Competition) -> None:
    user = user_make()
    credential_add(user=user, name="hf", header="X-Key", secret=SECRET)
    Phase.objects.update(total=0)
    with pytest.raises(UserError, match="have used all"):
        sent(competition, "https://127.0.0.1/typo", credential="hf", user=user)
    assert credentials_of(user=user).get().host == ""


@pytest.mark.parametrize(
    ("predict", "secret", "code", "words"),
    [
        (lambda x: np.ones((len(x), 3)), "", "invalid_output", "has shape"),
        (even, "something", "endpoint_denied", "status 403"),
    ],
)
def test_an_endpoint_that_cannot_be_asked_is_refused_with_the_reason(
    competition: Competition, predict: Any, secret: str, code: str, words: str
) -> None:
    with endpoint(predict, secret=secret) as mine:
        run = checked(sent(competition, mine))

    assert (run.status, run.code, run.counts_quota) == ("rejected", code, False)
    assert words in run.message
    assert run.hint


def test_a_name_that_leads_into_the_platforms_networks_is_refused_by_the_check(
    competition: Competition, settings: Any
) -> None:
    run = sent(competition, "https://localhost:8443/model")
    settings.TOUCHSTONE_OUTBOUND_ALLOW = ()

    checked(run)

    assert (run.status, run.code) == ("rejected", "endpoint_address")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "missing"), ("http://example.org", "begin with https"), ("https://10.0.0.1/", "not a public address"),
        ("https://ann:s3cr3t@example.org/", "user name or password"), ("https://example.org/v2", "end before /v2"),
        ("https://example.org/?key=1", "end before /v2"), (f"https://example.org/{'x' * 500}", "more than 500"),
    ],
)  # fmt: skip
def test_addresses_that_can_be_told_to_be_wrong_are_refused_at_once(url: str, words: str, settings: Any) -> None:
    settings.TOUCHSTONE_OUTBOUND_ALLOW = ()
    competition = competition_make(submission={"kinds": ["endpoint"]}, input=INPUT)

    with pytest.raises(UserError, match=words) as refused:
        sent(competition, url)

    assert "s3cr3t" not in str(refused.value)
    assert not Run.objects.exists()


def test_an_endpoint_is_nothing_but_an_endpoint(competition: Competition) -> None:
    user = user_make()
    participation_make(competition, user)
    for kind, given in (("predictions", EndpointGiven("https://example.org")), ("endpoint", None)):
        with pytest.raises(UserError, match="kind endpoint is an address"):
            submission_create(user=user, phase=phase_of(competition), kind=kind, endpoint=given)


def test_a_credential_goes_to_the_host_that_it_was_first_used_for(competition: Competition) -> None:
    """Somebody with a stolen token must not have it sent to themselves."""
    user = user_make()
    credential_add(user=user, name="hf", header="X-Key", secret=SECRET)
    sent(competition, "https://models.example.org/a", credential="hf", user=user)
    sent(competition, "https://MODELS.example.org/b", credential="hf", user=user)

    with pytest.raises(UserError, match=r"is for models\.example\.org"):
        sent(competition, "https://evil.example.org/a", credential="hf", user=user)
    with pytest.raises(NotFound, match="no credential called"):
        sent(competition, "https://models.example.org/a", credential="hf", user=user_make())


def test_a_deleted_credential_is_told_to_the_node_and_nothing_is_sent_without_it(competition: Competition) -> None:
    user = user_make()
    credential_add(user=user, name="hf", header="X-Key", secret=SECRET)
    run = sent(competition, "https://models.example.org/a", credential="hf", user=user)
    Run.objects.filter(pk=run.pk).update(status="queued", queued_at=now())
    credential_delete(user=user, name="hf")
    credential_add(user=user, name="hf", header="X-Key", secret="another")  # of the same name, and yet another one

    spec = run_claim(node=node_make(), queue="cpu", kinds=["endpoint"])

    assert spec is not None
    assert spec.endpoint is not None
    assert (spec.endpoint.credential_gone, spec.endpoint.secret) == (True, "")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "My Key"), ("name", ""), ("header", "Host"), ("header", "Content-Length"), ("header", "X Key"),
        ("header", "X-Key:"), ("secret", ""), ("secret", "one\ntwo"), ("secret", "schlüssel"), ("secret", "x" * 5000),
    ],
)  # fmt: skip
def test_credentials_that_could_break_a_request_are_refused_beside_their_field(field: str, value: str) -> None:
    given = {"name": "hf", "header": "X-Key", "secret": "s", field: value}

    with pytest.raises(UserError) as refused:
        credential_add(user=user_make(), **given)

    assert list(refused.value.fields) == [field]
    assert not Credential.objects.exists()


def test_names_are_ones_own_and_so_many_are_kept() -> None:
    user = user_make()
    for number in range(20):
        credential_add(user=user, name=f"key{number}", header="X-Key", secret="s")
    credential_add(user=user_make(), name="key1", header="X-Key", secret="s")

    with pytest.raises(Conflict, match="as many as one may"):
        credential_add(user=user, name="another", header="X-Key", secret="s")
    credential_delete(user=user, name="key3")
    with pytest.raises(Conflict, match="already"):
        credential_add(user=user, name="key1", header="X-Key", secret="s")


def test_secrets_are_sealed_with_a_key_of_their_own_which_can_be_changed(settings: Any) -> None:
    user = user_make()
    settings.TOUCHSTONE_CREDENTIAL_KEYS = ("old key " * 5,)
    credential_add(user=user, name="hf", header="X-Key", secret=SECRET)
    before = credentials_of(user=user).get().sealed
    settings.TOUCHSTONE_CREDENTIAL_KEYS = ("new key " * 5, "old key " * 5)

    call_command("secrets_reseal")

    after = credentials_of(user=user).get().sealed
    assert SECRET not in before + after
    assert before != after
    settings.TOUCHSTONE_CREDENTIAL_KEYS = ("new key " * 5,)
    assert credentials_reseal() == 1


def test_who_leaves_takes_their_secrets_along(competition: Competition) -> None:
    user = user_make()
    credential_add(user=user, name="hf", header="X-Key", secret=SECRET)
    with export_archive(user=user) as archive:
        assert SECRET.encode() not in archive.read()

    account_delete(user=user)

    assert not Credential.objects.exists()
    assert "s3cr3t" not in json.dumps(list(AuditEntry.objects.values_list("data", flat=True)))
