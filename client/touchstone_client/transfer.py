"""Uploads by parts and checked downloads. The server keeps what was sent, so a broken upload goes on where it was."""

from __future__ import annotations

import base64
import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from touchstone_client.decode import decode
from touchstone_client.errors import ClientError
from touchstone_client.packing import sha256_file
from touchstone_client.transport import StorageAway, Transport
from touchstone_client.types import Upload

Stage = Literal["hashing", "sending", "verifying", "receiving"]
#: Bytes that a slow server verifies in a second.
_VERIFIED_PER_SECOND = 20 * 2**20
#: Called with the stage, the bytes done and the bytes in all.
Progress = Callable[[Stage, int, int], None]


def upload_file(http: Transport, path: Path, *, name: str, progress: Progress | None = None) -> Upload:
    """Sends `path` and returns the finished upload. Parts that the server holds already are not sent again."""
    tell = progress or _silent
    size = path.stat().st_size
    if size == 0:
        raise ClientError(f"{path} is empty", hint="Give the file that you meant to send.", code="empty_file")
    tell("hashing", 0, size)
    request = {"name": name, "size": size, "sha256": sha256_file(path)}
    upload = decode(Upload, http.json("POST", "uploads", json=request, repeat=True))
    if upload.completed_at is None:
        _send_parts(http, path, upload, tell)
        tell("verifying", size, size)
        # The server reads the whole file once more before it answers.
        patient = 60.0 + size / _VERIFIED_PER_SECOND
        upload = decode(Upload, http.json("POST", f"uploads/{upload.id}/complete", repeat=True, timeout=patient))
    tell("verifying", size, size)
    return upload


def _send_parts(http: Transport, path: Path, upload: Upload, tell: Progress) -> None:
    held = {part.number: part for part in upload.parts}
    urls = _Urls(http, upload)
    done = 0
    tell("sending", done, upload.size)
    with path.open("rb") as file:
        number = 0
        while data := file.read(upload.part_size):
            number += 1
            part = held.get(number)
            digest = hashlib.sha256(data)
            # The store's parts have no SHA-256; that of the whole is verified at the end.
            here = part is not None and (upload.direct or part.sha256 == digest.hexdigest())
            if not here and not (upload.direct and urls.put(number, data)):
                _put(http, f"uploads/{upload.id}/parts/{number}", data, digest.digest())
            done += len(data)
            tell("sending", done, upload.size)


class _Urls:
    """Where parts go that the server's file storage takes itself. A URL is good for one part, and for a while."""

    def __init__(self, http: Transport, upload: Upload) -> None:
        self._http = http
        self._id = upload.id
        self._reached = True
        self._known = {url.number: url.url for url in upload.urls}

    def put(self, number: int, data: bytes) -> bool:
        """Send one part; once more by a fresh URL where the first has expired. False: this is not the way to send it.

        A network may let us reach the server and not its storage. Then parts go through the server, from here on.
        """
        md5 = hashlib.md5(data, usedforsecurity=False).digest()  # the one that every store verifies
        headers = {"Content-MD5": base64.b64encode(md5).decode()}
        try:
            if not self._reached:
                return False
            known = self._known.get(number)
            if known and self._http.put_elsewhere(known, data, headers=headers) is None:
                return True
            problem = self._http.put_elsewhere(self._fresh(number), data, headers=headers)
        except StorageAway:
            self._reached = False
            return False
        if problem is not None:
            raise problem
        return True

    def _fresh(self, number: int) -> str:
        upload = decode(Upload, self._http.json("GET", f"uploads/{self._id}"))
        self._known = {url.number: url.url for url in upload.urls}
        if number not in self._known:
            raise ClientError(
                f"The server has no address for part {number}",
                why="another command is sending the same file, or the server was set up anew",
                hint="Run the same command again.",
                code="upload_changed",
            )
        return self._known[number]


def _put(http: Transport, path: str, data: bytes, digest: bytes) -> None:
    headers = {
        "Content-Type": "application/octet-stream",
        "Content-Digest": f"sha-256=:{base64.b64encode(digest).decode()}:",
    }
    http.json("PUT", path, content=data, headers=headers)


def download_to(
    http: Transport,
    path: str,
    target: Path,
    *,
    sha256: str = "",
    private: bool = False,
    progress: Progress | None = None,
) -> None:
    """GETs `path` into `target`, which appears only when it is whole. Raises `ClientError` where the digest differs.

    `private`: others on this machine may not read it.
    """
    if sha256 and target.is_file() and sha256_file(target) == sha256:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".part-")
    try:
        with os.fdopen(handle, "wb") as file:
            found = _receive(http, path, file.write, progress or _silent)
        if sha256 and found != sha256:
            raise ClientError(
                f"{target.name} arrived damaged",
                why=f"its SHA-256 is {found}, the server promised {sha256}",
                hint="Run the same command again.",
                code="digest_mismatch",
            )
        os.chmod(name, 0o600 if private else 0o644)
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _receive(http: Transport, path: str, write: Callable[[bytes], int], tell: Progress) -> str:
    digest = hashlib.sha256()
    done = 0
    with http.stream(path) as response:
        size = int(response.headers.get("content-length") or 0)
        for chunk in response.iter_bytes(1 << 18):
            digest.update(chunk)
            write(chunk)
            done += len(chunk)
            tell("receiving", done, size)
    return digest.hexdigest()


def _silent(stage: Stage, done: int, size: int) -> None:
    """Nobody is watching."""
