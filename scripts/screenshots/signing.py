"""Sessions of those who look at pages, and one who has a second factor."""

from __future__ import annotations

from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.test import Client

from scripts.screenshots.seed import Seeded
from tests.factories.server import user_make
from touchstone.accounts.services import token_create


def sessions(seeded: Seeded) -> tuple[dict[str, str], str]:
    """Cookie by role, and the token of a participant."""
    TOTP.activate(user_make("tessa"), generate_totp_secret())
    found = {}
    for role in ("organiser", "participant"):
        client = Client()
        client.force_login(getattr(seeded, role))
        found[role] = client.cookies["sessionid"].value
    return found, token_create(user=seeded.participant, name="laptop", scopes=["read", "submit"])[1]
