"""One zip of many files, with a manifest of their SHA-256, a piece at a time."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import IO

MANIFEST = "MANIFEST.sha256"


@dataclass(frozen=True)
class Item:
    """A file of the zip. `pieces` gives its bytes, once; `packed`: whether it is worth compressing."""

    path: str
    pieces: Callable[[], Iterator[bytes]]
    packed: bool = True


def archive_write(*, target: IO[bytes], items: Iterable[Item], wrote: Callable[[int], None]) -> None:
    """Write the items, each path once, and then the manifest. `wrote` is told of each piece."""
    seen: dict[str, str] = {}
    with zipfile.ZipFile(target, "w") as archive:
        for item in items:
            if item.path not in seen:
                seen[item.path] = _write(archive, item, wrote)
        lines = (f"{digest}  {path}\n".encode() for path, digest in sorted(seen.items()))
        _write(archive, Item(MANIFEST, lambda: lines), wrote)


def _write(archive: zipfile.ZipFile, item: Item, wrote: Callable[[int], None]) -> str:
    digest = hashlib.sha256()
    info = zipfile.ZipInfo(item.path, date_time=(1980, 1, 1, 0, 0, 0))
    info.compress_type = zipfile.ZIP_DEFLATED if item.packed else zipfile.ZIP_STORED
    info.external_attr = 0o100644 << 16
    with archive.open(info, "w", force_zip64=True) as out:
        for piece in item.pieces():
            out.write(piece)
            digest.update(piece)
            wrote(len(piece))
    return digest.hexdigest()
