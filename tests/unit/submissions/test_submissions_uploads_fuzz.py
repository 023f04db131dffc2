"""Uploads in any order of acts, right ones and wrong: what is taken is what was announced, and nothing is left over."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.test import TestCase
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from tests.factories.server import user_make
from touchstone.accounts.models import User
from touchstone.core.errors import UserError
from touchstone.core.storage import blob_exists, blob_open
from touchstone.submissions.models import Upload
from touchstone.submissions.uploads import (
    upload_cancel,
    upload_complete,
    upload_create,
    upload_get,
    upload_part_put,
)

pytestmark = pytest.mark.django_db
PART = 10
_TRIED: list[str] = []


class Uploading(RuleBasedStateMachine):
    """One upload of three parts, and what it should hold."""

    user: User
    count = 0

    def __init__(self) -> None:
        super().__init__()
        Uploading.count += 1
        self.data = hashlib.sha256(b"%d" % Uploading.count).digest()[:25]
        self.sha256 = hashlib.sha256(self.data).hexdigest()
        self.held: dict[int, bytes] = {}
        self.state = "open"
        self.upload = upload_create(user=self.user, name="../x\x00", size=len(self.data), sha256=self.sha256)
        self.key = self.upload.pk

    def part(self, number: int) -> bytes:
        return self.data[(number - 1) * PART : number * PART] if number > 0 else b""

    def act(self, what: Callable[[], Any]) -> bool:
        with TestCase.captureOnCommitCallbacks(execute=True):
            try:
                what()
            except UserError:  # nothing else: that would be a fault of ours
                return False
        return True

    @rule(
        number=st.sampled_from([1, 2, 3, 1, 2, 3, 0, 4, -1]),
        kind=st.sampled_from(["right", "right", "other", "short", "long", "none"]),
        digest=st.sampled_from(["", "right", "wrong"]),
    )  # fmt: skip
    def put(self, number: int, kind: str, digest: str) -> None:
        right = self.part(number)
        data = {"right": right, "other": right[::-1], "short": right[:-1], "long": right + b"x", "none": b""}[kind]
        told = {"": "", "right": hashlib.sha256(data).hexdigest(), "wrong": "0" * 64}[digest]
        taken = self.act(lambda: upload_part_put(upload=self.upload, number=number, data=data, sha256=told))
        fits = 1 <= number <= 3 and len(data) == len(right) and digest != "wrong"
        assert taken == (fits and self.state == "open"), (number, kind, digest, self.state)
        if taken:
            self.held[number] = data
        _TRIED.append(kind)

    @precondition(lambda self: self.state == "open")
    @rule()
    def fill(self) -> None:
        for number in (3, 1, 2):
            self.put(number=number, kind="right", digest="")

    @rule()
    def complete(self) -> None:
        whole = b"".join(self.held.get(n, b"?" * PART) for n in (1, 2, 3))
        done = self.act(lambda: upload_complete(upload=self.upload))
        if self.state == "open" and len(self.held) == 3:
            assert done == (whole == self.data)
            self.state = "complete" if done else "open"
            self.held = {} if not done else self.held
        else:
            assert done == (self.state == "complete")
        _TRIED.append("complete" if done else "refused")

    @precondition(lambda self: self.state != "complete" and len(self.held) > 1)
    @rule()
    def cancel(self) -> None:
        assert self.act(lambda: upload_cancel(upload=self.upload)) == (self.state == "open")
        self.state, self.held = "cancelled", {}

    @rule()
    def look(self) -> None:
        found = self.act(lambda: upload_get(user=self.user, id=self.key))
        assert found == (self.state != "cancelled")

    @invariant()
    def only_what_was_announced_is_stored(self) -> None:
        assert blob_exists(sha256=self.sha256) == (self.state == "complete")
        kept = [n for n in (1, 2, 3) if default_storage.exists(f"uploads/{self.key}/{n}")]
        if self.state != "open":
            assert kept == []
        if self.state == "complete":
            with blob_open(sha256=self.sha256) as file:
                assert file.read() == self.data

    def teardown(self) -> None:
        Upload.objects.filter(pk=self.key).delete()


def test_any_order_of_acts(settings_of_tests: Any) -> None:
    Uploading.user = user_make()
    few = settings(
        max_examples=15, stateful_step_count=8, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    run_state_machine_as_test(Uploading, settings=few)
    assert {"right", "other", "complete", "refused"} <= set(_TRIED)


@pytest.fixture
def settings_of_tests(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    found = request.getfixturevalue("settings")
    found.TOUCHSTONE_UPLOAD_PART_SIZE = PART
    backend = found.STORAGES["default"] | {"OPTIONS": {"location": str(tmp_path)}}
    found.STORAGES = {**found.STORAGES, "default": backend}
    return found
