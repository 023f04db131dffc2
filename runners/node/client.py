"""The node API, seen from the node. Every call has a timeout; lost connections are tried again."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable
from typing import IO, Any

import httpx
import structlog

from runners.contract import EventBatch, Lease, NodeHello, RunEvent, RunResult, RunSpec, dump
from runners.errors import RetryableError

log = structlog.get_logger(__name__)

_TIMEOUT = httpx.Timeout(30.0, connect=5.0)
#: A server that hangs must not keep a node from killing a run that was cancelled, or from reading its judge.
_RENEW_TIMEOUT = httpx.Timeout(5.0, connect=2.0)
_PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0)
#: A result is worth waiting for: a server that restarts or moves must not cost a run its score.
_RESULT_PATIENCE_S = 600.0


class Fenced(Exception):
    """The server gave this attempt up: it was superseded, cancelled or is final. Stop and say nothing more."""


class _Refused(RetryableError):
    """Asking again for this file will not help; a new attempt, with new URLs, may."""


class NodeClient:
    """Talks to `/node/v1` with the node's token."""

    def __init__(self, *, url: str, token: str) -> None:
        self._base = f"{url}/node/v1"
        self._http = httpx.Client(timeout=_TIMEOUT, headers={"Authorization": f"Bearer {token}"})

    def close(self) -> None:
        self._http.close()

    def register(self, hello: NodeHello) -> dict[str, Any]:
        """Tell the server what this node is. The answer holds the lease and heartbeat seconds."""
        answer: dict[str, Any] = self._post("/register", dump(hello)).json()
        return answer

    def claim(self, *, queue: str, kinds: Iterable[str]) -> RunSpec | None:
        """The next run of a queue, or None. Asked again, where an answer was lost, it is the same run."""
        response = self._post("/claim", {"queue": queue, "kinds": sorted(kinds), "key": uuid.uuid4().hex})
        return None if response.status_code == 204 else RunSpec.model_validate(response.json()["run"])

    def renew(self, spec: RunSpec) -> Lease:
        """Keep the attempt; tried once, for the next renewal comes soon. Raises `Fenced` when it is no longer ours."""
        answer = self._post(f"{_attempt(spec)}/lease", {}, patience=0.0, timeout=_RENEW_TIMEOUT)
        return Lease.model_validate(answer.json())

    def events(self, spec: RunSpec, events: list[RunEvent]) -> None:
        """Add events to the run's history, in order."""
        self._post(f"{_attempt(spec)}/events", dump(EventBatch(events=tuple(events))), patience=0.0)

    def result(self, spec: RunSpec, result: RunResult) -> None:
        """Report once; repeated until the server has answered, for ten minutes."""
        self._post(f"{_attempt(spec)}/result", dump(result), patience=_RESULT_PATIENCE_S)

    def release(self, run: str, attempt: int, *, lost: bool = False) -> None:
        """Give a run back to the queue. `lost`: its supervisor on this node died, which counts as a fault of ours."""
        self._post(f"/runs/{run}/attempts/{attempt}/release", {"lost": True} if lost else {}, patience=2.0)

    def download(self, url: str, target: IO[bytes], *, tick: Callable[[], None] = lambda: None) -> None:
        """Stream a signed file into `target`; `tick` is called for each part, for a large file takes its time."""
        for pause in (*_PAUSES, None):
            try:
                target.seek(0)
                target.truncate()
                with self._http.stream("GET", url if "://" in url else f"{self._base}{url}") as response:
                    _raise_for(response, signed=True)
                    for chunk in response.iter_bytes(1 << 20):
                        target.write(chunk)
                        tick()
                return
            except _Refused:
                raise
            except (httpx.TransportError, RetryableError) as error:
                if pause is None:
                    raise RetryableError(f"A file could not be fetched: {error}", code="download_failed") from error
                time.sleep(pause)

    def _post(
        self, path: str, body: dict[str, Any], *, patience: float = 10.0, timeout: httpx.Timeout = _TIMEOUT
    ) -> httpx.Response:
        """POST, tried again for `patience` seconds where the server is away or overloaded."""
        deadline = time.monotonic() + patience
        for attempt in range(10_000):
            try:
                response = self._http.post(self._base + path, json=body, timeout=timeout)
                _raise_for(response)
                return response
            except (httpx.TransportError, RetryableError) as error:
                if time.monotonic() >= deadline:
                    raise RetryableError(f"The server does not answer: {error}", code="server_away") from error
                log.warning("server away, trying again", path=path, error=str(error))
                time.sleep(min(_PAUSES[min(attempt, len(_PAUSES) - 1)], max(0.05, deadline - time.monotonic())))
        raise AssertionError("unreachable")  # pragma: no cover


def _attempt(spec: RunSpec) -> str:
    return f"/runs/{spec.run}/attempts/{spec.attempt}"


def _raise_for(response: httpx.Response, *, signed: bool = False) -> None:
    """409 and 410 fence; 429 and 5xx are passing; anything else wrong is a defect of this node.

    A `signed` URL is a key to its file: it is in no text, for texts go into logs.
    """
    if response.status_code in (409, 410):
        raise Fenced(response.read().decode(errors="replace")[:500])
    if response.status_code == 429 or response.status_code >= 500:
        raise RetryableError(f"HTTP {response.status_code}", code="server_away")
    if response.status_code >= 400 and signed:
        raise _Refused(f"A signed file was refused: HTTP {response.status_code}.", code="download_refused")
    if response.status_code >= 400:
        detail = response.read().decode(errors="replace")[:1000]
        raise RuntimeError(
            f"{response.request.method} {response.request.url.path}: HTTP {response.status_code}: {detail}"
        )
