"""HTTP with time limits, retries and readable errors. One `Transport` per server and token; not shared by threads."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from touchstone_client.errors import ClientError, ConnectionFailed, ExitCode, from_problem
from touchstone_client.types import Server

#: Headers of every answer: the oldest client that the server works with, and its own version.
MINIMUM_HEADER = "touchstone-minimum-client"
VERSION_HEADER = "touchstone-version"
_RETRY_STATUS = frozenset({502, 503, 504})
_CONNECT_SECONDS = 10.0
_READ_SECONDS = 60.0
_LONGEST_PAUSE = 8.0
#: How long the file storage is asked before parts go through the server instead.
_ELSEWHERE_SECONDS = 15.0


class StorageAway(Exception):
    """The file storage that the server named cannot be reached from here."""


class Transport:
    """Sends requests below `<url>/api/v1/`.

    `patience`: seconds to keep trying when the server is away (connection errors, 502, 503, 504, and 429 for too many
    requests). Only calls that are safe to repeat are repeated. `on_retry(reason, pause)` is told before each pause.
    """

    def __init__(
        self,
        *,
        url: str,
        token: str = "",
        patience: float = 60.0,
        on_retry: Callable[[str, float], None] | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        headers = {"Accept": "application/json, */*;q=0.5", "User-Agent": _user_agent()}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        self.url = url
        self.patience = patience
        self._on_retry = on_retry
        self._outside: httpx.Client | None = None
        self._http = httpx.Client(
            base_url=f"{url}/api/v1/",
            headers=headers,
            timeout=httpx.Timeout(_READ_SECONDS, connect=_CONNECT_SECONDS),
            follow_redirects=False,
            transport=transport,
        )

    def close(self) -> None:
        self._http.close()
        if self._outside is not None:
            self._outside.close()

    def json(self, method: str, path: str, *, repeat: bool | None = None, **options: Any) -> Any:
        """The parsed answer of one call. `repeat`: safe to send twice (default: by method)."""
        response = self.send(method, path, repeat=repeat, **options)
        if response.status_code == httpx.codes.NO_CONTENT:
            return None
        try:
            return response.json()
        except ValueError as error:
            raise ClientError(
                f"{self.url} did not answer with JSON",
                why=f"{method} {response.request.url} gave {response.headers.get('content-type', 'no content type')}",
                hint="Is this the address of a Touchstone server? Check --url.",
                code="not_json",
                status=response.status_code,
            ) from error

    def send(self, method: str, path: str, *, repeat: bool | None = None, **options: Any) -> httpx.Response:
        """The answer of one call, its body read. Raises `ClientError` for every status from 300 on."""
        safe = method in ("GET", "HEAD", "PUT", "DELETE") if repeat is None else repeat
        for pause in self._pauses():
            try:
                response = self._http.request(method, path, **options)
            except httpx.TransportError as error:
                self._again_or_raise(error, safe=safe, pause=pause)
                continue
            wait = _retry_after(response, safe=safe)
            if wait is not None and pause is not None and max(wait, pause) <= self.patience:
                self._sleep(f"the server answered {response.status_code}", max(wait, pause))
                continue
            return _checked(response, url=self.url)
        raise AssertionError("unreachable: the last pause is None, which ends the loop")  # pragma: no cover

    def put_elsewhere(self, url: str, data: bytes, *, headers: Mapping[str, str]) -> ClientError | None:
        """PUT bytes to a URL that the server gave out, which needs no token and gets none.

        Returns what was wrong where the other side refused; a fresh URL may help then. Raises `StorageAway`.
        """
        where = httpx.URL(url)
        for pause in self._pauses(min(self.patience, _ELSEWHERE_SECONDS)):
            try:
                response = self._plain().put(where, content=data, headers=dict(headers))
            except httpx.TransportError as error:
                if pause is None:
                    raise StorageAway(where.host) from None
                self._sleep(f"no answer from {where.host} ({type(error).__name__})", pause)
                continue
            wait = _retry_after(response, safe=True)
            if wait is not None and pause is not None and max(wait, pause) <= self.patience:
                self._sleep(f"{where.host} answered {response.status_code}", max(wait, pause))
                continue
            return None if response.is_success else _refused(response)
        raise AssertionError("unreachable: the last pause is None, which ends the loop")  # pragma: no cover

    def _plain(self) -> httpx.Client:
        if self._outside is None:
            timeout = httpx.Timeout(_READ_SECONDS, connect=_CONNECT_SECONDS)
            self._outside = httpx.Client(headers={"User-Agent": _user_agent()}, timeout=timeout, follow_redirects=False)
        return self._outside

    @contextmanager
    def stream(self, path: str, *, params: Mapping[str, Any] | None = None) -> Iterator[httpx.Response]:
        """A GET whose body is read piece by piece by the caller. Tried again until the first byte."""
        for pause in self._pauses():
            request = self._http.build_request("GET", path, params=params, headers={"Accept": "*/*"})
            try:
                response = self._http.send(request, stream=True)
            except httpx.TransportError as error:
                self._again_or_raise(error, safe=True, pause=pause)
                continue
            try:
                if not response.is_success:
                    response.read()
                yield _checked(response, url=self.url)
            except httpx.TransportError as error:
                raise _unreachable(self.url, error) from error
            finally:
                response.close()
            return

    def _pauses(self, patience: float | None = None) -> Iterator[float | None]:
        """Pauses between tries, doubling with jitter, until patience is spent; then None for the last try."""
        until = time.monotonic() + (self.patience if patience is None else patience)
        pause = 0.25
        while time.monotonic() < until:
            yield pause * random.uniform(0.7, 1.3)  # noqa: S311 - spreads load, hides nothing
            pause = min(pause * 2, _LONGEST_PAUSE)
        yield None

    def _again_or_raise(self, error: httpx.TransportError, *, safe: bool, pause: float | None) -> None:
        # A connection that was never made carried nothing, so even an unsafe call may be tried again.
        unsent = isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout))
        if pause is None or not (safe or unsent):
            raise _unreachable(self.url, error) from error
        self._sleep(f"no answer from {self.url} ({type(error).__name__})", pause)

    def _sleep(self, reason: str, pause: float) -> None:
        if self._on_retry is not None:
            self._on_retry(reason, pause)
        time.sleep(pause)


def server_of(headers: Mapping[str, str]) -> Server:
    """What the headers of an answer tell about the server."""
    date = headers.get("date", "")
    try:
        at = parsedate_to_datetime(date) if date else None
    except ValueError:
        at = None
    return Server(version=headers.get(VERSION_HEADER, ""), minimum_client=headers.get(MINIMUM_HEADER, ""), at=at)


def _user_agent() -> str:
    from touchstone_client.version import __version__

    return f"touchstone-client/{__version__}"


def _retry_after(response: httpx.Response, *, safe: bool) -> float | None:
    """Seconds to wait before the same call is worth another try; None where it is not."""
    if response.status_code in _RETRY_STATUS and safe:
        return _seconds(response.headers.get("retry-after"))
    if response.status_code == httpx.codes.TOO_MANY_REQUESTS and _code(response) == "throttled":
        return _seconds(response.headers.get("retry-after"))
    return None


def _seconds(text: str | None) -> float:
    try:
        return max(0.0, float(text or 0))
    except ValueError:
        return 0.0


def _code(response: httpx.Response) -> str:
    body = _body(response)
    return str(body.get("code") or "")


def _body(response: httpx.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _too_old(minimum: str) -> bool:
    """Whether the server asks for a newer client than this one. What is no version says nothing."""
    from touchstone_client.version import __version__

    def numbers(text: str) -> tuple[int, ...]:
        return tuple(int(part) for part in text.split("."))

    try:
        return numbers(__version__) < numbers(minimum)
    except ValueError:
        return False


def _checked(response: httpx.Response, *, url: str) -> httpx.Response:
    if _too_old(response.headers.get(MINIMUM_HEADER, "")):
        raise ClientError(
            "This client is too old for the server",
            why=f"{url} works with touchstone-client {response.headers[MINIMUM_HEADER]} and newer",
            hint="pip install -U touchstone-client",
            code="client_too_old",
            request_id=response.headers.get("x-request-id", ""),
        )
    if response.is_success:
        return response
    request_id = response.headers.get("x-request-id", "")
    body = _body(response)
    if body:
        raise from_problem(status=response.status_code, body=body, request_id=request_id)
    if response.is_redirect:
        raise ClientError(
            f"{url} sends to another address: {response.headers.get('location', '?')}",
            hint="Use the final address of the server, with https where it has it.",
            code="redirected",
            status=response.status_code,
        )
    raise ClientError(
        f"{url} answered {response.status_code} {response.reason_phrase}",
        why=f"{response.request.method} {response.request.url}",
        hint="Check the address of the server. If it is right, tell its operator the request id and the time.",
        code=f"http_{response.status_code}",
        status=response.status_code,
        request_id=request_id,
        exit_code=ExitCode.AUTH if response.status_code in (401, 403) else ExitCode.UNEXPECTED,
    )


def _refused(response: httpx.Response) -> ClientError:
    """What the file storage said; never the URL, which is a key as long as it is good."""
    return ClientError(
        f"The server's file storage refused a part with {response.status_code} {response.reason_phrase}",
        why=f"at {response.request.url.host}",
        hint="Run the same command again; what has arrived is kept. If it goes on, tell the server's operator.",
        code="storage_refused",
        status=response.status_code,
    )


def _unreachable(url: str, error: httpx.TransportError) -> ConnectionFailed:
    return ConnectionFailed(
        f"The server {url} cannot be reached",
        why=str(error) or type(error).__name__,
        hint="Check the address and your network, then run the same command again; uploads go on where they stopped.",
        code="unreachable",
    )
