"""The submit page says how images come in: by a push where there is a registry, else as archives."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from tests.factories.server import competition_make, participation_make, user_make

pytestmark = pytest.mark.django_db


def _page(*kinds: str) -> str:
    user = user_make("alice")
    competition = competition_make(slug="tiny", submission={"kinds": list(kinds)})
    participation_make(competition, user)
    client = Client()
    client.force_login(user)
    return client.get("/c/tiny/submit/").content.decode()


def test_with_a_registry_it_shows_the_command(settings: Any) -> None:
    settings.TOUCHSTONE_REGISTRY_HOST = "registry.test"

    page = _page("container")

    assert "touchstone image push IMAGE --competition tiny" in page
    assert "registry.test/tiny/alice/NAME" in page


def test_without_one_it_says_what_to_do_instead(settings: Any) -> None:
    settings.TOUCHSTONE_REGISTRY_HOST = ""

    page = _page("container")

    assert "This installation has no registry. Submit the archive that `docker save` makes." in page
    assert "image push" not in page


def test_where_no_containers_are_taken_it_says_nothing() -> None:
    assert "Push an image" not in _page("predictions")
