"""What tests of the interface share: people with tokens, submitting, a node's answers, problem documents."""

from __future__ import annotations

from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from rest_framework.test import APIClient

from runners.contract import MetricResult, RunResult, Verdict
from tests.unit.api.bundle_maker import predictions_csv
from touchstone.accounts.models import User
from touchstone.accounts.services import token_create
from touchstone.evaluations.models import Node, Run, RunStatus
from touchstone.evaluations.services import result_accept, run_claim
from touchstone.evaluations.state import run_transition

Answer = Any


def make_user(name: str) -> User:
    return User.objects.create_user(username=name, email=f"{name}@example.org", password=None)


def token_for(user: User, *scopes: str) -> str:
    return token_create(user=user, name="test", scopes=scopes or ("read", "submit", "organise"))[1]


def client_for(user: User | None, *scopes: str) -> APIClient:
    """A client with a token of the user; without one for nobody."""
    client = APIClient()
    if user is not None:
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {token_for(user, *scopes)}")
    return client


def submit(client: APIClient, *, wrong: int = 0, slug: str = "small", phase: str = "now", **headers: str) -> Answer:
    """Submit predictions as a form."""
    file = SimpleUploadedFile("predictions.csv", predictions_csv(wrong).encode())
    body = {"competition": slug, "phase": phase, "kind": "predictions", "file": file}
    return client.post("/api/v1/submissions", body, format="multipart", headers=headers)


def to_queue(submission_id: str) -> Run:
    """As the intake check does for a good file."""
    run = Run.objects.get(submission_id=submission_id)
    run_transition(run=run, to=RunStatus.CHECKING, reason="Checking the file.")
    return run_transition(run=run, to=RunStatus.QUEUED, reason="Checked.")


def accuracy(value: float | None, **changes: Any) -> MetricResult:
    fields: dict[str, Any] = {
        "key": "performance.accuracy", "metric": "performance.accuracy", "pillar": "performance", "title": "Accuracy",
        "value": value, "n": 12, "direction": "maximise",
    }  # fmt: skip
    if value is not None:
        fields |= {"low": max(0.0, value - 0.1), "high": min(1.0, value + 0.1)}
    return MetricResult(**{**fields, **changes})


def evaluate(node: Node, submission_id: str, value: float | None = 0.75, **result: Any) -> str:
    """Evaluate a submission as a node would, with the given accuracy or verdict; returns the state of its run."""
    to_queue(submission_id)
    spec = run_claim(node=node, queue="cpu", kinds=["predictions"])
    assert spec is not None
    assert spec.submission.id == submission_id
    values = {"verdict": Verdict.OK, "results": (accuracy(value),), "log": "all went well\n", **result}
    return result_accept(node=node, result=RunResult(run=spec.run, attempt=spec.attempt, **values))


def problem(answer: Answer, status: int, code: str) -> dict[str, Any]:
    """Assert that an answer is a well-formed problem document, and return it."""
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert body["code"] == code, body
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    assert body["request_id"] == answer["X-Request-ID"]
    return dict(body)
