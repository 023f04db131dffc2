"""Kubernetes' REST API, as far as it is needed: jobs, pods, logs, secrets, one network policy."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from runners.engines._kubernetes_settings import Settings
from runners.errors import RetryableError

_TIMEOUT = httpx.Timeout(30.0, connect=5.0)
_PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
#: Busy, or being replaced: worth asking again.
_BUSY = (429, 500, 502, 503, 504)
_MOST_PAUSE = 30.0
_MOST_LOG = 64 * 2**20

Object = dict[str, Any]


class Refused(RetryableError):
    """The API server answered, and said no. `status`: the HTTP status."""

    def __init__(self, status: int, message: str, *, code: str = "engine_refused") -> None:
        super().__init__(message, code=code)
        self.status = status


class Api:
    """One namespace of one cluster. Paths are relative to the namespace, except `version`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        verify: Any = True
        if settings.ca_file is not None and settings.url.startswith("https:"):
            import ssl

            verify = ssl.create_default_context(cafile=str(settings.ca_file))
        self.tls = verify
        self._http = httpx.Client(base_url=settings.url, timeout=_TIMEOUT, verify=verify)

    def close(self) -> None:
        self._http.close()

    def headers(self) -> dict[str, str]:
        """A service account's token is replaced now and then, so it is read anew each time."""
        file = self._settings.token_file
        return {"Authorization": f"Bearer {file.read_text().strip()}"} if file is not None else {}

    def version(self) -> str:
        return str(self.call("GET", "/version").get("gitVersion", ""))

    def path(self, kind: str, name: str = "") -> str:
        """`kind`: jobs, pods, secrets or networkpolicies."""
        group = {"jobs": "apis/batch/v1", "networkpolicies": "apis/networking.k8s.io/v1"}.get(kind, "api/v1")
        return f"/{group}/namespaces/{self._settings.namespace}/{kind}{f'/{name}' if name else ''}"

    def create(self, kind: str, body: Object) -> Object:
        """Raises `Refused` with status 409 where the name is taken."""
        return self.call("POST", self.path(kind), body=body)

    def get(self, kind: str, name: str) -> Object | None:
        """None where there is none."""
        try:
            return self.call("GET", self.path(kind, name))
        except Refused as error:
            if error.status == 404:
                return None
            raise

    def list(self, kind: str, labels: dict[str, str]) -> list[Object]:
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        found: list[Object] = self.call("GET", self.path(kind), params={"labelSelector": selector}).get("items") or []
        return found

    def resume(self, job: str) -> None:
        """Let a job that was made suspended make its pod."""
        kind = "application/merge-patch+json"
        self.call("PATCH", self.path("jobs", job), body={"spec": {"suspend": False}}, content_type=kind)

    def delete(self, kind: str, name: str) -> None:
        """At once and with all it owns; done where it is gone."""
        options = {
            "apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0, "propagationPolicy": "Background",
        }  # fmt: skip
        try:
            self.call("DELETE", self.path(kind, name), body=options)
        except Refused as error:
            if error.status != 404:
                raise

    def log(self, pod: str, container: str, *, limit: int) -> bytes:
        """The last `limit` bytes of what the kubelet kept; empty where there is nothing any more."""
        kept = bytearray()
        try:
            with self._stream(f"{self.path('pods', pod)}/log", {"container": container}) as answer:
                seen = 0
                for part in answer.iter_bytes():
                    kept += part
                    del kept[: max(0, len(kept) - limit)]
                    seen += len(part)
                    if seen > _MOST_LOG:
                        break
        except (httpx.HTTPError, Refused):  # the container has not started, or its node is away
            return bytes(kept)
        return bytes(kept)

    @contextmanager
    def _stream(self, path: str, params: dict[str, str]) -> Iterator[httpx.Response]:
        with self._http.stream("GET", path, params=params, headers=self.headers()) as answer:
            if answer.status_code != 200:
                raise Refused(answer.status_code, f"the log is not there: status {answer.status_code}")
            yield answer

    def call(
        self, method: str, path: str, *, body: Object | None = None, params: dict[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Object:  # fmt: skip
        """One request, again while the server is away or busy. Raises `RetryableError`, `Refused` for an answer."""
        said = ""
        for pause in (*_PAUSES, None):
            try:
                answer = self._http.request(
                    method, path, json=body, params=params, headers={**self.headers(), "Content-Type": content_type}
                )
            except httpx.HTTPError as error:
                said, wait = str(error) or type(error).__name__, pause
            else:
                if answer.status_code < 400:
                    found: Object = answer.json()
                    return found
                if answer.status_code not in _BUSY:
                    raise _refused(answer)
                said, wait = f"status {answer.status_code}: {_message(answer)}", _retry_after(answer, pause)
            if pause is None or wait is None:
                break
            time.sleep(wait)
        raise RetryableError(f"Kubernetes' API server does not answer: {said}", code="engine_gone")


def _retry_after(answer: httpx.Response, pause: float | None) -> float | None:
    given = answer.headers.get("Retry-After", "")
    return min(float(given), _MOST_PAUSE) if pause is not None and given.isdigit() else pause


def _message(answer: httpx.Response) -> str:
    try:
        found = answer.json()
    except ValueError:
        return answer.text[:300]
    return str(found.get("message", ""))[:600] if isinstance(found, dict) else ""


def _refused(answer: httpx.Response) -> Refused:
    status, message = answer.status_code, _message(answer)
    if status in (401, 403):
        text = (
            f"Kubernetes does not let this node do it (status {status}): {message}; see the role in docs/kubernetes.md"
        )
        return Refused(status, text, code="node_misconfigured")
    return Refused(status, f"Kubernetes refused (status {status}): {message}")
