"""The page on which somebody lets a program act for them, and the page of those whose jobs do."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.core.exceptions import ImproperlyConfigured
from django.test import Client

from tests.factories.server import PASSWORD, competition_make, participation_make, run_make, submission_make, user_make
from tests.factories.world import score
from touchstone.accounts.devices import device_begin, device_poll
from touchstone.accounts.models import ApiToken, DeviceGrant, TrustedPublisher
from touchstone.accounts.services import token_create
from touchstone.accounts.trusts import trust_create
from touchstone.audit.models import AuditEntry
from touchstone.config.settings.issuers import DEFAULT, issuer_settings
from touchstone.core.clock import now

pytestmark = pytest.mark.django_db
GITHUB = "https://token.actions.githubusercontent.com"
TRUST = {
    "issuer": GITHUB, "repository": "octo/model", "repository_id": "123", "owner_id": "77",
    "workflow": ".github/workflows/submit.yml",
}  # fmt: skip


def signed_in(name: str = "nina") -> Client:
    client = Client()
    client.force_login(user_make(name))
    return client


def begun(*scopes: str) -> Any:
    return device_begin(client="touchstone <on> laptop", scopes=scopes or ("read", "submit"), address="192.0.2.7")


def test_what_asks_is_shown_and_nothing_is_approved_by_a_link() -> None:
    client, waiting = signed_in(), begun("read", "submit:garments")
    html = client.get(f"/device/?code={waiting.user_code}").content.decode()
    for text in (waiting.user_code, "touchstone &lt;on&gt; laptop", "192.0.2.7", "Submit to garments only", "nina"):
        assert text in html
    assert DeviceGrant.objects.get().state == "pending"


def test_the_code_is_typed_compared_and_approved() -> None:
    client, waiting = signed_in(), begun()
    assert 'name="code"' in client.get("/device/").content.decode()
    typed = client.post("/device/", {"code": waiting.user_code.lower().replace("-", "")})
    assert typed.status_code == 200
    assert waiting.user_code in typed.content.decode()
    assert DeviceGrant.objects.get().state == "pending"

    done = client.post("/device/", {"code": waiting.user_code, "act": "approve", "days": "7"})

    assert "Approved" in done.content.decode()
    assert AuditEntry.objects.filter(act="device.approve").count() == 1
    token, _raw = device_poll(device_code=waiting.device_code)
    assert token.user.username == "nina"
    assert token.expires_at is not None
    assert 6 <= (token.expires_at - now()).days <= 7
    again = client.post("/device/", {"code": waiting.user_code, "act": "deny"})
    assert again.status_code == 422
    assert "touchstone &lt;on&gt; laptop" in client.get("/account/").content.decode()


def test_denied_and_no_lifetime_but_those_offered() -> None:
    client, waiting = signed_in(), begun()
    bad = client.post("/device/", {"code": waiting.user_code, "act": "approve", "days": "36500"})
    assert bad.status_code == 422
    assert DeviceGrant.objects.get().state == "pending"
    assert "Denied" in client.post("/device/", {"code": waiting.user_code, "act": "deny"}).content.decode()
    assert DeviceGrant.objects.get().state == "denied"


def test_what_one_may_not_give_is_said_beside_it() -> None:
    client, waiting = signed_in(), begun("admin")
    answer = client.post("/device/", {"code": waiting.user_code, "act": "approve", "days": "7"})
    assert answer.status_code == 422
    assert "for the platform&#x27;s staff" in answer.content.decode()
    assert DeviceGrant.objects.get().state == "pending"


def test_wrong_codes_are_few(settings: Any) -> None:
    settings.TOUCHSTONE_RATE_LIMITS = True
    client, waiting = signed_in("guesser"), begun()
    for number in range(15):
        answer = client.post("/device/", {"code": f"BBBB-BBB{number}"})
        assert answer.status_code == 422
        assert "No program waits" in answer.content.decode()
    assert client.post("/device/", {"code": waiting.user_code}).status_code == 429
    other = signed_in("other")
    for _ in range(20):  # right ones do not count
        assert other.get(f"/device/?code={waiting.user_code}").status_code == 200


def test_a_token_for_one_competition_is_made_on_the_account_page() -> None:
    client = signed_in("maker")
    user = participation_make(competition_make(slug="garments"), user_make("else")).user
    client.force_login(user)
    data = {"name": "ci", "scopes": ["read", "submit"], "competition": "garments", "expires": "90"}
    assert client.post("/account/", data).status_code == 200
    assert ApiToken.objects.get().scopes == ["submit:garments"]
    assert "Submit to garments only" in client.get("/account/").content.decode()
    assert client.post("/account/", data | {"scopes": ["read"]}).status_code == 422
    assert client.post("/account/", data | {"scopes": ["admin"], "competition": ""}).status_code == 422


def test_trusting_a_repository() -> None:
    client = signed_in("stranger")
    assert "Join one first" in client.get("/account/trusted-publishers/").content.decode()
    competition = competition_make(slug="garments")
    user = participation_make(competition).user
    client.force_login(user)
    page = client.get("/account/trusted-publishers/").content.decode()
    assert "Nobody yet" in page
    assert "gh api repos/OWNER/NAME --jq .id" in page
    gitlab = client.get("/account/trusted-publishers/?issuer=https%3A%2F%2Fgitlab.com").content.decode()
    assert "CI_PROJECT_ID" in gitlab
    assert "aud: http://testserver" in gitlab

    bad = client.post("/account/trusted-publishers/", TRUST | {"competition": "garments", "repository_id": "a name"})
    assert bad.status_code == 422
    assert 'id="id_repository_id_error"' in bad.content.decode()
    assert 'value="octo/model"' in bad.content.decode()

    good = client.post("/account/trusted-publishers/", TRUST | {"competition": "garments"})
    assert good["Location"] == "/account/trusted-publishers/"
    trust = TrustedPublisher.objects.get()
    assert "octo/model" in client.get("/account/trusted-publishers/").content.decode()
    twice = client.post("/account/trusted-publishers/", TRUST | {"competition": "garments"})
    assert twice.status_code == 422
    assert "trust this job already" in twice.content.decode()

    path = f"/account/trusted-publishers/{trust.pk}/remove/"
    assert signed_in("other").post(path).status_code == 404
    assert "no longer?" in client.get(path).content.decode()
    assert client.post(path)["Location"] == "/account/trusted-publishers/"
    assert not TrustedPublisher.objects.exists()
    assert list(AuditEntry.objects.values_list("act", flat=True)) == ["trust.create", "trust.remove"]


def test_a_site_without_issuers_says_so(settings: Any) -> None:
    settings.TOUCHSTONE_OIDC_ISSUERS = []
    assert "trusts no CI service" in signed_in().get("/account/trusted-publishers/").content.decode()


@pytest.mark.parametrize(("visibility", "shown"), [("public", True), ("private", False), ("", False)])
def test_where_a_submission_came_from(visibility: str, shown: bool) -> None:
    competition = competition_make(slug="garments", leaderboards=[{"slug": "main", "rank_by": "performance.accuracy"}])
    provenance = {
        "provider": "GitHub", "repository": "octo/model", "url": "https://github.com/octo/model",
        "commit": "0123456789abcdef", "commit_url": "https://github.com/octo/model/commit/0123456789abcdef",
        "run": "42", "run_url": "https://github.com/octo/model/actions/runs/42", "ref": "main", "workflow": "w.yml",
        "visibility": visibility,
    }  # fmt: skip
    team = participation_make(competition)
    run = score(run_make(submission_make(team, provenance=provenance)))
    owner = Client()
    owner.force_login(team.user)
    entry = f"/c/garments/entry/{run.submission_id}/"
    for path in (entry, f"/s/{run.submission_id}/"):
        html = owner.get(path).content.decode()
        assert 'href="https://github.com/octo/model/commit/0123456789abcdef"' in html, path
    public = Client().get(entry)
    assert public.status_code == 200
    assert ("octo/model" in public.content.decode()) is shown


def test_an_export_asks_for_the_password_and_names_trusts() -> None:
    user = participation_make(competition_make(slug="garments")).user
    trust_create(user=user, competition="garments", **TRUST)
    client = Client()
    client.force_login(user)
    assert client.get("/account/export.zip")["Location"].startswith("/reauthenticate/")
    client.post("/reauthenticate/", {"password": PASSWORD})
    archive = zipfile.ZipFile(io.BytesIO(b"".join(client.get("/account/export.zip"))))
    account = json.loads(archive.read("account.json"))
    assert account["trusted_publishers"][0]["repository"] == "octo/model"
    assert account["trusted_publishers"][0]["competition__slug"] == "garments"


def test_changing_the_password_offers_to_end_tokens() -> None:
    client = Client()
    user = user_make("nina")
    client.post("/login/", {"login": "nina", "password": PASSWORD})
    token_create(user=user, name="a", scopes=["read"])
    data = {"oldpassword": PASSWORD, "password1": "another-long-one", "password2": "another-long-one"}
    assert "Also end all my API tokens" in client.get("/password/change/").content.decode()
    client.post("/password/change/", data)
    assert ApiToken.objects.filter(revoked_at=None).count() == 1
    back = {"oldpassword": "another-long-one", "password1": PASSWORD, "password2": PASSWORD, "revoke": "on"}
    client.post("/password/change/", back)
    assert ApiToken.objects.filter(revoked_at=None).count() == 0
    assert AuditEntry.objects.filter(act="token.revoke_all").count() == 1


def test_a_second_account_cannot_write_from_the_same_address() -> None:
    client = Client()
    user = user_make("nina")
    client.post("/login/", {"login": "nina", "password": PASSWORD})
    user_make("olga", is_active=True)  # writes from olga@example.org, which is not confirmed
    EmailAddress.objects.create(user=user, email="nina@example.org", primary=True, verified=True)
    EmailAddress.objects.create(user=user, email="olga@example.org", verified=True)
    client.post("/reauthenticate/", {"password": PASSWORD})
    answer = client.post("/email/", {"email": "olga@example.org", "action_primary": ""}, follow=True)
    assert "Another account writes from this address" in answer.content.decode()
    assert EmailAddress.objects.get(user=user, primary=True).email == "nina@example.org"


def test_issuers_of_the_setting(tmp_path: Path) -> None:
    assert issuer_settings("") == DEFAULT
    assert issuer_settings("[]") == []
    good = {"issuer": "https://gl.example", "kind": "gitlab", "name": "Ours", "keys": str(tmp_path / "keys.json")}
    made = issuer_settings(json.dumps([good]))[0]
    assert (made["web"], made["algorithms"], made["lifetime"]) == ("https://gl.example", ["RS256"], 86400)
    for change, words in (
        ({"issuer": "http://gl.example"}, "https://"),
        ({"keys": "http://192.0.2.1/keys"}, "https://"),
        ({"algorithms": ["HS256"]}, "algorithms"),
        ({"algorithms": ["none"]}, "algorithms"),
        ({"kind": "svn"}, "kind"),
        ({"lifetime": True}, "lifetime"),
        ({"claims": {"repository": "r"}}, "claims"),
        ({"kind": "other", "claims": {"repository": "r"}}, "owner_id"),
        ({"name": ""}, "texts"),
        ({"key": "x"}, "unknown keys key"),
    ):
        with pytest.raises(ImproperlyConfigured, match=words):
            issuer_settings(json.dumps([good | change]))
    with pytest.raises(ImproperlyConfigured, match="twice"):
        issuer_settings(json.dumps([good, good]))
