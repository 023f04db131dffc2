"""How `core/s3.py` talks to the store: connections, objects as files, and errors in our words."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from functools import cached_property
from typing import Any, Protocol, cast

import structlog
from django.core.files.base import File
from django.utils.translation import gettext as _

from touchstone.core.errors import TooBusy

log = structlog.get_logger(__name__)

#: Bytes that one request reads ahead of who reads.
_WINDOW = 2**20
_GONE = {"404", "NoSuchKey", "NoSuchUpload", "NotFound"}


class Source(Protocol):
    """Where the bytes of an object come from."""

    def body(self, name: str, start: int) -> Any: ...


class ObjectReader(io.BufferedIOBase):
    """An object as a file: one request for all that is read in order, another after a jump."""

    def __init__(self, storage: Source, name: str, size: int) -> None:
        self.name, self.size = name, size
        self._storage = storage
        self._at = 0
        self._stream: Any = None
        self._stream_at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise ValueError("That is before the start of the file.")
        self._at = base + offset
        return self._at

    def read(self, size: int | None = -1, /) -> bytes:
        left = max(0, self.size - self._at)
        size = left if size is None or size < 0 else min(size, left)
        found = bytearray()
        while len(found) < size:
            with store_errors():
                chunk = self._follow().read(min(size - len(found), _WINDOW))
            if not chunk:
                raise OSError(f"The store ended {self.name} {left - len(found)} bytes early.")
            found += chunk
            self._at += len(chunk)
            self._stream_at = self._at
        return bytes(found)

    def read1(self, size: int = -1, /) -> bytes:
        return self.read(_WINDOW if size < 0 else size)

    def readinto(self, buffer: Any, /) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        super().close()

    def _follow(self) -> Any:
        if self._stream is None or self._stream_at != self._at:
            if self._stream is not None:
                self._stream.close()
            self._stream, self._stream_at = self._storage.body(self.name, self._at), self._at
        return self._stream


class Kept(io.RawIOBase):
    """A file that outlives its transfer."""

    def __init__(self, file: File[Any]) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        return cast(bytes, self._file.read(size))

    @cached_property
    def size(self) -> int:
        return int(self._file.size)


def connect(url: str, region: str, key: str, secret: str) -> Any:
    """A client of the store at `url`."""
    import boto3
    from botocore.config import Config

    config = Config(
        signature_version="s3v4",
        connect_timeout=5,
        read_timeout=60,
        retries={"max_attempts": 4, "mode": "standard"},
        max_pool_connections=32,
        # Names of hosts by bucket need a wildcard certificate, which only AWS is sure to have.
        s3={"addressing_style": "path" if url else "virtual"},
        # Stores other than AWS do not know the newer checksums; SHA-256 of the whole is ours to verify.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    session = boto3.session.Session(aws_access_key_id=key, aws_secret_access_key=secret, region_name=region)
    return session.client("s3", endpoint_url=url or None, config=config)


@contextlib.contextmanager
def store_errors() -> Iterator[None]:
    """What is not there as `FileNotFoundError`; a store that is away or refuses us as `TooBusy`, and in the log."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ClientError as error:
        found = error.response.get("Error", {})
        code, status = str(found.get("Code", "")), error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if code in _GONE or status == 404:
            raise FileNotFoundError(code) from None
        log.error("storage.refused", code=code, status=status, operation=error.operation_name)
        raise _away() from None
    except (BotoCoreError, Boto3Error, HTTPError) as error:
        log.error("storage.unreachable", error=type(error).__name__)
        raise _away() from None


def _away() -> TooBusy:
    return TooBusy(
        _("The file storage of this site does not answer."),
        _("Try again in a moment. If it goes on, tell who runs this site."),
        "storage_away",
    )
