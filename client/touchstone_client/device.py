"""Signing in without typing a token: the server shows a code, a person confirms it in a browser (RFC 8628)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from touchstone_client.decode import decode
from touchstone_client.errors import ClientError, ExitCode

if TYPE_CHECKING:
    from touchstone_client.transport import Transport

#: By so much the pauses grow when the server finds them too short.
_SLOWER = 5.0


@dataclass(frozen=True)
class DeviceCode:
    """What a person types where. `device_code` is secret: whoever has it gets the token."""

    device_code: str
    user_code: str
    verification_uri: str
    verification_uri_complete: str
    expires_in: int
    interval: int


@dataclass(frozen=True)
class DeviceToken:
    """The token that was made, and what it may do."""

    token: str
    scopes: tuple[str, ...]
    expires_at: datetime | None = None


def begin(http: Transport, *, client_name: str, scopes: Sequence[str]) -> DeviceCode:
    """Ask for a code."""
    asked = {"client_name": client_name[:100], "scopes": list(scopes)}
    return decode(DeviceCode, http.json("POST", "device/code", json=asked, repeat=True))


def wait(http: Transport, code: DeviceCode, *, sleep: Callable[[float], None] = time.sleep) -> DeviceToken:
    """Wait until somebody confirmed the code. Raises `ClientError` (exit 4) where it was refused, or nobody came."""
    until = time.monotonic() + code.expires_in
    pause = float(max(1, code.interval))
    while time.monotonic() < until:
        sleep(pause)
        try:
            answer = http.json("POST", "device/token", json={"device_code": code.device_code}, repeat=True)
        except ClientError as error:
            if error.code == "slow_down":
                pause += _SLOWER
            elif error.code in ("access_denied", "expired_token"):
                raise _over(refused=error.code == "access_denied", request_id=error.request_id) from error
            elif error.code != "authorization_pending":
                raise
            continue
        return decode(DeviceToken, answer)
    raise _over(refused=False)


def _over(*, refused: bool, request_id: str = "") -> ClientError:
    return ClientError(
        "The login was refused in the browser" if refused else "Nobody confirmed the code in time",
        hint="Run `touchstone login` again for a new code.",
        code="access_denied" if refused else "expired_token",
        request_id=request_id,
        exit_code=ExitCode.AUTH,
    )
