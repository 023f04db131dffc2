"""Byte streams that count, hash and stop: nothing a stranger packed can fill memory or disk."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from pathlib import Path
from typing import IO, Protocol, cast

from runners.data.sniff import sniff
from runners.intake.layer_entries import LayerEntries
from runners.spec.bundle import ArchiveError
from runners.spec.defects import Defect

CHUNK = 2**20
COMPRESSION_ERRORS = (gzip.BadGzipFile, zlib.error, EOFError)
#: What unpacks to more than so many times its size, and to more than `RATIO_FROM` bytes, is a bomb and no program.
RATIO = 200
RATIO_FROM = 64 * 2**20


class Readable(Protocol):
    """Anything with `read(n)`."""

    def read(self, size: int = -1, /) -> bytes: ...


class CappedReader:
    """Passes bytes on and counts them. Raises `ArchiveError` beyond `limit` bytes.

    `packed`: bytes of the file that `source` unpacks, where it unpacks one; then their ratio is bounded too.
    """

    def __init__(self, source: Readable, *, limit: int, what: str, packed: int = 0) -> None:
        self.source = source
        self.limit = limit
        self.what = what
        self.packed = packed
        self.count = 0

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes."""
        chunk = self.source.read(size)
        self.count += len(chunk)
        if self.count > self.limit:
            text = f"{self.what} unpacks to more than {self.limit:,} bytes"
            raise ArchiveError([Defect("too_large", text, hint="Make it smaller; the limit is resources.image.")])
        if self.packed:
            check_ratio(self.packed, self.count, self.what)
        return chunk


def check_ratio(packed: int, unpacked: int, what: str) -> None:
    """Raises `ArchiveError` for a decompression bomb."""
    if unpacked > RATIO_FROM and unpacked > RATIO * packed:
        text = f"{what} unpacks to more than {RATIO} times its own size: {packed:,} bytes become {unpacked:,} and more"
        raise ArchiveError(
            [Defect("bomb", text, hint="Leave large empty files out; programs make them when they run.")]
        )


def open_archive(path: Path) -> IO[bytes]:
    """A file's bytes, unpacked where it is gzip. The caller closes it."""
    return cast(IO[bytes], gzip.open(path, "rb")) if sniff(path) == "gzip" else path.open("rb")


class LayerHasher:
    """sha256 of bytes as they are, and of what they unpack to where they are gzip. Memory stays at one chunk.

    `entries` counts those of the tar that a layer is; of other bytes it says nothing sensible.
    """

    def __init__(self, *, limit: int) -> None:
        self.packed = hashlib.sha256()
        self.unpacked = hashlib.sha256()
        self.size = 0
        self.packed_size = 0
        self.limit = limit
        self.head = b""
        self.entries = LayerEntries()
        self._inflate: zlib._Decompress | None = None
        self._first = True
        self._inside = False

    def update(self, chunk: bytes) -> None:
        """Take in the next bytes. Raises `ArchiveError` beyond the limits, `zlib.error` where gzip is damaged."""
        if self._first and chunk:
            self._first = False
            self.head = chunk[:512]
            if chunk.startswith(b"\x1f\x8b"):
                self._inflate = zlib.decompressobj(wbits=31)
        self.packed.update(chunk)
        self.packed_size += len(chunk)
        if self._inflate is None:
            self._plain(chunk)
        else:
            self._gzip(chunk)

    def finish(self) -> None:
        """Nothing follows. Raises `zlib.error` where gzip ends in the middle."""
        if self._inside:
            raise zlib.error("it is cut off")
        self.entries.finish()

    def _plain(self, chunk: bytes) -> None:
        self.unpacked.update(chunk)
        self.entries.update(chunk)
        self.size += len(chunk)
        self._check()

    def _gzip(self, data: bytes) -> None:
        while self._inflate is not None:
            self._inside = self._inside or bool(data)
            out = self._inflate.decompress(data, CHUNK)
            self._plain(out)
            if self._inflate.eof:
                data = self._inflate.unused_data
                self._inflate = zlib.decompressobj(wbits=31)
                self._inside = False
                if not data:
                    return
            else:
                data = self._inflate.unconsumed_tail
                if not data and len(out) < CHUNK:  # a full chunk may leave more inside
                    return

    def _check(self) -> None:
        if self.size > self.limit:
            text = f"a layer unpacks to more than {self.limit:,} bytes"
            raise ArchiveError(
                [Defect("too_large", text, hint="Make the image smaller; the limit is resources.image.")]
            )
        if self._inflate is not None:
            check_ratio(self.packed_size, self.size, "a layer")
