"""Problem responses, request ids, security headers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta

import pytest
from django.test import RequestFactory

from runners.spec import Defect
from touchstone.competitions.services import BundleError
from touchstone.core.clock import now
from touchstone.core.errors import NotFound, QuotaExceeded, UserError
from touchstone.core.problems import problem_from, problem_response
from touchstone.core.text import clean, clean_json, tail


def test_a_user_error_as_a_problem() -> None:
    body = problem_from(UserError("Wrong colour.", "Use blue.", "colour", fields={"c": ["blue"]}), request_id="r1")

    assert body == {
        "type": "about:blank", "title": "Invalid request", "status": 400, "detail": "Wrong colour.", "code": "colour",
        "hint": "Use blue.", "request_id": "r1", "fields": {"c": ["blue"]},
    }  # fmt: skip


def test_quota_says_when_to_come_back() -> None:
    reset = now() + timedelta(hours=1)
    response = problem_response(QuotaExceeded("Used up.", reset_at=reset), request=RequestFactory().get("/"))

    assert response.status_code == 429
    assert 3500 < int(response["Retry-After"]) <= 3600
    assert json.loads(response.content)["reset_at"] == reset.isoformat()


def test_defects_travel_with_the_problem() -> None:
    body = problem_from(BundleError([Defect("x", "bad", "phases[0]", "competition.yml", 3, "mend")]))

    assert body["status"] == 422
    assert body["defects"] == [
        {"code": "x", "message": "bad", "where": "phases[0]", "file": "competition.yml", "line": 3, "hint": "mend"}
    ]


def test_every_class_has_its_status_and_code() -> None:
    assert (NotFound("x").status, NotFound("x").code) == (404, "not_found")
    assert UserError("x", status=418).status == 418


@pytest.mark.django_db
def test_request_id_and_headers(client) -> None:
    given = client.get("/node/v1/files/x", headers={"X-Request-ID": "proxy-id-0001"})
    made = client.get("/node/v1/files/x", headers={"X-Request-ID": "bad\tid"})

    assert given["X-Request-ID"] == given.json()["request_id"] == "proxy-id-0001"
    assert len(made["X-Request-ID"]) == 32
    policy = given["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy + ";"
    assert "unsafe" not in policy
    assert "nonce" not in policy
    assert given["X-Content-Type-Options"] == "nosniff"
    assert given["X-Frame-Options"] == "DENY"
    assert given["Referrer-Policy"] == "same-origin"


def test_text_fit_for_the_database() -> None:
    assert clean("a\x00b\ud800") == "a\ufffdb?"
    assert clean("abcdef", limit=4) == "abc…"
    assert clean_json({"\x00": ["\x00", 1, None]}) == {"\ufffd": ["\ufffd", 1, None]}
    assert tail("abc", limit=10) == "abc"
    assert tail("é" * 100, limit=50).encode().__len__() <= 50
    assert tail("x" * 99 + "end", limit=50).endswith("end")


def _prod(**environment: str) -> subprocess.CompletedProcess[str]:
    settings = {"DJANGO_SETTINGS_MODULE": "touchstone.config.settings.prod", "PYTHONPATH": os.pathsep.join(sys.path)}
    code = "import django; django.setup(); from django.conf import settings; print(settings.SESSION_COOKIE_SECURE)"
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env=settings | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_prod_does_not_start_without_its_secrets() -> None:
    nothing = _prod()
    complete = {
        "TOUCHSTONE_SECRET_KEY": "k" * 60, "DATABASE_URL": "postgresql:///x", "TOUCHSTONE_BROKER_URL": "redis://x",
        "TOUCHSTONE_STORAGE": "/tmp/x", "TOUCHSTONE_ALLOWED_HOSTS": "x.org", "TOUCHSTONE_BASE_URL": "https://x.org",
    }  # fmt: skip

    assert nothing.returncode != 0
    assert "TOUCHSTONE_SECRET_KEY, DATABASE_URL" in nothing.stderr
    known = _prod(**complete | {"TOUCHSTONE_SECRET_KEY": "development-only-" + "touchstone" * 5})
    assert "random characters of your own" in known.stderr
    good = _prod(**complete)
    assert good.stdout.strip() == "True", good.stderr
