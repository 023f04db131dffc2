"""A CI job's identity exchanged for a token, against servers on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.factories.ci_jobs import COMPONENT, action
from tests.factories.https_server import reply, serving
from touchstone_client.ci import Asked, _identities
from touchstone_client.errors import ClientError, ExitCode
from touchstone_client.oidc import in_ci, token_from_ci


@dataclass
class Service:
    """GitHub's service of identities and a Touchstone server in one; `seen` is what they were asked."""

    url: str = ""
    identity: tuple[int, Any] = (200, {"value": "the-identity"})
    minted: tuple[int, Any] = (200, {"token": "ts_minted"})
    seen: list[tuple[str, Any]] = field(default_factory=list)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        place = urlsplit(request.path)
        if place.path == "/api/v1/oidc/mint":
            body = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
            self.seen.append(("mint", body))
            status, content = self.minted
        else:
            self.seen.append(("identity", (parse_qs(place.query), request.headers["Authorization"])))
            status, content = self.identity
        reply(request, status, json.dumps(content).encode(), Content_Type="application/json")

    @property
    def github(self) -> dict[str, str]:
        return {
            "GITHUB_ACTIONS": "true", "ACTIONS_ID_TOKEN_REQUEST_URL": f"{self.url}/identity?api-version=2.0",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "runner-secret",
        }  # fmt: skip


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    with serving(made.answer) as port:
        made.url = f"http://127.0.0.1:{port}"
        yield made


def test_on_github(service: Service) -> None:
    assert token_from_ci(url=f"{service.url}/", competition="garments", environ=service.github) == "ts_minted"
    asked = {"api-version": ["2.0"], "audience": [service.url]}
    assert service.seen == [
        ("identity", (asked, "Bearer runner-secret")),
        ("mint", {"token": "the-identity", "competition": "garments"}),
    ]


def test_on_gitlab_and_for_one_of_several_people(service: Service) -> None:
    environ = {"GITLAB_CI": "true", "TOUCHSTONE_ID_TOKEN": " given\n", "TOUCHSTONE_USER": "paula"}
    assert token_from_ci(url=service.url, competition="garments", environ=environ) == "ts_minted"
    assert service.seen == [("mint", {"token": "given", "competition": "garments", "user": "paula"})]


def test_for_whom_it_acts_is_told(service: Service) -> None:
    service.minted = (200, {"token": "ts_minted", "user": "mallory", "competition": "garments"})
    said: list[str] = []
    environ = {"TOUCHSTONE_ID_TOKEN": "x"}
    token_from_ci(url=service.url, competition="garments", environ=environ, say=said.append)
    assert said == ["This job acts for mallory in garments."]


@pytest.mark.parametrize(("given", "user"), [("max", "max"), ("", "paula")])
def test_the_input_names_the_user_and_hides_no_variable(service: Service, given: str, user: str) -> None:
    environ = {
        "TOUCHSTONE_URL": service.url, "TOUCHSTONE_ID_TOKEN": "x", "TOUCHSTONE_USER": "paula",
        "TOUCHSTONE_CI_USER": given,
    }  # fmt: skip
    assert next(_identities(Asked("garments", "", "PATH", "x"), environ))["TOUCHSTONE_TOKEN"] == "ts_minted"
    assert service.seen[-1][1]["user"] == user
    assert action().runs.steps[1].env["TOUCHSTONE_CI_USER"] == "${{ inputs.user }}"
    assert "$[[ inputs.user ]]" in COMPONENT.read_text()


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"GITHUB_ACTIONS": "true"}, "id-token: write"),
        ({"GITLAB_CI": "true"}, "id_tokens: {TOUCHSTONE_ID_TOKEN: {aud: https://t.example}}"),
        ({}, "TOUCHSTONE_ID_TOKEN"),
    ],
)
def test_a_job_without_an_identity_is_told_what_it_lacks(environ: dict[str, str], words: str) -> None:
    assert not in_ci(environ)
    with pytest.raises(ClientError) as caught:
        token_from_ci(url="https://t.example", competition="garments", environ=environ)
    assert words in caught.value.hint
    assert (caught.value.exit_code, caught.value.code) == (ExitCode.AUTH, "no_id_token")


@pytest.mark.parametrize("answer", [(403, {"message": "no"}), (200, {}), (200, ["x"]), (500, {"message": "down"})])
def test_what_github_refuses_or_garbles(service: Service, answer: tuple[int, Any]) -> None:
    service.identity = answer
    with pytest.raises(ClientError) as caught:
        token_from_ci(url=service.url, competition="garments", environ=service.github)
    assert "id-token: write" in caught.value.hint
    assert "runner-secret" not in f"{caught.value} {caught.value.hint}"
    assert len(service.seen) == (3 if answer[0] == 500 else 1)  # what may pass is tried again


def test_a_service_that_is_not_there() -> None:
    environ = {"ACTIONS_ID_TOKEN_REQUEST_URL": "http://127.0.0.1:1/?a=1", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "secret"}
    with pytest.raises(ClientError) as caught:
        token_from_ci(url="https://t.example", competition="garments", environ=environ)
    assert caught.value.exit_code == ExitCode.AUTH
    assert "secret" not in str(caught.value)


def test_what_the_server_refuses_comes_with_its_words(service: Service) -> None:
    body = {"code": "oidc_workflow", "detail": "The job is of b.yml.", "hint": "Compare.", "request_id": "r1"}
    service.minted = (403, body)
    with pytest.raises(ClientError) as caught:
        token_from_ci(url=service.url, competition="garments", environ=service.github)
    assert (caught.value.code, caught.value.exit_code, caught.value.request_id) == (
        "oidc_workflow",
        ExitCode.AUTH,
        "r1",
    )
    service.minted = (403, body | {"code": "oidc_audience"})
    with pytest.raises(ClientError) as caught:
        token_from_ci(url=service.url, competition="garments", environ={"TOUCHSTONE_ID_TOKEN": "x"})
    assert f"aud: {service.url}" in caught.value.hint
