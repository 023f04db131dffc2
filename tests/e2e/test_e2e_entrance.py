"""Passkeys, with an authenticator that Chromium plays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.factories.server import PASSWORD, user_make

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def with_authenticator(page: Page) -> Page:
    tools = page.context.new_cdp_session(page)
    tools.send("WebAuthn.enable")
    tools.send(
        "WebAuthn.addVirtualAuthenticator",
        {
            "options": {
                "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
                "isUserVerified": True, "automaticPresenceSimulation": True,
            }
        },
    )  # fmt: skip
    return page


def test_a_passkey_is_added_and_opens_the_account(open_page) -> None:
    user_make("max")
    page = with_authenticator(open_page())
    page.goto("/login/")
    page.get_by_label("User name or e-mail address").fill("max")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.goto("/2fa/webauthn/add/")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Confirm").click()
    page.get_by_label("Name").fill("laptop")
    page.get_by_label("Passwordless").check()
    page.get_by_role("button", name="Add").click()
    page.wait_for_url(lambda url: not url.endswith("/add/"))  # it is stored when its page is left
    page.goto("/2fa/webauthn/")
    expect(page.get_by_text("laptop")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()

    page.goto("/login/?next=/account/")
    page.get_by_role("button", name="Sign in with a passkey").click()

    page.wait_for_url("**/account/")
    expect(page.get_by_role("heading", name="max")).to_be_visible()
