"""A draft under work, for the tests of its steps: who writes it, their browser, and its sections."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from touchstone.accounts.models import User
from touchstone.drafts.models import Draft
from touchstone.drafts.selectors import section_get
from touchstone.drafts.services import section_save


@pytest.fixture
def owner(db: None) -> User:
    """Who writes the draft."""
    return User.objects.create_user("ann", "ann@example.org", "x")


@pytest.fixture
def client(owner: User) -> Client:
    """Their browser."""
    found = Client()
    found.force_login(owner)
    return found


def section_put(draft: Draft, owner: User, name: str, body: dict[str, Any]) -> None:
    """Save a step with these parts of it changed."""
    section = section_get(draft=draft, name=name)
    section_save(draft=draft, user=owner, name=name, body={**section.body, **body}, version=section.version)


def step_url(draft: Draft, name: str, *more: object) -> str:
    """The address of a step, or of a page below it."""
    return reverse(f"web:draft-{name}", args=[draft.pk, *more])
