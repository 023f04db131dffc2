"""Files on S3-compatible storage: Django's storage API, and multipart uploads whose parts never pass through here.

Asks the store only for SigV4, HEAD, ranged GET, PUT, copy, multipart and presigned URLs, which all of them have. boto3
is slow to import, so it is imported where the first request to the store is made.
"""

from __future__ import annotations

import contextlib
import os
import threading
from dataclasses import dataclass
from typing import Any

from django.core.files.base import File
from django.core.files.storage import Storage

from touchstone.core.s3_io import Kept, ObjectReader, connect, store_errors


class NoSuchUpload(Exception):
    """The store does not know this multipart upload: it was completed, aborted, or expired there."""


@dataclass(frozen=True)
class HeldPart:
    """A part that the store holds."""

    number: int
    size: int
    etag: str


class S3Storage(Storage):
    """Objects of one bucket below `prefix`.

    Args:
        bucket: exists already, and is private.
        url: where the server reaches the store; empty for the region's own of AWS.
        public_url: where browsers and terminals reach it; presigned URLs name it. Empty: the same.
        direct: whether they may be sent there at all.
    """

    def __init__(
        self,
        *,
        bucket: str,
        key: str,
        secret: str,
        url: str = "",
        public_url: str = "",
        region: str = "us-east-1",
        prefix: str = "",
        direct: bool = True,
    ) -> None:
        self.bucket, self.direct = bucket, direct
        self._key, self._secret, self._region = key, secret, region
        self._url, self._public_url = url, public_url or url
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._lock = threading.Lock()
        self._clients: dict[tuple[int, str], Any] = {}

    def _client(self, url: str) -> Any:
        """One client for each process: connections do not survive a fork."""
        with self._lock:
            known = (os.getpid(), url)
            if known not in self._clients:
                self._clients[known] = connect(url, self._region, self._key, self._secret)
            return self._clients[known]

    def _ask(self, what: str, **options: Any) -> Any:
        with store_errors():
            return getattr(self._client(self._url), what)(Bucket=self.bucket, **options)

    def _object(self, name: str) -> str:
        return self._prefix + name

    # Django's storage API

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        """The same: what is saved under a name replaces what was there."""
        return name

    def exists(self, name: str) -> bool:
        try:
            self.size(name)
        except FileNotFoundError:
            return False
        return True

    def size(self, name: str) -> int:
        return int(self._ask("head_object", Key=self._object(name))["ContentLength"])

    def delete(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._ask("delete_object", Key=self._object(name))

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        """Folders and files below `path`, as Django's local storage tells them."""
        below = self._object(f"{path.strip('/')}/") if path.strip("/") else self._prefix
        folders: list[str] = []
        files: list[str] = []
        more: dict[str, Any] = {}
        while True:
            page = self._ask("list_objects_v2", Prefix=below, Delimiter="/", **more)
            folders += [row["Prefix"][len(below) :].rstrip("/") for row in page.get("CommonPrefixes", [])]
            files += [row["Key"][len(below) :] for row in page.get("Contents", []) if row["Key"] != below]
            if not page.get("IsTruncated"):
                return folders, files
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def _open(self, name: str, mode: str = "rb") -> File[bytes]:
        if mode != "rb":
            raise ValueError("Objects are read as bytes, and replaced whole.")
        return File(ObjectReader(self, name, self.size(name)), name=name)  # type: ignore[arg-type]

    def _save(self, name: str, content: File[Any]) -> str:
        from boto3.s3.transfer import TransferConfig

        # In this thread: what is open at once is bounded by the number of requests, and no part is held twice.
        config = TransferConfig(use_threads=False)
        content.seek(0)
        with store_errors():
            # The transfer closes what it is given.
            self._client(self._url).upload_fileobj(Kept(content), self.bucket, self._object(name), Config=config)
        return name

    # Multipart uploads

    def copy(self, source: str, target: str) -> None:
        """Copy inside the store; no byte passes through here."""
        with store_errors():
            self._client(self._url).copy(
                {"Bucket": self.bucket, "Key": self._object(source)}, self.bucket, self._object(target)
            )

    def multipart_begin(self, name: str) -> str:
        """Begin a multipart upload; its id."""
        begun = self._ask("create_multipart_upload", Key=self._object(name), ContentType="application/octet-stream")
        return str(begun["UploadId"])

    def multipart_put(self, name: str, upload: str, number: int, data: bytes) -> None:
        """Store one part through the server."""
        options = {"Key": self._object(name), "UploadId": upload, "PartNumber": number, "Body": data}
        self._part_ask("upload_part", **options)

    def multipart_url(self, name: str, upload: str, number: int, *, size: int, seconds: int) -> str:
        """A URL to which this one part, of `size` bytes and no others, may be PUT until it expires."""
        what = {
            "Bucket": self.bucket, "Key": self._object(name), "UploadId": upload, "PartNumber": number,
            "ContentLength": size,
        }  # fmt: skip
        return str(self._client(self._public_url).generate_presigned_url("upload_part", what, ExpiresIn=seconds))

    def multipart_parts(self, name: str, upload: str) -> list[HeldPart]:
        """The parts that are held. Raises `NoSuchUpload`."""
        found: list[HeldPart] = []
        more: dict[str, Any] = {}
        while True:
            page = self._part_ask("list_parts", Key=self._object(name), UploadId=upload, **more)
            rows = page.get("Parts", [])
            found += [HeldPart(row["PartNumber"], row["Size"], row["ETag"].strip('"')) for row in rows]
            if not page.get("IsTruncated") or not rows:
                return found
            more = {"PartNumberMarker": page["NextPartNumberMarker"]}

    def multipart_complete(self, name: str, upload: str, parts: list[HeldPart]) -> None:
        """Make the parts one object. Raises `NoSuchUpload`."""
        rows = [{"PartNumber": part.number, "ETag": f'"{part.etag}"'} for part in parts]
        self._part_ask(
            "complete_multipart_upload", Key=self._object(name), UploadId=upload, MultipartUpload={"Parts": rows}
        )

    def multipart_abort(self, name: str, upload: str) -> None:
        """Drop the parts. Nothing happens where the upload is over."""
        with contextlib.suppress(NoSuchUpload):
            self._part_ask("abort_multipart_upload", Key=self._object(name), UploadId=upload)

    def _part_ask(self, what: str, **options: Any) -> Any:
        try:
            return self._ask(what, **options)
        except FileNotFoundError:
            raise NoSuchUpload(what) from None

    # What `ObjectReader` reads

    def body(self, name: str, start: int) -> Any:
        """The object's bytes from `start` on, as a stream of a connection; the caller closes it."""
        return self._ask("get_object", Key=self._object(name), Range=f"bytes={start}-")["Body"]
