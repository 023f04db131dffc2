"""Names and digests of the files of a data split. Standard library only."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

Part = Literal["inputs", "labels", "attributes", "clusters"]
_TABLE = re.compile(r"(labels|attributes|clusters|inputs)\.(?:parquet|csv)")
_IMAGE = re.compile(r"inputs/[^/\x00-\x1f\x7f\ud800-\udfff]+\.(?:png|jpg|jpeg)")


class FileLike(Protocol):
    """A file by content: `runners.contract.FileRef` is one too."""

    @property
    def name(self) -> str: ...
    @property
    def sha256(self) -> str: ...
    @property
    def size(self) -> int: ...


@dataclass(frozen=True)
class SplitFile:
    """A file of a split: its name relative to the split's folder, its sha256 in hex, its bytes."""

    name: str
    sha256: str
    size: int

    def as_dict(self) -> dict[str, str | int]:
        """The JSON form."""
        return {"name": self.name, "sha256": self.sha256, "size": self.size}


def part_of(name: str) -> Part | None:
    """Which part of a split a file name holds, or None for a file that has no place there."""
    match = _TABLE.fullmatch(name)
    if match:
        return match[1]  # type: ignore[return-value]
    return "inputs" if name == "inputs.npz" or _IMAGE.fullmatch(name) else None


def file_sha256(path: Path) -> str:
    """sha256 of a file's bytes, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def split_names(folder: Path) -> list[str]:
    """Relative names of all files below a split's folder, sorted; links are listed, never followed."""
    names = []
    for path in folder.rglob("*"):
        if path.is_symlink() or not path.is_dir():
            names.append(path.relative_to(folder).as_posix())
    return sorted(names)


def split_files(folder: Path) -> tuple[SplitFile, ...]:
    """The files of a split in order of name, hashed. Files that have no place in a split are left out."""
    files = []
    for name in split_names(folder):
        path = folder / name
        if part_of(name) is not None and not path.is_symlink():
            files.append(SplitFile(name, file_sha256(path), path.stat().st_size))
    return tuple(files)


def split_digest(files: Iterable[FileLike]) -> str:
    """sha256 over the canonical JSON of the sorted [{name, sha256, size}]."""
    ordered = sorted(files, key=lambda file: file.name)
    rows = [{"name": file.name, "sha256": file.sha256, "size": file.size} for file in ordered]
    canonical = json.dumps(rows, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
