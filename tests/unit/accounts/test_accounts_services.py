"""Sign-up and tokens."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest

from tests.factories.server import user_make
from tests.factories.threads import together
from touchstone.accounts.models import ApiToken, User
from touchstone.accounts.selectors import token_user, tokens_of
from touchstone.accounts.services import token_create, token_revoke, user_create
from touchstone.core.clock import now
from touchstone.core.errors import UserError

pytestmark = pytest.mark.django_db
GOOD = "correct-horse-battery"


def test_user_is_made_with_a_hashed_password() -> None:
    user = user_create(username=" ada ", email="Ada@Example.ORG", password=GOOD)

    assert (user.username, user.email) == ("ada", "Ada@example.org")
    assert user.check_password(GOOD)
    assert GOOD not in user.password


def test_all_faults_at_once() -> None:
    user_make("ada")

    with pytest.raises(UserError) as caught:
        user_create(username="ADA", email="nonsense", password="123")

    assert set(caught.value.fields) == {"username", "email", "password"}
    assert "taken" in caught.value.fields["username"][0]


def test_email_is_unique_whatever_its_case() -> None:
    user_make("ada")

    with pytest.raises(UserError) as caught:
        user_create(username="bob", email="ADA@EXAMPLE.ORG", password=GOOD)

    assert set(caught.value.fields) == {"email"}


@pytest.mark.django_db(transaction=True)
def test_same_name_at_once_is_given_once() -> None:
    made = together([
        lambda i=i: user_create(username="ada", email=f"ada{i}@example.org", password=GOOD) for i in range(4)
    ])  # fmt: skip

    assert sum(isinstance(x, User) for x in made) == 1
    assert all(isinstance(x, User | UserError) for x in made)


def test_token_is_shown_once_and_only_its_digest_is_kept() -> None:
    user = user_make()

    token, raw = token_create(user=user, name="laptop", scopes=["submit", "read"])

    assert raw.startswith(f"ts_{token.public}_")
    assert token.digest == hashlib.sha256(raw.encode()).hexdigest()
    assert token.scopes == ["read", "submit"]
    assert token_user(raw=raw) == token
    assert token_user(raw=raw).user == user
    assert list(tokens_of(user=user)) == [token]


def test_tokens_that_do_not_work() -> None:
    user = user_make()
    token, raw = token_create(user=user, name="a", scopes=["read"], expires_at=now() + timedelta(hours=1))

    assert token_user(raw=raw[:-1] + ("a" if raw[-1] != "a" else "b")) is None
    assert token_user(raw="ts_nonsense") is None
    assert token_user(raw=raw.replace("ts_", "tsn_")) is None
    ApiToken.objects.update(expires_at=now())
    assert token_user(raw=raw) is None
    ApiToken.objects.update(expires_at=None)
    assert token_user(raw=raw) is not None
    User.objects.update(is_active=False)
    assert token_user(raw=raw) is None
    User.objects.update(is_active=True)
    token_revoke(token=token)
    token_revoke(token=token)
    assert token_user(raw=raw) is None


def test_last_use_is_written_once_a_minute(django_assert_num_queries) -> None:
    _, raw = token_create(user=user_make(), name="a", scopes=["read"])

    with django_assert_num_queries(2):
        token_user(raw=raw)
    with django_assert_num_queries(1):
        token_user(raw=raw)
    ApiToken.objects.update(last_used_at=now() - timedelta(minutes=2))
    with django_assert_num_queries(2):
        token_user(raw=raw)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"scopes": ["admin"]}, "scopes"),
        ({"scopes": []}, "scopes"),
        ({"name": " "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"expires_at": now() - timedelta(days=1)}, "expires_at"),
    ],
)
def test_token_refusals_name_the_field(fields, field) -> None:
    with pytest.raises(UserError) as caught:
        token_create(**{"user": user_make(), "name": "a", "scopes": ["read"]} | fields)

    assert set(caught.value.fields) == {field}
