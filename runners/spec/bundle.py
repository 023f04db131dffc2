"""Zip archives of strangers: everything is judged from the directory before a byte is unpacked.

Standard library only. Refused: absolute paths, `..`, backslashes, links and other special entries,
encryption, unknown compression, doubled or clashing names, overlapping entries, too many entries,
too many bytes, suspicious ratios. Nothing an entry says is believed while unpacking: bytes are counted.
"""

from __future__ import annotations

import os
import shutil
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from runners.spec.defects import Defect, shortened

_END = b"PK\x05\x06"
_END64_LOCATOR = b"PK\x06\x07"
_END64 = b"PK\x06\x06"
_END64_BYTES = 56
_CHUNK = 2**20
_RATIO_FROM = 2**20
_DIRECTORY_BYTES_PER_ENTRY = 512
#: What `zipfile` raises for bytes that are no archive.
_UNPACKING = (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError, zlib.error, OverflowError)


@dataclass(frozen=True)
class ArchiveLimits:
    """What an archive may hold. Sizes are bytes unpacked; `ratio` is unpacked to packed, for entries over 1 MiB."""

    entries: int = 20_000
    total: int = 4 * 2**30
    entry: int = 2 * 2**30
    ratio: int = 200
    path: int = 240
    depth: int = 16


class ArchiveError(ValueError):
    """An archive that must not be unpacked; `defects` says all that is wrong (cut after 50)."""

    def __init__(self, defects: list[Defect]) -> None:
        super().__init__("; ".join(defect.text() for defect in defects[:5]))
        self.defects = defects[:50]


@dataclass(frozen=True)
class ZipFacts:
    """`names` are the regular files in archive order; `total` is their bytes unpacked."""

    names: tuple[str, ...]
    total: int


def extract_zip(path: Path, target: Path, *, limits: ArchiveLimits = ArchiveLimits()) -> ZipFacts:
    """Unpack a zip into `target`, which must not exist or be empty; files get mode 644, folders 755.

    Raises:
        ArchiveError: nothing is left in `target` then.
    """
    with _open(path, limits) as archive:
        facts = _judge(archive, limits)
        target.mkdir(parents=True, exist_ok=True)
        if any(target.iterdir()):
            raise FileExistsError(f"{target} is not empty")
        try:
            for info in archive.infolist():
                _unpack(archive, info, target)
        except (*_UNPACKING, RuntimeError) as error:
            _empty(target)
            if isinstance(error, ArchiveError) or (isinstance(error, OSError) and error.errno is not None):
                raise
            raise ArchiveError([_damaged(error)]) from error
        except BaseException:
            _empty(target)
            raise
    return facts


def inspect_zip(path: Path, *, limits: ArchiveLimits = ArchiveLimits()) -> ZipFacts:
    """Judge a zip without unpacking it. Raises `ArchiveError`."""
    with _open(path, limits) as archive:
        return _judge(archive, limits)


