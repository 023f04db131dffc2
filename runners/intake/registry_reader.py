"""Reads manifests and blobs of one repository, by digest. The network's failures are `OSError`, never the image's."""

from __future__ import annotations

import urllib.error
import urllib.request
from http.client import HTTPException
from types import TracebackType
from typing import Any

from runners.spec.bundle import ArchiveError
from runners.spec.defects import Defect
from runners.spec.images import ACCEPT

_SECONDS = 30


class RegistryReader:
    """`token`: a JWT that may pull from `repository`. Storage that the registry sends us on to does not get it."""

    def __init__(self, url: str, repository: str, token: str) -> None:
        self._base = f"{url.rstrip('/')}/v2/{repository}"
        self._token = token
        # The operator's own registry, not whatever a proxy of the environment makes of its address.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def manifest(self, digest: str) -> Blob:
        """Raises `ArchiveError` where there is none, `OSError` where the registry fails."""
        return self._open(f"manifests/{digest}", digest, ACCEPT)

    def blob(self, digest: str) -> Blob:
        """Raises as `manifest`."""
        return self._open(f"blobs/{digest}", digest, "*/*")

    def _open(self, path: str, digest: str, accept: str) -> Blob:
        request = urllib.request.Request(f"{self._base}/{path}")  # noqa: S310 - the operator's own address
        request.add_unredirected_header("Authorization", f"Bearer {self._token}")
        request.add_header("Accept", accept)
        try:
            return Blob(self._opener.open(request, timeout=_SECONDS))
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 404:
                    hint = "Push it again; `docker push` prints the digest when it is done."
                    raise ArchiveError([Defect("missing_part", "is not in the registry", digest, hint=hint)]) from error
                raise OSError(f"the registry answered {error.code} for {digest}") from error
        except HTTPException as error:
            raise OSError(f"the registry's answer is no HTTP: {error!r}") from error


class Blob:
    """A body as it comes in."""

    def __init__(self, response: Any) -> None:
        self._response = response

    @property
    def media_type(self) -> str:
        """What the registry says that it is; empty where it says nothing."""
        return str(self._response.headers.get("Content-Type") or "").partition(";")[0].strip().lower()

    def read(self, size: int) -> bytes:
        """At most `size` bytes. Raises `OSError` where the connection breaks."""
        try:
            raw: bytes = self._response.read(size)
        except HTTPException as error:
            raise OSError(f"the registry hung up: {error!r}") from error
        return raw

    def __enter__(self) -> Blob:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._response.close()
