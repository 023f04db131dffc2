"""The exchange of a CI job's identity for a token, with an issuer on loopback."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.db import connection
from rest_framework.test import APIClient

from tests.factories.ci_issuer import GITLAB, CiIssuer, ci_issuer, key_make
from tests.factories.server import competition_make, participation_make, run_make, submission_make, user_make
from tests.unit.api.api_helpers import problem
from touchstone.accounts.models import ApiToken, OidcUse, TrustedPublisher, User
from touchstone.accounts.trusts import trust_create, trust_remove
from touchstone.audit.models import AuditEntry
from touchstone.competitions.models import Participation
from touchstone.config.settings.issuers import issuer_settings
from touchstone.core.clock import now

pytestmark = pytest.mark.django_db
GITHUB_TRUST = {
    "repository": "octo/model", "repository_id": "123", "owner_id": "77", "workflow": ".github/workflows/submit.yml",
}  # fmt: skip


@pytest.fixture
def issuer(tmp_path: Path, settings: Any) -> Iterator[CiIssuer]:
    with ci_issuer(tmp_path / "ci", settings) as made:
        yield made


@pytest.fixture
def person(db: None) -> User:
    """Somebody who takes part in `garments`."""
    made = user_make("paula")
    participation_make(competition_make(slug="garments"), made)
    return made


@pytest.fixture
def trust(issuer: CiIssuer, person: User) -> TrustedPublisher:
    return trust_create(user=person, competition="garments", issuer=issuer.url, **GITHUB_TRUST)


def mint(raw: str, **more: str) -> Any:
    return APIClient().post("/api/v1/oidc/mint", {"token": raw, **more}, format="json")


def test_a_good_token(issuer: CiIssuer, trust: TrustedPublisher, person: User) -> None:
    answer = mint(issuer.token())
    assert answer.status_code == 200, answer.content
    made = answer.json()
    assert (made["competition"], made["scopes"], made["user"]) == ("garments", ["submit:garments"], "paula")
    token = ApiToken.objects.get()
    assert (token.user, token.origin, token.name) == (person, "ci", "CI: octo/model@0123456789")
    assert token.expires_at is not None
    assert timedelta(minutes=14) < token.expires_at - now() <= timedelta(minutes=15)
    assert token.provenance["commit"] == "0123456789abcdef0123456789abcdef01234567"
    assert token.provenance["run_url"] == "https://github.example/octo/model/actions/runs/4242"
    trust.refresh_from_db()
    assert trust.last_used_at is not None
    assert AuditEntry.objects.get(act="token.create").data["provenance"]["repository"] == "octo/model"
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {made['token']}")
    assert client.get("/api/v1/me").json()["scopes"] == ["submit:garments"]


def test_a_job_lets_nobody_into_a_team(issuer: CiIssuer, trust: TrustedPublisher) -> None:
    """What came in by a job would stay when its token has ended."""
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {mint(issuer.token()).json()['token']}")
    team = "/api/v1/competitions/garments/team"
    assert client.get(team).status_code == 200
    problem(client.post(f"{team}/invitations", {}, format="json"), 403, "scope_missing")
    problem(client.delete(f"{team}/invitations/1"), 403, "scope_missing")
    problem(client.post(f"{team}/members", {"act": "leave"}, format="json"), 403, "scope_missing")
    problem(client.patch(team, {"name": "Mallory"}, format="json"), 403, "scope_missing")


def test_a_job_withdraws_nothing_and_keeps_no_credentials(
    issuer: CiIssuer, trust: TrustedPublisher, person: User
) -> None:
    """Withdrawing is final."""
    sent = submission_make(Participation.objects.get(user=person))
    run_make(sent)
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {mint(issuer.token()).json()['token']}")
    assert client.get(f"/api/v1/submissions/{sent.pk}").status_code == 200
    refused = problem(client.post(f"/api/v1/submissions/{sent.pk}/withdraw", {}, format="json"), 403, "scope_missing")
    assert "final" in refused["detail"]
    sent.refresh_from_db()
    assert sent.withdrawn_at is None
    ApiToken.objects.update(scopes=["read", "submit"])  # whatever scopes a job may come to have
    mine = {"name": "a", "header": "X-Key", "secret": "s"}
    place = "/api/v1/me/credentials"
    for answer in (client.post(place, mine, format="json"), client.delete(f"{place}/a")):
        assert "keeps no credentials" in problem(answer, 403, "scope_missing")["detail"]


def test_es256_and_a_list_of_one_audience(issuer: CiIssuer, trust: TrustedPublisher) -> None:
    issuer.keys["curve"] = key_make("EC")
    assert mint(issuer.token(kid="curve", alg="ES256", aud=["http://testserver"])).status_code == 200


HOUR = 3600
REFUSED = {
    "oidc_audience": {"aud": "https://elsewhere.example"},
    "oidc_audience of several": {"aud": ["http://testserver", "https://elsewhere.example"]},
    "oidc_repository": {"repository_id": "124"},
    "oidc_owner": {"repository_owner_id": "78"},
    "oidc_workflow": {"workflow_ref": "octo/model/.github/workflows/other.yml@refs/heads/main"},
    "oidc_workflow whose name begins alike": {
        "workflow_ref": "octo/model/.github/workflows/submit.yml@evil.yml@refs/heads/main"
    },
    "oidc_claims of another repository's workflow": {"workflow_ref": "evil/x/.github/workflows/submit.yml@a"},
    "oidc_claims without a workflow": {"workflow_ref": None},
    "oidc_claims without issue": {"iat": None},
    "oidc_claims without expiry": {"exp": None},
    "oidc_claims with nonsense": {"exp": "soon"},
    "oidc_expired": {"iat": -HOUR, "nbf": -HOUR, "exp": -60},
    "oidc_not_yet": {"nbf": 120},
    "oidc_not_yet issued": {"iat": 120},
    "oidc_lifetime": {"exp": 2 * HOUR},
    "oidc_jti": {"jti": None},
    "oidc_jti empty": {"jti": ""},
    "oidc_jti as a number": {"jti": 7},
    "oidc_event": {"event_name": "pull_request_target"},
    "oidc_event of a pull request": {"event_name": "pull_request", "ref": "refs/pull/7/merge"},
    "oidc_event on a comment": {"event_name": "issue_comment"},
    "oidc_event after another": {"event_name": "workflow_run"},
    "oidc_event off the branches": {"ref": "refs/pull/7/merge"},
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_and_with_which_code(issuer: CiIssuer, trust: TrustedPublisher, case: str) -> None:
    moment = int(time.time())
    times = ("iat", "nbf", "exp")
    given = {
        name: moment + value if name in times and isinstance(value, int) else value
        for name, value in REFUSED[case].items()
    }
    body = problem(mint(issuer.token(**given)), 403, case.partition(" ")[0])
    assert body["hint"]
    assert not ApiToken.objects.exists()


def test_another_issuer(issuer: CiIssuer, trust: TrustedPublisher, settings: Any) -> None:
    problem(mint(issuer.token(iss=f"{issuer.url}/")), 403, "oidc_issuer")
    settings.TOUCHSTONE_OIDC_ISSUERS = []
    problem(mint(issuer.token()), 403, "oidc_issuer")


def _unsigned(issuer: CiIssuer) -> str:
    return jwt.encode(issuer.claims(), None, algorithm="none", headers={"kid": "first"})  # type: ignore[arg-type]


def _signed_with_the_public_key(issuer: CiIssuer) -> str:
    """HS256 with what everybody can know."""
    import hashlib
    import hmac

    def part(data: bytes) -> bytes:
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    public = issuer.keys["first"].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head = part(json.dumps({"alg": "HS256", "kid": "first", "typ": "JWT"}).encode())
    text = head + b"." + part(json.dumps(issuer.claims()).encode())
    return (text + b"." + part(hmac.new(public, text, hashlib.sha256).digest())).decode()


def test_algorithms_and_keys(issuer: CiIssuer, trust: TrustedPublisher) -> None:
    issuer.keys["curve"], issuer.keys["short"] = key_make("EC"), key_make("short")
    curve = issuer.token(kid="first", alg="ES256", key=issuer.keys["curve"])
    for raw, code in (
        (_unsigned(issuer), "oidc_algorithm"),
        (_signed_with_the_public_key(issuer), "oidc_algorithm"),
        (issuer.token(alg="RS512"), "oidc_algorithm"),
        (issuer.token(key=key_make("RSA", 1)), "oidc_signature"),
        (curve, "oidc_key"),  # the key's own kind decides, not the token's word
        (issuer.token(kid="gone", key=key_make("RSA")), "oidc_key"),
    ):
        problem(mint(raw), 403, code)
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        short = issuer.token(kid="short")
    problem(mint(short), 403, "oidc_key")
    assert not ApiToken.objects.exists()


@pytest.mark.parametrize("raw", ["x", "a.b.c", "é.é.é", "e30.e30.e30", "..", "a" * 20000])
def test_what_is_no_token_at_all(issuer: CiIssuer, raw: str) -> None:
    body = mint(raw).json()
    assert body["status"] == 400
    assert body["code"] in ("oidc_malformed", "invalid")


def test_keys_are_kept_and_a_new_one_is_asked_for_once_a_minute(issuer: CiIssuer, trust: TrustedPublisher) -> None:
    for _ in range(2):
        assert mint(issuer.token()).status_code == 200
    assert issuer.asked == 1
    issuer.keys["second"] = key_make("RSA", 1)
    assert mint(issuer.token(kid="second")).status_code == 200  # rotated
    assert issuer.asked == 2
    for _ in range(3):
        problem(mint(issuer.token(kid="made-up", key=key_make("RSA"))), 403, "oidc_key")
    assert issuer.asked == 2


def test_an_issuer_that_does_not_answer(issuer: CiIssuer, trust: TrustedPublisher) -> None:
    issuer.broken = True
    answer = mint(issuer.token())
    problem(answer, 503, "oidc_keys")
    assert answer["Retry-After"]
    problem(mint(issuer.token()), 503, "oidc_keys")
    assert issuer.asked == 1  # it is left alone for a while


def test_keys_are_not_fetched_from_where_nobody_may_go(
    issuer: CiIssuer, trust: TrustedPublisher, settings: Any
) -> None:
    settings.TOUCHSTONE_OUTBOUND_ALLOW = ()
    problem(mint(issuer.token()), 503, "oidc_keys")
    assert issuer.asked == 0


def test_pinned_keys_need_no_network(issuer: CiIssuer, trust: TrustedPublisher, settings: Any, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text(json.dumps(issuer.jwks()))
    settings.TOUCHSTONE_OIDC_ISSUERS = issuer_settings(json.dumps([issuer.entry(keys=str(file))]))
    assert mint(issuer.token()).status_code == 200
    assert issuer.asked == 0


def test_a_token_is_taken_once(issuer: CiIssuer, trust: TrustedPublisher) -> None:
    raw = issuer.token()
    assert mint(raw).status_code == 200
    problem(mint(raw), 403, "oidc_replayed")
    assert ApiToken.objects.count() == 1
    OidcUse.objects.update(expires_at=now() - timedelta(seconds=1))
    assert mint(issuer.token()).status_code == 200
    assert OidcUse.objects.count() == 1  # what has expired is forgotten


@pytest.mark.django_db(transaction=True)
def test_of_two_at_once_one_is_refused(issuer: CiIssuer, trust: TrustedPublisher) -> None:
    raw = issuer.token()
    mint(issuer.token())  # the keys are there

    def once(_: int) -> int:
        try:
            return int(mint(raw).status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(once, range(4))) == [200, 403, 403, 403]


def test_a_refused_token_may_come_again(issuer: CiIssuer, person: User) -> None:
    raw = issuer.token()
    problem(mint(raw), 403, "oidc_repository")
    trust_create(user=person, competition="garments", issuer=issuer.url, **GITHUB_TRUST)
    assert mint(raw).status_code == 200


def test_environment_and_ref_of_a_trust(issuer: CiIssuer, person: User) -> None:
    trust_create(
        user=person, competition="garments", issuer=issuer.url, **GITHUB_TRUST, environment="Release",
        ref="refs/tags/v*",
    )  # fmt: skip
    problem(mint(issuer.token()), 403, "oidc_environment")
    problem(mint(issuer.token(environment="release")), 403, "oidc_ref")
    assert mint(issuer.token(environment="release", ref="refs/tags/v1.2")).status_code == 200


def test_several_trusts_of_one_job(issuer: CiIssuer, person: User, trust: TrustedPublisher) -> None:
    other = competition_make(slug="other")
    participation_make(other, person)
    trust_create(user=person, competition="other", issuer=issuer.url, **GITHUB_TRUST)
    problem(mint(issuer.token()), 403, "oidc_ambiguous")
    assert mint(issuer.token(), competition="other").json()["scopes"] == ["submit:other"]
    problem(mint(issuer.token(), competition="none"), 403, "oidc_competition")
    squatter = user_make("mallory")
    participation_make(other, squatter)
    trust_create(user=squatter, competition="other", issuer=issuer.url, **GITHUB_TRUST)
    refused = problem(mint(issuer.token(), competition="other"), 403, "oidc_ambiguous")
    assert "set `user`" in refused["hint"]
    assert mint(issuer.token(), competition="other", user="Paula").json()["user"] == "paula"


def test_a_job_of_another_repository_learns_nothing(issuer: CiIssuer, trust: TrustedPublisher) -> None:
    """Whoever runs it, whatever it calls itself."""
    words = []
    for _ in range(2):
        same = "evil/x/.github/workflows/submit.yml@a"
        raw = issuer.token(repository_id="999", repository="evil/x", workflow_ref=same)
        body = problem(mint(raw, competition="garments", user="paula"), 403, "oidc_repository")
        words.append((body["detail"], body["hint"]))
        TrustedPublisher.objects.all().delete()
    assert words[0] == words[1]
    assert not [secret for secret in ("octo", "123", "77", "paula", "garments") if secret in str(words)]


def test_gitlab(issuer: CiIssuer, person: User, settings: Any) -> None:
    settings.TOUCHSTONE_OIDC_ISSUERS = issuer_settings(json.dumps([issuer.entry(kind="gitlab", name="GitLab")]))
    trust_create(
        user=person, competition="garments", issuer=issuer.url, repository="group/model", repository_id="55",
        owner_id="8", workflow=".gitlab-ci.yml",
    )  # fmt: skip
    assert mint(issuer.token(**GITLAB)).status_code == 200
    provenance = ApiToken.objects.get().provenance
    assert provenance["run_url"] == "https://github.example/group/model/-/jobs/99"
    problem(mint(issuer.token(**GITLAB | {"pipeline_source": "merge_request_event"})), 403, "oidc_event")
    elsewhere = {"ci_config_ref_uri": "127.0.0.1/other/ci//.gitlab-ci.yml@refs/heads/main"}
    problem(mint(issuer.token(**GITLAB | elsewhere)), 403, "oidc_workflow")


def test_another_kind_of_issuer(issuer: CiIssuer, person: User, settings: Any) -> None:
    claims = {"repository": "repo", "repository_id": "rid", "owner_id": "oid", "workflow": "file", "commit": "sha"}
    settings.TOUCHSTONE_OIDC_ISSUERS = issuer_settings(json.dumps([issuer.entry(kind="other", claims=claims)]))
    trust_create(
        user=person, competition="garments", issuer=issuer.url, repository="a/b", repository_id="1", owner_id="2",
        workflow="ci.yml",
    )  # fmt: skip
    assert mint(issuer.token(repo="a/b", rid=1, oid="2", file="ci.yml")).status_code == 200
    problem(mint(issuer.token(repo="a/b", rid=1, oid="2")), 403, "oidc_claims")


def test_what_a_hostile_issuer_claims_becomes_no_link(issuer: CiIssuer, trust: TrustedPublisher) -> None:
    odd = {
        "repository": 'x"/><b',
        "workflow_ref": 'x"/><b/.github/workflows/submit.yml@refs/heads/m',
        "sha": "javascript:1",
    }
    assert mint(issuer.token(**odd)).status_code == 200
    found = ApiToken.objects.get().provenance
    assert (found["url"], found["run_url"], found["commit_url"]) == ("", "", "")


def test_a_trust_that_ends_takes_its_tokens_along(issuer: CiIssuer, trust: TrustedPublisher, person: User) -> None:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {mint(issuer.token()).json()['token']}")
    assert client.get("/api/v1/me").status_code == 200
    trust_remove(trust=trust)
    problem(client.get("/api/v1/me"), 401, "bad_token")
    problem(mint(issuer.token()), 403, "oidc_repository")


def test_nobody_is_trusted_on_behalf_of_somebody_who_is_gone(issuer: CiIssuer, trust: TrustedPublisher) -> None:
    User.objects.filter(username="paula").update(is_active=False)
    problem(mint(issuer.token()), 403, "oidc_repository")


def test_all_tries_count(issuer: CiIssuer, trust: TrustedPublisher, settings: Any) -> None:
    settings.TOUCHSTONE_RATE_LIMITS = True
    for _ in range(300):
        mint("x")
    problem(mint(issuer.token()), 429, "throttled")
