"""The services whose jobs may prove who they are (trusted publishing), from one variable."""

from __future__ import annotations

import ipaddress
import json
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

_NAME = "TOUCHSTONE_OIDC_ISSUERS"
_KINDS = ("github", "gitlab", "other")
_ALGORITHMS = ("RS256", "ES256")
_NEEDED, _MAY = {"issuer", "kind", "name", "keys"}, {"algorithms", "lifetime", "web", "claims"}
_HOUR = 3600

#: What a token's claims are called, by our names; `other` must say at least the first four.
CLAIMS = ("repository_id", "owner_id", "repository", "workflow", "environment", "ref", "commit", "run", "actor",
          "visibility", "run_url")  # fmt: skip
_CLAIMS_NEEDED = frozenset(CLAIMS[:4])

#: Without the variable: the two services that many use.
DEFAULT: list[dict[str, Any]] = [
    {
        "issuer": "https://token.actions.githubusercontent.com", "kind": "github", "name": "GitHub",
        "keys": "https://token.actions.githubusercontent.com/.well-known/jwks", "algorithms": ["RS256"],
        "lifetime": _HOUR, "web": "https://github.com", "claims": {},
    },
    {
        "issuer": "https://gitlab.com", "kind": "gitlab", "name": "GitLab",
        "keys": "https://gitlab.com/oauth/discovery/keys", "algorithms": ["RS256"],
        # A token of GitLab lives as long as its job may.
        "lifetime": 24 * _HOUR, "web": "https://gitlab.com", "claims": {},
    },
]  # fmt: skip


def issuer_settings(text: str) -> list[dict[str, Any]]:
    """The issuers of a JSON list; those of `DEFAULT` for an empty text, and none for `[]`.

    An entry has `issuer` (the exact `iss`), `kind` (github, gitlab or other), `name` (shown) and `keys` (the https
    address of its JWKS, or the absolute path of a file that holds it); and may have `algorithms`, `lifetime` (the most
    seconds a token may live), `web` (where its repositories are shown) and, for kind other, `claims`.
    Raises `ImproperlyConfigured` naming the entry and what is wrong with it.
    """
    if not text.strip():
        return [dict(entry) for entry in DEFAULT]
    try:
        entries = json.loads(text)
    except ValueError as error:
        raise ImproperlyConfigured(f"{_NAME} is no JSON: {error}.") from error
    if not isinstance(entries, list):
        raise ImproperlyConfigured(f"{_NAME} must be a JSON list of issuers.")
    found = [_entry(entry, number) for number, entry in enumerate(entries, start=1)]
    if len({entry["issuer"] for entry in found}) != len(found):
        raise ImproperlyConfigured(f"{_NAME} names an issuer twice.")
    return found


def _entry(entry: object, number: int) -> dict[str, Any]:
    problem = _problem(entry)
    if problem or not isinstance(entry, dict):
        raise ImproperlyConfigured(f"{_NAME}: entry {number} {problem}.")
    lifetime = 24 * _HOUR if entry["kind"] == "gitlab" else _HOUR
    base = {"algorithms": ["RS256"], "lifetime": lifetime, "web": _web(entry["issuer"]), "claims": {}}
    return {**base, **entry, "web": str(entry.get("web", base["web"])).rstrip("/")}


def _problem(entry: object) -> str:
    """What is wrong with an entry; empty where nothing is."""
    if not isinstance(entry, dict):
        return "must be a JSON object"
    lacking, unknown = sorted(_NEEDED - set(entry)), sorted(set(entry) - _NEEDED - _MAY)
    if lacking or unknown:
        return f"lacks {', '.join(lacking)}" if lacking else f"has unknown keys {', '.join(unknown)}"
    if any(not isinstance(entry[key], str) or not entry[key] for key in _NEEDED):
        return f"needs texts for {', '.join(sorted(_NEEDED))}"
    if entry["kind"] not in _KINDS:
        return f"has the kind {entry['kind']!r}; there are {', '.join(_KINDS)}"
    algorithms = entry.get("algorithms", ["RS256"])
    if not isinstance(algorithms, list) or not algorithms or not set(algorithms) <= set(_ALGORITHMS):
        return f"may only have the algorithms {', '.join(_ALGORITHMS)}"
    lifetime = entry.get("lifetime", _HOUR)
    if isinstance(lifetime, bool) or not isinstance(lifetime, int) or lifetime < 1:
        return "needs a lifetime in whole seconds"
    if not (entry["keys"].startswith("/") or _is_safe(entry["keys"])) or not _is_safe(entry["issuer"]):
        return "needs https:// addresses for issuer and keys; keys may also be the absolute path of a file"
    return _claims_problem(entry)


def _claims_problem(entry: dict[str, Any]) -> str:
    claims = entry.get("claims", {})
    if entry["kind"] != "other":
        return "has claims, which only the kind other takes" if claims else ""
    if not isinstance(claims, dict) or not all(isinstance(value, str) for value in claims.values()):
        return "needs claims, from our names to the issuer's"
    lacking, unknown = sorted(_CLAIMS_NEEDED - set(claims)), sorted(set(claims) - set(CLAIMS))
    return f"must say in claims what {', '.join(lacking or unknown)} is" if lacking or unknown else ""


def _is_safe(url: str) -> bool:
    """https; plain http only on this machine, where nobody listens in."""
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return True
    try:
        return parts.scheme == "http" and ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False


def _web(issuer: str) -> str:
    parts = urlsplit(issuer)
    return f"{parts.scheme}://{parts.netloc}"
