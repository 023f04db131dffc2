"""Counts the entries of a layer's tar as it streams by, and reads nothing else of it.

A layer of a few bytes may hold millions of empty files; each would cost a node an inode.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

#: Entries of all layers together: each may cost a node an inode.
MAX_FILES = 1_000_000
_BLOCK = 512
_MAX_PAX = 2**20
_SIZE = slice(124, 136)
_FLAG = 156
#: Links, devices, folders and FIFOs have no content, whatever their header says.
_NO_CONTENT = frozenset(b"123456")
#: Extended headers describe the next entry.
_EXTENDED = frozenset(b"xgLK")
_PAX_LENGTH = re.compile(rb"([1-9][0-9]{0,6}) ")
_PAX_NUMBER = re.compile(rb"[0-9]{1,18}")


class LayerEntries:
    """`count` entries so far, at most one above `limit`; `fault` says why no engine would unpack it, else it is empty.

    Follows the rules by which engines read: a pax size wins over the header's, two empty blocks end the archive.
    """

    def __init__(self, *, limit: int = MAX_FILES) -> None:
        self.limit = limit
        self.count = 0
        self.fault = ""
        self._head = b""
        self._skip = 0
        self._empty = 0
        self._pax: bytearray | None = None
        self._pax_left = 0
        self._size: int | None = None

    def update(self, data: bytes) -> None:
        """Take in the next bytes; constant memory."""
        at, end = 0, len(data)
        while at < end and not self.fault and self._empty < 2 and self.count <= self.limit:
            if self._pax is not None and self._pax_left:
                step = min(self._pax_left, end - at)
                self._pax += data[at : at + step]
                self._pax_left -= step
                at += step
                if not self._pax_left:
                    self._read_pax()
            elif self._skip:
                step = min(self._skip, end - at)
                self._skip -= step
                at += step
            else:
                step = min(_BLOCK - len(self._head), end - at)
                self._head += data[at : at + step]
                at += step
                if len(self._head) == _BLOCK:
                    head, self._head = self._head, b""
                    self._header(head)

    def finish(self) -> None:
        """Nothing follows: what is still open is cut off."""
        if not self.fault and self.count <= self.limit and (self._head or self._skip or self._pax_left):
            self.fault = "is cut off in the middle of an entry"

    def _header(self, head: bytes) -> None:
        if not any(head):
            self._empty += 1
            return
        self._empty = 0
        size, flag = _number(head[_SIZE]), head[_FLAG]
        if size is None:
            self.fault = "is not a tar archive"
        elif flag == ord("S"):
            self.fault = "holds a sparse file, which engines read in different ways"
        elif flag in _EXTENDED:
            self._extended(flag, size)
        else:
            self.count += 1
            size = self._size if self._size is not None else size
            self._size = None
            self._skip = 0 if flag in _NO_CONTENT else _padded(size)

    def _extended(self, flag: int, size: int) -> None:
        if size > _MAX_PAX:
            self.fault = "holds an extended header larger than any engine reads"
        elif flag == ord("x") and size:
            self._pax, self._pax_left = bytearray(), size
            self._skip = _padded(size) - size
        else:
            self._skip = _padded(size)

    def _read_pax(self) -> None:
        raw, self._pax = bytes(self._pax or b""), None
        try:
            sizes = [value for key, value in _pax_records(raw) if key == b"size"]
            if not all(_PAX_NUMBER.fullmatch(value) for value in sizes):
                raise ValueError("a size that is no number")
        except ValueError:
            self.fault = "holds an extended header that engines cannot read"
            return
        self._size = int(sizes[-1]) if sizes else self._size


def _pax_records(raw: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Key and value of each record, by its length: a value may hold what looks like records. Raises `ValueError`."""
    at = 0
    while at < len(raw):
        length = _PAX_LENGTH.match(raw, at)
        end = at + int(length[1]) if length else 0
        if length is None or not length.end() < end <= len(raw) or raw[end - 1 : end] != b"\n":
            raise ValueError("a record does not end where it says")
        key, equals, value = raw[length.end() : end - 1].partition(b"=")
        if not key or not equals:
            raise ValueError("a record has no key")
        if key.startswith(b"GNU.sparse."):
            raise ValueError("a sparse file, whose size engines read in different ways")
        yield key, value
        at = end


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _number(field: bytes) -> int | None:
    """Octal digits, or binary where the first bit is set. None for anything else, and for what is negative."""
    if field[0] & 0x80:
        value = int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
        return value if field[0] == 0x80 and value < 2**63 else None
    text = field.strip(b"\0 ")
    return int(text, 8) if re.fullmatch(rb"[0-7]*", text) and text else (0 if not text else None)
