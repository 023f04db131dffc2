"""Names of images say whose they are, and nobody's name is anybody else's."""

from __future__ import annotations

import pytest

from tests.factories.server import user_make
from touchstone.registry.names import namespace_of, namespace_user, reference_parse, repository_parse

DIGEST = f"sha256:{'a' * 64}"


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["alice", "Alice.B", "a_b", "a-b--c", "x1"])
def test_a_name_that_a_registry_takes_is_the_namespace(name: str) -> None:
    user = user_make(name)

    assert namespace_of(user=user) == name.lower()
    assert namespace_user(namespace=name.lower()) == user


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["a@b.org", "_a", "a+b", "a..b", "é", "user__7", "x" * 101, "-"])
def test_any_other_gets_one_by_number(name: str) -> None:
    user = user_make(name)

    found = namespace_of(user=user)

    assert found == f"user__{user.pk}"
    assert namespace_user(namespace=found) == user
    assert namespace_user(namespace=name.lower()) is None


@pytest.mark.django_db
@pytest.mark.parametrize("namespace", ["user__", "user__0", "user__99999999999999999999", "user__-1", "nobody", ""])
def test_a_namespace_of_nobody(namespace: str) -> None:
    assert namespace_user(namespace=namespace) is None


@pytest.mark.parametrize(
    "text",
    ["c/alice", "c", "", "c/alice/", "/c/alice/m", "c/alice/M", "c/../m", "c/alice/m:1", "c/a b/m", "c/a/" + "m" * 300],
)  # fmt: skip
def test_what_is_no_repository_of_a_participant(text: str) -> None:
    assert repository_parse(repository=text) is None


def test_a_repository_may_have_more_parts() -> None:
    found = repository_parse(repository="some-slug/alice/a/b")
    assert found is not None
    assert (found.competition, found.namespace, found.name) == ("some-slug", "alice", "a/b")


@pytest.mark.parametrize(
    "host", ["127.0.0.1:5000", "localhost", "localhost:5000", "registry.example.org", "registry:5000"]
)
def test_a_reference_has_a_host(host: str) -> None:
    image = f"{host}/c/alice/m@{DIGEST}"
    found = reference_parse(image=image)
    assert found is not None
    assert (found.host, found.repository, found.digest, str(found)) == (host, "c/alice/m", DIGEST, image)


@pytest.mark.parametrize(
    "image", [DIGEST, f"team/model@{DIGEST}", f"model@{DIGEST}", "registry.example.org/c/a/m:1", ""]
)
def test_an_image_of_the_engine_has_none(image: str) -> None:
    assert reference_parse(image=image) is None
