"""Which server and which token: options win over the environment, the environment over files.

Tokens are stored by server address, so a token is never sent to a server it was not made for.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from touchstone_client import settings
from touchstone_client._whole import write_whole
from touchstone_client.errors import ClientError, ExitCode

URL_VARIABLE = "TOUCHSTONE_URL"
TOKEN_VARIABLE = "TOUCHSTONE_TOKEN"  # noqa: S105 - the name of a variable
ID_TOKEN_VARIABLE = "TOUCHSTONE_ID_TOKEN"  # noqa: S105 - the name of a variable
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class Credentials:
    """`source` says where the token came from, for messages; `told` where the address did."""

    url: str
    token: str = ""
    source: str = ""
    told: settings.Setting = field(default_factory=lambda: settings.Setting("url"), compare=False)


def normalise_url(url: str) -> str:
    """`https://host[:port][/prefix]` without a trailing slash. Raises `ClientError` for anything else."""
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise ClientError(
            f"{url!r} is not the address of a server",
            hint="Write for example https://touchstone.example.org",
            code="bad_url",
            exit_code=ExitCode.USAGE,
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def is_cleartext(url: str) -> bool:
    """True where a token would cross a network unencrypted."""
    parts = urlsplit(url)
    return parts.scheme == "http" and (parts.hostname or "") not in _LOOPBACK


def path() -> Path:
    """Where credentials are kept; mode 0600."""
    import platformdirs

    return platformdirs.user_config_path("touchstone") / "credentials.json"


def load() -> dict[str, Any]:
    """The stored file, or an empty one. A damaged file is an error that names it."""
    try:
        data = json.loads(path().read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {"schema_version": 1, "default": "", "servers": {}}
    except (OSError, ValueError) as error:
        raise ClientError(
            f"The credentials file {path()} cannot be read",
            why=str(error),
            hint="Remove it and run `touchstone login` again.",
            code="bad_credentials_file",
            exit_code=ExitCode.AUTH,
        ) from error
    if not isinstance(data, dict) or not isinstance(data.get("servers"), dict):
        raise ClientError(
            f"The credentials file {path()} has another form than this client writes",
            hint="Remove it and run `touchstone login` again.",
            code="bad_credentials_file",
            exit_code=ExitCode.AUTH,
        )
    return data


def store(*, url: str, token: str, by_login: bool = False) -> Path:
    """Keeps the token for `url` and makes this server the default. The file is replaced as a whole, mode 0600.

    `by_login`: the token was made for this machine, so `touchstone logout` may revoke it.
    """
    data = load()
    data["servers"][url] = {"token": token, "by_login": by_login}
    data["default"] = url
    return _write(data)


def made_by_login(*, url: str) -> str:
    """The stored token of `url` where `touchstone login` made it, else nothing."""
    stored = load()["servers"].get(url) or {}
    return str(stored.get("token") or "") if stored.get("by_login") else ""


def forget(*, url: str) -> bool:
    """Removes the token of `url`; False where there was none."""
    data = load()
    known = data["servers"].pop(url, None) is not None
    if data.get("default") == url:
        data["default"] = next(iter(data["servers"]), "")
    if known:
        _write(data)
    return known


def _write(data: dict[str, Any]) -> Path:
    target = path()
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_whole(target, json.dumps(data, indent=2), mode=0o600)
    return target


def resolve(*, url: str = "", token: str = "") -> Credentials:
    """The server and token to use. Raises `ClientError` where no server is known; the token may be empty."""
    data = load()
    told = settings.Setting("url", url, "--url") if url else settings.look_up("url")
    chosen = told.value or str(data.get("default") or "")
    if not chosen:
        raise ClientError(
            "No server is known",
            why=f"neither --url nor {URL_VARIABLE} is given, and nobody has logged in on this machine",
            hint="Log in once: touchstone login --url https://touchstone.example.org",
            code="no_server",
            exit_code=ExitCode.USAGE,
        )
    chosen = normalise_url(chosen)
    given = (token, "--token") if token else (os.environ.get(TOKEN_VARIABLE, "").strip(), TOKEN_VARIABLE)
    if given[0]:
        _check_trusted(told, chosen, data, given[1])
        return Credentials(chosen, *given, told=told)
    stored = data["servers"].get(chosen) or {}
    return Credentials(chosen, str(stored.get("token") or ""), str(path()) if stored else "", told=told)


def identity_check(credentials: Credentials) -> None:
    """Raises `ClientError` where an ID token of the environment, which is for one server, would go to another's.

    What GitHub is asked for is made for the server that it goes to.
    """
    if os.environ.get(ID_TOKEN_VARIABLE):
        _check_trusted(credentials.told, credentials.url, load(), ID_TOKEN_VARIABLE)


def _check_trusted(told: settings.Setting, url: str, data: dict[str, Any], source: str) -> None:
    """A folder that somebody else wrote must not lead a token of the environment to a server of theirs."""
    if told.of_project and url not in data["servers"]:
        raise ClientError(
            f"The token was not sent to {url}",
            why=f"only {told.source} names that server, and the token of {source} may be meant for another",
            hint=f"If it is the right one, say so: {URL_VARIABLE}={url} or --url {url}",
            code="url_of_project",
            exit_code=ExitCode.USAGE,
        )
