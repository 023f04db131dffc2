"""What a file really is, by its first bytes; names are never believed."""

from __future__ import annotations

from pathlib import Path

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"PAR1", "parquet"),
    (b"PARE", "encrypted parquet"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"\x1f\x8b", "gzip"),
    (b"(\xb5/\xfd", "zstandard"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"BZh", "bzip2"),
    (b"7z\xbc\xaf'\x1c", "7z"),
    (b"Rar!", "rar"),
    (b"\x93NUMPY", "npy"),
    (b"\x89HDF\r\n", "HDF5"),
    (b"ARROW1", "Arrow/Feather"),
    (b"\xd0\xcf\x11\xe0", "Excel 97 (xls)"),
    (b"%PDF", "PDF"),
    (b"\x89PNG", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"SQLite format 3", "SQLite"),
    (b"\xff\xfe", "UTF-16 text"),
    (b"\xfe\xff", "UTF-16 text"),
)
_ZIPS = (
    (b"xl/", "Excel (xlsx)"),
    (b"[Content_Types].xml", "Excel (xlsx)"),
    (b".npy", "npz"),
    (b"/data.pkl", "PyTorch (.pt)"),
)


def sniff(path: Path) -> str:
    """The kind of a file: `parquet`, `zip`, `gzip`, `npz`, ..., `empty`, `binary` or `text`."""
    with path.open("rb") as stream:
        head = stream.read(4096)
    return sniff_bytes(head)


def sniff_bytes(head: bytes) -> str:
    """The kind of a file by its first 4 KiB."""
    if not head:
        return "empty"
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return _zip_kind(head) if kind == "zip" else kind
    if len(head) > 1 and head[0] == 0x80 and 2 <= head[1] <= 5:
        return "pickle"
    return "binary" if b"\x00" in head else "text"


def _zip_kind(head: bytes) -> str:
    for mark, kind in _ZIPS:
        if mark in head[:2048]:
            return kind
    return "zip"
