"""Asks a server on the Internet: paced, within a budget, again where it may, and no longer than agreed."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import numpy.typing as npt

from runners.channel.asking import Asking
from runners.channel.errors import AnswerTooLarge, ChannelError, ChannelTimeout, ProtocolError
from runners.channel.http import Answer
from runners.channel.oip import Expected
from runners.contract import EndpointRef
from runners.errors import RetryableError
from runners.models._usage import Usage
from runners.outbound import LookupLate, OutboundRefused, Reach, ReplyTooLarge, TlsRefused, outbound_client

#: Answers that another try may better; what the server says of when is kept to.
_LATER = frozenset({408, 425, 429, 500, 502, 503, 504})
_DENIED = frozenset({401, 403, 407})
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 30.0
#: A server may ask to be left alone for so long; a longer wait is more than a run has patience for.
_LONGEST_ASKED_S = 120.0
_READY_PAUSE_S = 1.0
_MOST_BYTES = 64 * 2**20


class Trouble(ChannelError):
    """An endpoint could not be asked, or refused; `code` says how, and becomes that of the verdict."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class RemoteClient(Asking):
    """Open Inference Protocol v2 at an URL of the participant's. Nothing of the secret is in any text."""

    def __init__(self, at: EndpointRef, usage: Usage, reach: Reach) -> None:
        super().__init__(at.model)
        self._at = at
        self._usage = usage
        self._next = 0.0
        self._items = 0
        # Jitter keeps many runs from asking in step; what is drawn has no part in any result.
        self._draw = random.Random()  # noqa: S311 - no secret
        self._http = outbound_client(allow=reach.allow, ca=reach.ca, timeout=at.budget.timeout, max_bytes=_MOST_BYTES)
        if at.header:
            self._http.headers[at.header] = at.secret

    def close(self) -> None:
        """Hang up. Safe to repeat."""
        self._http.close()

    def wait_ready(self, deadline: float) -> None:
        """Wait until `GET /v2/health/ready` answers 200: many services have to wake up first."""
        while True:
            try:
                status = self._get("/v2/health/ready", deadline).status
            except Trouble as trouble:
                if trouble.code != "endpoint_error":
                    raise
                status = 503  # what else it answered while it wakes up says the same
            if status == 200:
                return
            if 400 <= status < 500:  # no service says "not yet" like this
                raise ProtocolError(f"GET /v2/health/ready answered status {status}, expected 200")
            if time.monotonic() + _READY_PAUSE_S >= deadline:
                raise ChannelTimeout("GET /v2/health/ready never answered 200")
            time.sleep(_READY_PAUSE_S)

    def describe(self, deadline: float) -> dict[str, Any]:
        """The model's metadata. Frames are for connections that the submission makes."""
        found = super().describe(deadline)
        self.framed = False
        return found

    def ping(self, deadline: float) -> None:
        """Time an exchange in which the model has no part; one that fails tells nothing."""
        try:
            self._pace(deadline)
            answer = self._http.get(f"{self._at.url}/v2/health/live", timeout=self._seconds(deadline))
        except (httpx.HTTPError, ChannelTimeout):
            return
        timing = answer.extensions["outbound"]
        if answer.status_code == 200 and timing["reused"]:
            self._usage.pings.append(timing["total"])

    def infer(
        self,
        inputs: Mapping[str, npt.NDArray[Any]],
        outputs: Sequence[Expected],
        *,
        deadline: float,
        action: str = "infer",
        parameters: Mapping[str, Any] | None = None,
    ) -> dict[str, npt.NDArray[Any]]:
        """As `Asking.infer`. Raises `BudgetSpent` before more is asked than may be."""
        self._items = len(next(iter(inputs.values())))
        self._usage.questions += 1
        return super().infer(inputs, outputs, deadline=deadline, action=action, parameters=parameters)

    def _request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, limit: int, deadline: float
    ) -> Answer:
        for tried in range(self._at.budget.retries + 1):
            self._pace(deadline)
            if method == "POST":
                self._usage.charge(self._items)
            found = self._once(method, path, headers, body, limit, deadline, first=tried == 0)
            if isinstance(found, Answer):
                return found
            trouble, asked = found
            pause = asked if asked is not None else self._pause(tried)
            if tried == self._at.budget.retries or time.monotonic() + pause >= deadline:
                raise trouble
            self._usage.repeat(str(trouble), pause)
            time.sleep(pause)
        raise RuntimeError("the last try returns or raises")

    def _once(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        limit: int,
        deadline: float,
        *,
        first: bool,
    ) -> Answer | tuple[ChannelError, float | None]:
        """The answer, or what was wrong where another try may better it, and after how long the server wants that."""
        inferring = method == "POST"
        self._usage.requests += inferring
        try:
            reply = self._http.request(
                method, f"{self._at.url}{path}", headers=dict(headers), content=body or None,
                timeout=self._seconds(deadline), extensions={"max_bytes": limit},
            )  # fmt: skip
        except (OutboundRefused, httpx.HTTPError) as error:
            return self._failed(error), None
        status = reply.status_code
        if status in _LATER:
            code = "endpoint_rate_limited" if status == 429 else "endpoint_error"
            return Trouble(code, f"it answered with status {status}"), _asked_pause(reply.headers.get("retry-after"))
        _refuse_status(status)
        timing = reply.extensions["outbound"]
        if not timing["reused"]:
            self._usage.connects.append(timing["lookup"] + timing["connect"] + timing["tls"])
        if inferring and status == 200 and first:
            self._usage.at_once += 1
            if timing["reused"]:
                self._usage.answers.append(timing["total"])
        names = {name.lower(): value for name, value in reply.headers.items()}
        return Answer(status, names, memoryview(reply.content))

    def _failed(self, error: Exception) -> ChannelError:
        """What another try may better; the rest is raised."""
        if isinstance(error, LookupLate):
            raise RetryableError("The node could not look the endpoint's name up in time.", code="lookup_failed")
        if isinstance(error, ReplyTooLarge):
            raise AnswerTooLarge(f"{error}; a correct answer is smaller") from error
        if isinstance(error, TlsRefused):
            raise Trouble("endpoint_tls", f"{error}") from error
        if isinstance(error, OutboundRefused):
            raise Trouble("endpoint_address", f"{error}") from error
        ended = "disconnected" in str(error) or "peer closed connection" in str(error)
        if isinstance(error, httpx.RemoteProtocolError) and not ended:
            raise ProtocolError("the answer is no correct HTTP") from error
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            return Trouble("endpoint_unreachable", str(error))
        if isinstance(error, httpx.TimeoutException):
            return Trouble("endpoint_timeout", f"no whole answer came within {self._at.budget.timeout:g} s")
        return Trouble("endpoint_unreachable", "it closed the connection without a whole answer")

    def _pace(self, deadline: float) -> None:
        """Wait for the turn of the next request."""
        now = time.monotonic()
        if now >= deadline:
            raise ChannelTimeout("the time is over")
        if self._next > now:
            if self._next >= deadline:
                raise ChannelTimeout("the time is over")
            time.sleep(self._next - now)
        self._next = max(now, self._next) + 1 / self._at.budget.rate

    def _pause(self, tried: int) -> float:
        """Twice as long each time, and never quite the same."""
        longest = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**tried)
        return self._draw.uniform(longest / 2, longest)

    def _seconds(self, deadline: float) -> float:
        return max(0.01, min(self._at.budget.timeout, deadline - time.monotonic()))


def _refuse_status(status: int) -> None:
    if 300 <= status < 400:
        raise Trouble("endpoint_redirect", f"it answered with status {status}, which sends elsewhere")
    if status in _DENIED:
        raise Trouble("endpoint_denied", f"it answered with status {status}")


def _asked_pause(text: str | None) -> float | None:
    """Seconds that a Retry-After asks for, given as a number or a date; None where it asks for nothing sensible."""
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError, OverflowError):
            return None
    if not math.isfinite(seconds):
        return None
    return min(_LONGEST_ASKED_S, max(0.0, seconds))
