"""Whether this installation has a registry, and how to reach it."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings

from touchstone.registry.keys import Keys, keys_load

#: How long a registry takes a token; Docker engines ask for a new one when it is over.
TOKEN_SECONDS = 300


def registry_host() -> str:
    """What people write before the names of their images; empty where there is no registry."""
    return str(settings.TOUCHSTONE_REGISTRY_HOST)


def registry_url() -> str:
    """How the server itself reaches the registry."""
    return str(settings.TOUCHSTONE_REGISTRY_URL).rstrip("/")


def registry_keys() -> Keys:
    """The key pair under which this installation issues tokens."""
    return keys_load(Path(settings.TOUCHSTONE_REGISTRY_SECRETS))


def platform_token(*, repository: str, seconds: int = TOKEN_SECONDS) -> str:
    """A token of the platform itself that reads one repository."""
    access = [{"type": "repository", "name": repository, "actions": ["pull"]}]
    return registry_keys().token(subject="platform", access=access, seconds=seconds)
