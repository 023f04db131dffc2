"""The hash chain."""

from __future__ import annotations

import pytest
from django.db import transaction

from tests.factories.server import user_make
from tests.factories.threads import together
from touchstone.audit.models import AuditEntry
from touchstone.audit.services import audit_append, audit_verify

pytestmark = pytest.mark.django_db


def fill(n: int = 5) -> list[AuditEntry]:
    user = user_make()
    data = {"f": 1e20, "g": 0.1, "n": None, "nested": [1.0, {"x": "\x00é"}]}
    return [audit_append(actor=user, act="thing.do", subject=f"thing:{i}", data=data) for i in range(n)]


def test_a_chain_verifies() -> None:
    assert audit_verify() is None
    entries = fill()

    assert entries[0].previous == "0" * 64
    assert [e.previous for e in entries[1:]] == [e.digest for e in entries[:-1]]
    assert audit_verify() is None


@pytest.mark.parametrize(
    "change", [{"subject": "other"}, {"data": {}}, {"act": "x"}, {"actor": None}, {"digest": "1" * 64}]
)
def test_any_change_is_found(change) -> None:
    entries = fill()

    AuditEntry.objects.filter(pk=entries[2].pk).update(**change)

    assert audit_verify() == entries[2].pk


def test_a_removed_entry_is_found() -> None:
    entries = fill()

    AuditEntry.objects.filter(pk=entries[1].pk).delete()

    assert audit_verify() == entries[2].pk


def test_an_act_that_is_undone_leaves_no_entry() -> None:
    fill(2)
    try:
        with transaction.atomic():
            audit_append(actor=None, act="x.y", subject="z")
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    audit_append(actor=None, act="x.y", subject="z")

    assert AuditEntry.objects.count() == 3
    assert audit_verify() is None


@pytest.mark.django_db(transaction=True)
def test_appends_at_once_make_one_chain() -> None:
    made = together([lambda: audit_append(actor=None, act="x.y", subject="z") for _ in range(10)])

    assert all(isinstance(entry, AuditEntry) for entry in made)
    assert AuditEntry.objects.count() == 10
    assert audit_verify() is None
