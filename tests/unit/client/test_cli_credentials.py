"""Credentials and endpoints from the command line."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from touchstone.accounts.models import User
from touchstone.competitions.models import Competition
from touchstone.submissions.models import Credential, Submission

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_credential_comes_by_stdin_and_its_value_is_never_said(run: Callable, as_paula: User) -> None:
    added = run("credential", "add", "hf", "--header", "X-Key", input="s3cr3t-of-mine\n")

    assert added.code == 0, added.err
    assert added.out.strip() == "hf"
    listed = run("credential", "list", "--json")
    assert [item["name"] for item in listed.json["items"]] == ["hf"]
    assert "s3cr3t" not in added.out + added.err + listed.out + Credential.objects.get().sealed
    assert run("credential", "remove", "hf").code == 0
    assert not Credential.objects.exists()


def test_no_value_is_a_usage_error_and_a_taken_name_says_so(run: Callable, as_paula: User) -> None:
    assert run("credential", "add", "hf", input="").code == 2
    run("credential", "add", "hf", input="one")

    again = run("credential", "add", "hf", input="two")

    assert again.code != 0
    assert "already" in again.err


def test_an_address_is_submitted_as_an_endpoint(run: Callable, as_paula: User) -> None:
    competition = Competition.objects.get(slug="small")
    competition.spec["submission"]["kinds"] = ["predictions", "endpoint"]
    competition.spec["input"] = {"kind": "tabular", "shape": [1], "features": ["a"], "range": [0, 1]}
    competition.save()
    run("credential", "add", "hf", input="s3cr3t-of-mine")

    sent = run("submit", "small/now", "https://models.example.org/mine/", "--model", "net", "--credential", "hf")

    assert sent.code == 0, sent.err
    made = Submission.objects.get()
    assert made.endpoint == {"url": "https://models.example.org/mine", "model": "net", "credential": "hf"}
    refused = run("submit", "small/now", "https://elsewhere.example.org", "--credential", "hf")
    assert refused.code != 0
    assert "is sent nowhere else" in refused.err
