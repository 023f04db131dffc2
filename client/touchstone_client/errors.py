"""What can go wrong for a client, and the exit code that the command line gives it.

Every error says what happened, why, and what to do next; errors that came from a server carry its request id.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any


class ExitCode(IntEnum):
    """Exit codes of `touchstone`. They are a promise: scripts and CI jobs branch on them."""

    OK = 0
    UNEXPECTED = 1
    USAGE = 2
    SUBMISSION_FAILED = 3
    AUTH = 4
    QUOTA_OR_CLOSED = 5
    TIMEOUT = 6
    INVALID = 7
    THRESHOLD = 8
    INTERRUPTED = 130


@dataclass(frozen=True)
class Detail:
    """One defect of what was sent. `where` is a JSON pointer or a key path; `file`, `line` and `column` a place."""

    message: str
    where: str = ""
    file: str = ""
    line: int | None = None
    hint: str = ""
    code: str = ""
    column: int | None = None


@dataclass(eq=False)
class ClientError(Exception):
    """Base of all errors of this package. `hint` is the next step, `request_id` what an operator asks for."""

    message: str
    why: str = ""
    hint: str = ""
    code: str = "client_error"
    status: int | None = None
    request_id: str = ""
    details: list[Detail] = field(default_factory=list)
    exit_code: ExitCode = ExitCode.UNEXPECTED

    def __str__(self) -> str:
        return self.message if not self.why else f"{self.message}: {self.why}"


class ConnectionFailed(ClientError):
    """The server could not be reached, or did not answer in time, after all retries."""


class WaitTimeout(ClientError):
    """A wait ended before the run did. The run goes on."""


#: Codes of the server that mean "not now": over quota, or outside the phase's time window.
_CLOSED = frozenset({"over_quota", "phase_closed", "phase_not_open", "no_open_phase"})
#: Codes of the server that mean "what you sent is wrong", with a list of defects.
_INVALID = frozenset({"bundle_invalid", "invalid_bundle"})


def from_problem(*, status: int, body: dict[str, Any], request_id: str) -> ClientError:
    """The error for an RFC 9457 problem document of the server."""
    code = str(body.get("code") or f"http_{status}")
    return ClientError(
        message=_message(body) or f"The server answered {status}",
        hint=str(body.get("hint") or ""),
        code=code,
        status=status,
        request_id=str(body.get("request_id") or request_id),
        details=[_detail(item) for key in ("defects", "errors") for item in body.get(key) or ()],
        exit_code=_exit_code(status=status, code=code, body=body),
    )


def _message(body: dict[str, Any]) -> str:
    """The detail; without the lines that repeat the defects, which are shown one by one."""
    text = str(body.get("detail") or body.get("title") or "")
    return text.partition("\n")[0] if body.get("defects") else text


def _detail(item: Any) -> Detail:
    if not isinstance(item, dict):
        return Detail(message=str(item))
    line = item.get("line")
    return Detail(
        message=str(item.get("message") or item.get("detail") or ""),
        where=str(item.get("where") or item.get("pointer") or ""),
        file=str(item.get("file") or ""),
        line=line if isinstance(line, int) else None,
        hint=str(item.get("hint") or ""),
        code=str(item.get("code") or ""),
    )


def _exit_code(*, status: int, code: str, body: dict[str, Any]) -> ExitCode:
    if code in _CLOSED:
        return ExitCode.QUOTA_OR_CLOSED
    if code in _INVALID or body.get("defects"):
        return ExitCode.INVALID
    if status in (401, 403):
        return ExitCode.AUTH
    return ExitCode.UNEXPECTED
