from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from tests.unit.api.api_helpers import problem
from touchstone.competitions.models import Competition
from touchstone.submissions.models import Credential

pytestmark = pytest.mark.django_db
CREDENTIALS = "/api/v1/me/credentials"
BODY = {"name": "hf", "header": "X-Key", "secret": "s3cr3t-of-mine"}


@pytest.fixture
def taking(small: Competition) -> Competition:
    small.spec["submission"]["kinds"] = ["predictions", "endpoint"]
    small.spec["input"] = {"kind": "tabular", "shape": [1], "features": ["a"], "range": [0, 1]}
    small.save()
    return small


def test_a_credential_is_named_and_never_shown(participant: APIClient) -> None:
    made = participant.post(CREDENTIALS, BODY, format="json")

    assert made.status_code == 201, made.content
    assert set(made.json()) == {"name", "header", "host", "created_at", "last_used_at"}
    assert participant.get(CREDENTIALS).json()["items"] == [made.json()]
    problem(participant.post(CREDENTIALS, BODY, format="json"), 409, "name_taken")
    problem(participant.post(CREDENTIALS, {**BODY, "name": "x", "header": "Host"}, format="json"), 400, "credential")
    assert participant.delete(f"{CREDENTIALS}/hf").status_code == 204
    problem(participant.delete(f"{CREDENTIALS}/hf"), 404, "credential")
    assert not Credential.objects.exists()


def test_an_endpoint_is_submitted_with_the_name_of_its_credential(participant: APIClient, taking: Competition) -> None:
    participant.post(CREDENTIALS, BODY, format="json")
    endpoint = {"url": "https://models.example.org/mine", "model": "net", "credential": "hf"}
    body = {"competition": "small", "phase": "now", "kind": "endpoint", "endpoint": endpoint}

    made = participant.post("/api/v1/submissions", body, format="json")

    assert made.status_code == 201, made.content
    assert made.json()["endpoint"] == endpoint
    assert (made.json()["files"], made.json()["image"]) == ([], "")
    assert "s3cr3t" not in made.content.decode()
    other = {**body, "endpoint": {**endpoint, "url": "https://10.0.0.1/"}}
    problem(participant.post("/api/v1/submissions", other, format="json"), 400, "endpoint_url")
    other = {**body, "endpoint": {**endpoint, "credential": "none"}}
    problem(participant.post("/api/v1/submissions", other, format="json"), 404, "credential")
    other = {**body, "endpoint": {**endpoint, "url": "https://evil.example.org"}}
    problem(participant.post("/api/v1/submissions", other, format="json"), 400, "credential_host")
