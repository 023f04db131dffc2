"""Looks at everything that sending and trying submissions needs: `touchstone doctor`."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from touchstone_client import config, settings
from touchstone_client.errors import ClientError
from touchstone_client.sdk import Client
from touchstone_client.version import __version__

State = Literal["ok", "warn", "fail"]
#: A clock that is further off makes times misleading; one that is as far off as a token of CI lives, logins fail.
_ODD, _WRONG = timedelta(seconds=30), timedelta(minutes=5)
_SOON = timedelta(days=7)
_LITTLE, _TOO_LITTLE = 2 * 2**30, 200 * 2**20


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `next` says what to do about it."""

    what: str
    state: State
    text: str
    next: str = ""


def examine(*, url: str = "", token: str = "") -> list[Finding]:
    """Everything, in the order in which one thing needs another. Never raises for what it finds."""
    found = [_client(), _settings()]
    try:
        credentials = config.resolve(url=url, token=token)
    except ClientError as error:
        return [*found, Finding("server", "fail", str(error), error.hint), *_machine()]
    with Client(credentials.url, patience=3.0) as client:  # without the token: one that is wrong is refused everywhere
        found += _server(client)
    if all(item.state != "fail" for item in found if item.what == "server"):
        with Client(credentials.url, credentials.token, patience=3.0) as client:
            found += _token(client, credentials)
    return [*found, *_machine()]


def _client() -> Finding:
    return Finding("client", "ok", f"touchstone {__version__}, Python {platform.python_version()} at {sys.prefix}")


def _settings() -> Finding:
    try:
        found = [settings.look_up(key) for key in settings.ENVIRONMENT]
    except ClientError as error:
        return Finding("settings", "fail", str(error), error.hint)
    text = ", ".join(f"{item.key} {item.value} ({item.source})" for item in found if item.value)
    return Finding("settings", "ok", text or "none are set: options and the last login decide")


def _server(client: Client) -> Iterator[Finding]:
    try:
        before = datetime.now(UTC)
        server = client.server()
        after = datetime.now(UTC)
    except ClientError as error:
        yield Finding("server", "fail", str(error), error.hint or "Check the address: touchstone config list")
        return
    version = f"version {server.version}" if server.version else "which does not tell its version"
    if config.is_cleartext(client.url):
        yield Finding("server", "warn", f"{client.url}, {version}: not encrypted", "Use its https address.")
    else:
        yield Finding("server", "ok", f"{client.url}, {version}, answered in {(after - before).total_seconds():.1f} s")
    if server.at is not None:
        yield _clock(server.at, before, after)


def _clock(told: datetime, before: datetime, after: datetime) -> Finding:
    """The server's clock is told in whole seconds, some time between question and answer."""
    ahead = before - told - timedelta(seconds=1)
    behind = told - after
    off = max(ahead, behind, timedelta())
    text = f"within {max(1.0, off.total_seconds()):.0f} s of the server's"
    if off < _ODD:
        return Finding("clock", "ok", text)
    way = "ahead of" if ahead > behind else "behind"
    text = f"{off.total_seconds():.0f} s {way} the server's"
    return Finding("clock", "fail" if off >= _WRONG else "warn", text, "Set the clock: timedatectl set-ntp true")


def _token(client: Client, credentials: config.Credentials) -> Iterator[Finding]:
    again = f"touchstone login --url {client.url}"
    if not credentials.token:
        yield Finding("token", "fail", "nobody is logged in", again)
        return
    try:
        me = client.me()
    except ClientError as error:
        yield Finding("token", "fail", f"{error} (from {credentials.source})", error.hint or again)
        return
    scopes = ", ".join(me.scopes)
    submits = any(scope == "submit" or scope.startswith("submit:") for scope in me.scopes)
    text = f"of {me.username}, from {credentials.source}; may: {scopes}"
    if me.token_expires_at is not None and me.token_expires_at - datetime.now(UTC) < _SOON:
        yield Finding("token", "warn", f"{text}; it ends on {me.token_expires_at:%Y-%m-%d %H:%M} UTC", again)
    elif not submits:
        yield Finding("token", "warn", f"{text}: it cannot submit", f"{again} --scope read --scope submit")
    else:
        yield Finding("token", "ok", text)


def _machine() -> list[Finding]:
    found = [_disk("work folder", Path(tempfile.gettempdir())), _disk("this folder", Path.cwd()), _files()]
    return [*found, _docker(), _judge()]


def _disk(what: str, place: Path) -> Finding:
    free = shutil.disk_usage(place).free
    text = f"{free / 2**30:.1f} GiB free in {place}"
    if free < _TOO_LITTLE:
        return Finding(what, "fail", text, "Make room: folders and images are packed there before they are sent.")
    return Finding(what, "warn" if free < _LITTLE else "ok", text, "Images may not fit." if free < _LITTLE else "")


def _files() -> Finding:
    place = config.path()
    if not place.exists():
        return Finding("credentials", "ok", f"{place} is not there yet")
    if os.name == "posix" and place.stat().st_mode & 0o077:
        return Finding("credentials", "fail", f"others can read {place}", f"chmod 600 {place}; then log in anew")
    return Finding("credentials", "ok", f"{place}, readable by you alone")


def _docker() -> Finding:
    program = shutil.which("docker")
    if program is None:
        return Finding("docker", "warn", "there is no docker command", "Only needed to build, test and push images.")
    try:
        done = subprocess.run(
            [program, "version", "--format", "{{.Server.Version}}"],
            capture_output=True, text=True, timeout=20, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Finding("docker", "warn", "the engine does not answer", "Start it anew; `docker version` must answer.")
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        return Finding("docker", "warn", last, "Start the engine, and be in the group that may use it.")
    return Finding("docker", "ok", f"engine {done.stdout.strip()}")


def _judge(find: Callable[[str], object] = find_spec) -> Finding:
    from touchstone_client.trying import check_installed

    if find("numpy") is None or find("pyarrow") is None:
        return Finding("checks", "warn", "tables and arrays cannot be read", "pip install 'touchstone-client[data]'")
    try:
        check_installed()
    except ClientError:
        text = "validate checks all files; test cannot run submissions here"
        return Finding("checks", "ok", text, "pip install 'touchstone-client[local]'")
    return Finding("checks", "ok", "validate and test have all that they need, but for a sandbox: see docker")
