"""Settings of mail and of sign-in by OpenID Connect, from one variable each."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

_OIDC_KEYS = {"id", "name", "server_url", "client_id", "secret"}
_OIDC_MAY = {"form_origins"}


def mail_settings(url: str) -> dict[str, Any]:
    """Django's mail settings from `smtp+tls://user:password@host:587`; an empty URL sends nothing.

    Raises `ImproperlyConfigured` where the scheme is none that Django knows.
    """
    if not url:
        return {"EMAIL_BACKEND": "django.core.mail.backends.dummy.EmailBackend"}
    try:
        found: dict[str, Any] = environ.Env.email_url_config(url)
    except ImproperlyConfigured:
        raise
    except Exception as error:
        raise ImproperlyConfigured(
            "TOUCHSTONE_EMAIL_URL is no mail server; write for example smtp+tls://user:password@mail.example.org:587."
        ) from error
    return {**found, "EMAIL_TIMEOUT": 10}


def oidc_settings(text: str) -> tuple[dict[str, Any], list[str]]:
    """allauth's provider settings, and the origins that a sign-in form may be sent on to.

    `text` is a JSON list of {id, name, server_url, client_id, secret}; `server_url` is the issuer, whose
    `/.well-known/openid-configuration` says the rest. `form_origins` lists further origins of the provider's pages.
    Raises `ImproperlyConfigured` naming the entry and the key that is wrong.
    """
    if not text:
        return {}, []
    try:
        entries = json.loads(text)
    except ValueError as error:
        raise ImproperlyConfigured(f"TOUCHSTONE_OIDC is no JSON: {error}.") from error
    if not isinstance(entries, list):
        raise ImproperlyConfigured("TOUCHSTONE_OIDC must be a JSON list of providers.")
    apps, origins = [], []
    for number, entry in enumerate(entries, start=1):
        _check(entry, number)
        apps.append(
            {
                "provider_id": entry["id"],
                "name": entry["name"],
                "client_id": entry["client_id"],
                "secret": entry["secret"],
                "settings": {"server_url": entry["server_url"], "oauth_pkce_enabled": True},
            }
        )
        origins += [_origin(entry["server_url"]), *entry.get("form_origins", ())]
    return {"openid_connect": {"APPS": apps, "OAUTH_PKCE_ENABLED": True}}, sorted(set(origins))


def _check(entry: object, number: int) -> None:
    if not isinstance(entry, dict):
        raise ImproperlyConfigured(f"TOUCHSTONE_OIDC: entry {number} must be a JSON object.")
    lacking = sorted(_OIDC_KEYS - set(entry))
    unknown = sorted(set(entry) - _OIDC_KEYS - _OIDC_MAY)
    if lacking or unknown:
        parts = [f"lacks {', '.join(lacking)}"] if lacking else []
        parts += [f"has unknown keys {', '.join(unknown)}"] if unknown else []
        raise ImproperlyConfigured(f"TOUCHSTONE_OIDC: entry {number} {' and '.join(parts)}.")
    url = urlsplit(str(entry["server_url"]))
    if url.scheme != "https" and url.hostname not in ("localhost", "127.0.0.1"):
        raise ImproperlyConfigured(f"TOUCHSTONE_OIDC: server_url of entry {number} must begin with https://.")


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
