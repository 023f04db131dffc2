"""Files on a node by content: a split or an image is fetched once, whatever runs ask for it."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from runners.contract import FileRef
from runners.errors import RetryableError

_MARGIN = 2**30


class Fetch(Protocol):
    def __call__(self, url: str, target: IO[bytes]) -> None: ...


class Cache:
    """`directory` is readable by the node alone: it holds labels."""

    def __init__(self, directory: Path, *, limit: int) -> None:
        self._directory = directory
        self._limit = limit
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def materialise(self, files: Iterable[FileRef], folder: Path, *, fetch: Fetch) -> None:
        """Put `files` into `folder` under their names. Raises `RetryableError` where one cannot be had."""
        folder.mkdir(parents=True, exist_ok=True)
        for file in files:
            target = folder / _safe(file.name)
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._copy(file, target, fetch=fetch)
            except FileNotFoundError:  # another process of this node made room between finding and copying it
                self._copy(file, target, fetch=fetch)

    def trim(self) -> int:
        """Remove the files used longest ago until the cache fits its limit; return how many."""
        found = list(_stats(self._directory.glob("??/*")))
        total = sum(known.st_size for _, known in found)
        removed = 0
        for path, known in sorted(found, key=lambda item: item[1].st_atime):
            if total <= self._limit:
                break
            path.unlink(missing_ok=True)
            total -= known.st_size
            removed += 1
        return removed

    def _copy(self, file: FileRef, target: Path, *, fetch: Fetch) -> None:
        """A copy, not a link to the cache: what a sandbox is shown must never be the cache's own inode."""
        source = self._get(file, fetch=fetch)
        _ask_for_room(target.parent, file)
        target.unlink(missing_ok=True)
        shutil.copyfile(source, target)
        target.chmod(0o644)

    def _get(self, file: FileRef, *, fetch: Fetch) -> Path:
        path = self._directory / file.sha256[:2] / file.sha256
        if path.is_file() and path.stat().st_size == file.size:
            os.utime(path)
            return path
        path.parent.mkdir(mode=0o700, exist_ok=True)
        _ask_for_room(self._directory, file)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".part-", delete=False) as part:
            try:
                fetch(file.url, part)
                part.flush()
                _verify(Path(part.name), file)
                os.replace(part.name, path)
            except BaseException:
                Path(part.name).unlink(missing_ok=True)
                raise
        return path


def _ask_for_room(folder: Path, file: FileRef) -> None:
    if shutil.disk_usage(folder).free < file.size + _MARGIN:
        raise RetryableError(f"The node's disk is too full for {file.name} ({file.size} bytes).", code="node_disk_full")


def _stats(paths: Iterable[Path]) -> Iterator[tuple[Path, os.stat_result]]:
    """Plain files and what is known of them; one that another process removes meanwhile is left out."""
    for path in paths:
        try:
            known = path.lstat()
        except FileNotFoundError:
            continue
        if stat.S_ISREG(known.st_mode):
            yield path, known


def _verify(path: Path, file: FileRef) -> None:
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != file.sha256:
        raise RetryableError(
            f"{file.name} arrived damaged: its sha256 is {found}, not {file.sha256}.", code="download_damaged"
        )


def _safe(name: str) -> PurePosixPath:
    """Names come from an organiser's bundle: refuse whatever could leave the folder."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts or "\\" in name or "\0" in name:
        raise RetryableError(f"{name!r} is not a name that a split or submission may hold.", code="unsafe_name")
    return path
