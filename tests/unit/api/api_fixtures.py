"""People with tokens, one imported competition, and a node that answers what a test wants.

Imported by the conftest files of the interface and of the client. Django is imported inside the fixtures: those files
are read before the settings are known.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from rest_framework.test import APIClient

    from touchstone.accounts.models import User
    from touchstone.competitions.models import Competition
    from touchstone.evaluations.models import Node

    ImportBundle = Callable[..., Competition]
    Score = Callable[..., str]


@pytest.fixture(autouse=True)
def fresh_throttles() -> Iterator[None]:
    from django.core.cache import cache

    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def olga(db: None) -> User:
    """An organiser."""
    from tests.unit.api.api_helpers import make_user

    return make_user("olga")


@pytest.fixture
def paula(db: None) -> User:
    """A participant."""
    from tests.unit.api.api_helpers import make_user

    return make_user("paula")


@pytest.fixture
def anna(db: None) -> User:
    """Somebody else."""
    from tests.unit.api.api_helpers import make_user

    return make_user("anna")


@pytest.fixture
def anyone(db: None) -> APIClient:
    from tests.unit.api.api_helpers import client_for

    return client_for(None)


@pytest.fixture
def organiser(olga: User) -> APIClient:
    from tests.unit.api.api_helpers import client_for

    return client_for(olga)


@pytest.fixture
def stranger(anna: User) -> APIClient:
    from tests.unit.api.api_helpers import client_for

    return client_for(anna)


@pytest.fixture(scope="session")
def bundles_read() -> dict[str, Any]:
    """Checked bundles by content. Reading one starts two processes; what it gives depends on its files alone."""
    return {}


@pytest.fixture
def import_bundle(
    olga: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bundles_read: dict[str, Any]
) -> ImportBundle:
    from tests.unit.api.bundle_maker import sha256, write_bundle, zip_of
    from touchstone.competitions import imports

    read = imports.bundle_read

    def read_once(*, folder: Path) -> Any:
        key = sha256(zip_of(folder))
        if key not in bundles_read:
            bundles_read[key] = read(folder=folder)
        return bundles_read[key]

    monkeypatch.setattr(imports, "bundle_read", read_once)

    def make(**changes: str) -> Competition:
        folder = write_bundle(tmp_path / uuid.uuid4().hex, **changes)
        return imports.competition_import(user=olga, archive=folder).competition

    return make


@pytest.fixture
def small(import_bundle: ImportBundle) -> Competition:
    return import_bundle()


@pytest.fixture
def participant(paula: User, small: Competition) -> APIClient:
    """Paula, who has joined `small`."""
    from tests.unit.api.api_helpers import client_for

    client = client_for(paula)
    answer = client.post("/api/v1/competitions/small/join", {"accept_terms": True}, format="json")
    assert answer.status_code == 200, answer.content
    return client


@pytest.fixture
def node(db: None) -> Node:
    from touchstone.evaluations.services import node_create

    return node_create(name="test-node")[0]


@pytest.fixture
def score(node: Node) -> Score:
    """Evaluate a submission as a node would, with the given accuracy or verdict."""
    from tests.unit.api.api_helpers import evaluate

    return partial(evaluate, node)