def read_entry(path: Path, name: str, *, limit: int) -> bytes:
    """At most `limit` + 1 bytes of one entry of an inspected zip. Raises `ArchiveError` where it is damaged."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(name) as stream:
            return stream.read(limit + 1)
    except _UNPACKING as error:
        raise ArchiveError([_damaged(error)]) from error


def extract_bundle(path: Path, target: Path, *, limits: ArchiveLimits = ArchiveLimits()) -> Path:
    """Unpack a zip of a competition; returns the folder that holds competition.yml.

    It lies at the top of the zip or in the one folder there. Raises `ArchiveError`.
    """
    facts = extract_zip(path, target, limits=limits)
    if "competition.yml" in facts.names:
        return target
    tops = sorted({name.split("/", 1)[0] for name in facts.names} - {"__MACOSX"})
    if len(tops) == 1 and f"{tops[0]}/competition.yml" in facts.names:
        return target / tops[0]
    _empty(target)
    hint = "Zip the contents of the competition's folder."
    text = f"competition.yml is not at the top of the zip; found {shortened(tops) or 'nothing'}"
    raise ArchiveError([Defect("missing_file", text, hint=hint)])


def _damaged(error: BaseException) -> Defect:
    return Defect("damaged", f"the zip is truncated or damaged: {error}", hint="Pack it again and compare sizes.")


def _open(path: Path, limits: ArchiveLimits) -> zipfile.ZipFile:
    try:
        with path.open("rb") as stream:
            directory = _directory_size(stream)
        if directory > limits.entries * _DIRECTORY_BYTES_PER_ENTRY:
            text = f"the zip's directory has {directory:,} bytes, which is more than {limits.entries:,} entries need"
            raise ArchiveError([Defect("too_many", text, hint="Pack fewer files.")])
        return zipfile.ZipFile(path)
    except (*_UNPACKING, struct.error) as error:
        if isinstance(error, ArchiveError) or (isinstance(error, OSError) and error.errno is not None):
            raise
        text = f"this is not a whole zip archive: {error}"
        raise ArchiveError([Defect("not_a_zip", text, hint="Pack it again, for example with zip -r.")]) from error


def _directory_size(stream: IO[bytes]) -> int:
    """Bytes of the central directory: known before `zipfile` reads all of it into memory."""
    size = stream.seek(0, os.SEEK_END)
    start = max(0, size - 65_557 - 20 - _END64_BYTES)
    stream.seek(start)
    tail = stream.read()
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < 22:
        raise zipfile.BadZipFile("the end of the archive is missing")
    directory: int = struct.unpack_from("<L", tail, at + 12)[0]
    if at >= 20 and tail[at - 20 : at - 16] == _END64_LOCATOR:
        # Whatever the usual end says, `zipfile` believes the record that stands before the locator; others, the one
        # to which it points.
        offset = struct.unpack_from("<Q", tail, at - 12)[0]
        stream.seek(min(offset, size))
        for record in (tail[max(0, at - 20 - _END64_BYTES) : at - 20], stream.read(_END64_BYTES)):
            if len(record) == _END64_BYTES and record.startswith(_END64):
                directory = max(directory, struct.unpack_from("<Q", record, 40)[0])
    return directory


def _judge(archive: zipfile.ZipFile, limits: ArchiveLimits) -> ZipFacts:
    entries = archive.infolist()
    files = [info for info in entries if not _is_folder(info)]
    total = sum(info.file_size for info in files)
    defects = []
    if len(entries) > limits.entries:
        text = f"the zip has {len(entries):,} entries; at most {limits.entries:,} are allowed"
        defects.append(Defect("too_many", text, hint="Pack fewer files."))
    if total > limits.total:
        text = f"the zip unpacks to {total:,} bytes; at most {limits.total:,} are allowed"
        defects.append(Defect("too_large", text, hint="Leave out what is not needed."))
    for info in entries:
        defects += [
            Defect(code, text, where=info.filename[:200], hint=hint) for code, text, hint in _entry(info, limits)
        ]
    defects += [*_clashes(entries), *_overlaps(entries)]
    if defects:
        raise ArchiveError(defects)
    return ZipFacts(tuple(info.filename for info in files), total)


def _entry(info: zipfile.ZipInfo, limits: ArchiveLimits) -> Iterator[tuple[str, str, str]]:
    problem = name_problem(info.orig_filename, limits)
    if problem:
        yield "path", problem, "Use plain relative names with forward slashes."
    mode = info.external_attr >> 16
    kind = stat.S_IFMT(mode)
    if kind == stat.S_IFLNK:
        yield "link", "is a symbolic link", "Pack the file itself (zip without --symlinks)."
    elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        yield "special", "is neither a file nor a folder", "Leave it out."
    if info.flag_bits & 0x1:
        yield "encrypted", "is encrypted", "Pack without a password."
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        yield "compression", f"uses compression method {info.compress_type}", "Use deflate (the usual zip)."
    if info.file_size > limits.entry:
        yield (
            "too_large",
            f"unpacks to {info.file_size:,} bytes; at most {limits.entry:,} are allowed",
            "Make it smaller.",
        )
    if info.file_size > _RATIO_FROM and info.file_size > limits.ratio * max(1, info.compress_size):
        yield (
            "bomb",
            f"unpacks to more than {limits.ratio} times its packed size",
            "Leave it out or store it uncompressed.",
        )


def name_problem(name: str, limits: ArchiveLimits) -> str:
    """Why an entry's name must not be used as a path, or nothing."""
    parts = name.removesuffix("/").split("/")
    if not name or len(name.encode(errors="replace")) > limits.path or len(parts) > limits.depth:
        return "the name is empty, too long or too deep"
    if name.startswith("/") or "\\" in name or (len(name) > 1 and name[1] == ":"):
        return "the name is an absolute path or holds a backslash"
    if any(part in ("", ".", "..") for part in parts):
        return "the name holds `..`, `.` or an empty part"
    if any(unicodedata.category(char) in ("Cc", "Cs") for char in name):
        return "the name holds control characters"
    return ""


def _is_folder(info: zipfile.ZipInfo) -> bool:
    return info.filename.endswith("/")  # `is_dir` breaks where there is no name


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name.removesuffix("/")).casefold()


def _clashes(entries: list[zipfile.ZipInfo]) -> Iterator[Defect]:
    """Names that are the same file on some system, or a file where another name needs a folder."""
    hint = "Pack each file once, under one name."
    seen: dict[str, zipfile.ZipInfo] = {}
    for info in entries:
        other = seen.setdefault(_key(info.filename), info)
        if other is not info:
            text = "stands twice in the zip" if other.filename == info.filename else f"clashes with {other.filename}"
            yield Defect("duplicate", text, where=info.filename[:200], hint=hint)
    files = {_key(info.filename) for info in entries if not _is_folder(info)}
    for info in entries:
        parts = _key(info.filename).split("/")
        if any("/".join(parts[:length]) in files for length in range(1, len(parts))):
            yield Defect("duplicate", "lies below a name that is a file", where=info.filename[:200], hint=hint)


def _overlaps(entries: list[zipfile.ZipInfo]) -> Iterator[Defect]:
    """Entries that share packed bytes: how a small zip unpacks to petabytes."""
    end = 0
    for info in sorted(entries, key=lambda entry: entry.header_offset):
        if info.header_offset < end:
            hint = "Pack it again with an ordinary zip program."
            yield Defect("bomb", "shares its bytes with another entry", where=info.filename[:200], hint=hint)
        end = max(end, info.header_offset + 30 + info.compress_size)


def _unpack(archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path) -> None:
    place = target / info.filename
    if _is_folder(info):
        place.mkdir(mode=0o755, parents=True, exist_ok=True)
        return
    place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    handle = os.open(place, flags, 0o644)
    with os.fdopen(handle, "wb") as out, archive.open(info) as source:
        left = info.file_size
        while chunk := source.read(_CHUNK):
            left -= len(chunk)
            if left < 0:
                raise zipfile.BadZipFile(f"{info.filename} unpacks to more than it says")
            out.write(chunk)


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
