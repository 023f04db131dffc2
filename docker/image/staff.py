"""Part of the web image: who belongs to the platform's staff.

python3 staff.py NAME             an account that exists becomes staff
python3 staff.py NAME --remove    it is staff no longer
"""

from __future__ import annotations

import argparse
import sys

import django
from django.db import transaction


def main(arguments: list[str]) -> int:
    """Set it, with a record in the audit trail; 1 where there is no such account."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("--remove", action="store_true")
    asked = parser.parse_args(arguments)
    django.setup()
    from touchstone.accounts.models import User
    from touchstone.audit.services import audit_append

    with transaction.atomic():
        user = User.objects.select_for_update().filter(username__iexact=asked.name).first()
        if user is None:
            print(f"There is no account {asked.name!r}: sign up on the page first.", file=sys.stderr)  # noqa: T201
            return 1
        if user.is_staff is asked.remove:
            user.is_staff = not asked.remove
            user.save(update_fields=["is_staff"])
            act = "user.unstaff" if asked.remove else "user.staff"
            audit_append(actor=None, act=act, subject=f"user:{user.pk}", data={"username": user.username})
    print(f"{user.username} is {'no longer' if asked.remove else 'now'} staff")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
