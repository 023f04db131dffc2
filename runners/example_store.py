"""Examples that a node keeps, so that the same are not made again for the next run."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
import zipfile
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from runners.surrogates import Examples

#: Rises when what is stored, or what an attack makes of the same order, changes.
_FORMAT = 1
_DIGEST = 64
_ARRAYS = ("chosen", "x", "correct", "wrong")
#: What makes examples: where its source is another, so are they, whatever number the version has.
_MAKERS = ("attacks/*.py", "metrics/robustness/*.py", "models/*.py", "models/onnx_torch/*.py", "adapters/*.py")
_ROOT = Path(__file__).resolve().parent


def content_key(**parts: Any) -> str:
    """SHA-256 of everything that examples depend on; other versions of the platform or its source make their own."""
    told = json.dumps([_FORMAT, _version(), source_digest(_ROOT), parts], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()


@cache
def source_digest(root: Path) -> str:
    """SHA-256 of the source of everything under `root` that makes examples."""
    told = hashlib.sha256()
    for path in sorted(path for pattern in _MAKERS for path in root.glob(pattern)):
        told.update(f"{path.relative_to(root)}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return told.hexdigest()


def _version() -> str:
    try:
        return version("touchstone")
    except PackageNotFoundError:
        return ""


@dataclass(frozen=True)
class ExampleStore:
    """A folder that the node alone reads: examples tell of hidden items. It grows to `limit` bytes at most.

    A file is the SHA-256 of what follows, in hexadecimal, and then the arrays. One that does not fit is removed and
    made anew.
    """

    folder: Path
    limit: int

    def get(self, key: str) -> Examples | None:
        """What was stored under `key`; None where there is nothing, or it was damaged."""
        path = self._path(key)
        try:
            content = path.read_bytes()
        except OSError:
            return None
        if hashlib.sha256(content[_DIGEST:]).hexdigest().encode() != content[:_DIGEST]:
            path.unlink(missing_ok=True)
            return None
        with suppress(OSError):  # another process of this node may have made room just now
            os.utime(path)
        with np.load(io.BytesIO(content[_DIGEST:]), allow_pickle=False) as found:
            arrays = {name: found[name] for name in _ARRAYS}
            return Examples(**arrays, queries=int(found["queries"]), seconds=float(found["seconds"]))

    def put(self, key: str, examples: Examples) -> None:
        """Store, if it fits; what was used longest ago makes room. A disk that is full is no fault of the run."""
        content = _packed(examples)
        if len(content) > self.limit:
            return
        path = self._path(key)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".part-", delete=False) as part:
                try:
                    part.write(hashlib.sha256(content).hexdigest().encode() + content)
                    part.flush()
                    os.replace(part.name, path)
                except BaseException:
                    Path(part.name).unlink(missing_ok=True)
                    raise
        except OSError:
            return
        self._trim(keep=path)

    def _trim(self, *, keep: Path) -> None:
        found = []
        for path in self.folder.glob("??/*"):
            try:
                known = path.stat()
            except FileNotFoundError:  # another process of this node made room
                continue
            found.append((path != keep, known.st_mtime, known.st_size, path))
        total = sum(size for _, _, size, _ in found)
        for other, _, size, path in sorted(found, key=lambda item: item[1]):
            if total <= self.limit:
                break
            if other:
                path.unlink(missing_ok=True)
                total -= size

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.npz"


def _packed(examples: Examples) -> bytes:
    """The same bytes for the same examples: members without times."""
    buffer = io.BytesIO()
    arrays = {name: getattr(examples, name) for name in (*_ARRAYS, "queries", "seconds")}
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, value in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(value), allow_pickle=False)
    return buffer.getvalue()
