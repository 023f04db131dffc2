"""Accounts for the demo, the tests and the benchmarks: JSON on stdin, tokens by user name on stdout.

    [{"username": "...", "email": "...", "password": "...", "scopes": ["read", "submit"]}]

Runs on the server's side (it needs the database). Run twice, it changes nothing but the token.
"""

from __future__ import annotations

import json
import sys

import django

_TOKEN_NAME = "made by scripts/people.py"


def main() -> int:
    django.setup()
    from touchstone.accounts.models import ApiToken, User
    from touchstone.accounts.services import token_create, token_revoke, user_create

    tokens: dict[str, str] = {}
    for person in json.load(sys.stdin):
        user = User.objects.filter(username__iexact=person["username"]).first()
        if user is None:
            user = user_create(
                username=person["username"], email=person["email"], password=person["password"], verified=True
            )
        elif not user.check_password(person["password"]):
            user.set_password(person["password"])
            user.save(update_fields=["password"])
        for old in ApiToken.objects.filter(user=user, name=_TOKEN_NAME, revoked_at=None):
            token_revoke(token=old)
        _, tokens[person["username"]] = token_create(user=user, name=_TOKEN_NAME, scopes=person["scopes"])
    json.dump(tokens, sys.stdout)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
