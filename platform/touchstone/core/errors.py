"""What a person or program did that they can mend. Everything else is a bug or a fault of ours.

`message` says what, where and why; `hint` the next step. Views turn these into a page or a problem
response (`core/problems.py`) with the status of the class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime


class UserError(Exception):
    """Wrong input. `fields` maps a form field to its messages, where the fault lies in one."""

    status = 400
    code = "invalid"

    def __init__(
        self,
        message: str,
        hint: str = "",
        code: str = "",
        status: int = 0,
        *,
        fields: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code or type(self).code
        self.status = status or type(self).status
        self.fields = {key: list(texts) for key, texts in (fields or {}).items()}


class NotAllowed(UserError):
    """Known, but this user may not do that."""

    status = 403
    code = "not_allowed"


class NotFound(UserError):
    """Does not exist, or this user may not know that it does."""

    status = 404
    code = "not_found"


class Conflict(UserError):
    """The state of things does not allow it (any more)."""

    status = 409
    code = "conflict"


class TooLarge(UserError):
    """More bytes than allowed."""

    status = 413
    code = "too_large"


class TooBusy(UserError):
    """The server has as much of this to do as it takes on. `retry_after`: seconds until another try may help."""

    status = 503
    code = "busy"
    retry_after = 5


class QuotaExceeded(UserError):
    """All submissions of the period are used. `reset_at` says when the next one is free; None means never."""

    status = 429
    code = "over_quota"

    def __init__(self, message: str, hint: str = "", *, reset_at: datetime | None = None) -> None:
        super().__init__(message, hint)
        self.reset_at = reset_at


class TooOften(QuotaExceeded):
    """Too many tries in a short time. `reset_at` says when the next one is free."""

    code = "throttled"
