"""The published description is valid, current, and true of what is answered."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from django.core.management import call_command
from django.urls import get_resolver
from rest_framework.test import APIClient

from tests.unit.api.api_helpers import submit
from touchstone.api.views.schema import schema_document

COMMITTED = Path(__file__).resolve().parents[3] / "docs" / "openapi.json"


def test_the_committed_schema_is_current(tmp_path: Path) -> None:
    target = tmp_path / "openapi.json"
    call_command(
        "spectacular", "--format", "openapi-json", "--file", str(target), "--fail-on-warn", "--validate",
        "--custom-settings", "touchstone.api.schema.SETTINGS",
    )  # fmt: skip
    assert json.loads(target.read_text()) == json.loads(COMMITTED.read_text()), (
        "docs/openapi.json is not current; write it anew: python manage.py spectacular --format openapi-json "
        "--file docs/openapi.json --custom-settings touchstone.api.schema.SETTINGS"
    )


@pytest.mark.django_db
def test_the_served_schema_is_the_committed_one(anyone: APIClient) -> None:
    answer = anyone.get("/api/v1/schema")
    assert answer.status_code == 200
    assert answer.json() == json.loads(COMMITTED.read_text())


def test_every_address_is_described() -> None:
    described = set(schema_document()["paths"])
    patterns = next(p for p in get_resolver().url_patterns if str(p.pattern) == "api/v1/").url_patterns
    routed = {
        "/api/v1/" + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", str(pattern.pattern))
        for pattern in patterns
        if pattern.name not in ("schema", "nowhere")
    }
    assert described == routed


def test_every_operation_says_who_may_call_it_and_how_it_fails() -> None:
    for path, operations in schema_document()["paths"].items():
        for method, operation in operations.items():
            place = f"{method} {path}"
            assert "Scope: " in operation["description"] or "For everybody" in operation["description"], place
            assert operation["summary"], place
            for status in ("400", "401", "403", "429", "500"):
                assert "application/problem+json" in operation["responses"][status]["content"], place


def _validator(name: str) -> jsonschema.Draft202012Validator:
    document = schema_document()
    return jsonschema.Draft202012Validator(
        {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    )


@pytest.mark.django_db
def test_answers_are_as_described(participant: APIClient, anyone: APIClient, score: Callable[..., str]) -> None:
    made = submit(participant).json()["id"]
    answers: dict[str, Any] = {"SubmissionDetail": participant.get(f"/api/v1/submissions/{made}")}
    score(made)
    answers |= {
        "Me": participant.get("/api/v1/me"),
        "TokenPage": participant.get("/api/v1/tokens"),
        "CompetitionPage": anyone.get("/api/v1/competitions"),
        "Competition": anyone.get("/api/v1/competitions/small"),
        "Quota": participant.get("/api/v1/competitions/small/quota"),
        "SubmissionPage": participant.get("/api/v1/submissions"),
        "EventPage": participant.get(f"/api/v1/submissions/{made}/events"),
        "Results": participant.get(f"/api/v1/submissions/{made}/results"),
        "Board": anyone.get("/api/v1/competitions/small/leaderboards/now/main"),
        "Problem": anyone.get("/api/v1/competitions/absent"),
    }
    for name, answer in answers.items():
        body = answer.json()
        _validator(name).validate(body)
        described = set(schema_document()["components"]["schemas"][name]["properties"])
        assert set(body) <= described, f"{name} has keys that the schema does not name"
