"""A competition, or a draft of one, as the files of a bundle: into a folder, or as a zip that is sent as it is made.

One list of entries serves both. What came from a bundle keeps its competition.yml byte for byte, so that importing it
again is known to change nothing.
"""

from __future__ import annotations

import errno
import io
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, cast

from touchstone.competitions.models import Competition
from touchstone.core.storage import CHUNK, blob_local, blob_open

if TYPE_CHECKING:
    from touchstone.drafts.models import Draft

SPEC_FILE = "competition.yml"
#: What a draft may name that cannot be: a file below a file, a name too long.
_NO_PLACE = frozenset({errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG})
_WHEN = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Entry:
    """A file of a bundle, or, where `open` is None, an empty folder. `path` is relative, with forward slashes."""

    path: str
    size: int = 0
    open: Callable[[], IO[bytes]] | None = None


def draft_folder(*, draft: Draft, folder: Path) -> None:
    """Write the bundle that a draft is into a folder, complete or not. `folder` must not exist or be empty."""
    # Later than at import: drafts build on competitions.
    from touchstone.drafts.writing import draft_entries

    folder_write(entries=draft_entries(draft=draft), folder=folder)


def competition_folder(*, competition: Competition, folder: Path) -> None:
    """Write a competition's bundle into a folder. Importing it changes nothing. `folder` must not exist or be empty."""
    folder_write(entries=competition_entries(competition=competition), folder=folder)


def competition_entries(*, competition: Competition) -> Iterator[Entry]:
    """The files of a competition, in the order in which they are exported."""
    spec = competition.spec
    yield text_entry(SPEC_FILE, competition.source)
    for told, page in zip(spec["pages"], competition.pages, strict=False):
        yield text_entry(told["file"], page["markdown"])
    for key, text in (("terms", competition.terms), ("data_card", competition.data_card)):
        if spec[key]:
            yield text_entry(spec[key], text)
    if competition.image:
        yield blob_entry(spec["image"], competition.image)
    if competition.starting_kit:
        yield from kit_entries(spec["starting_kit"], competition.starting_kit)
    for split in competition.splits.all():
        place = spec["data"][split.name]["path"]
        yield Entry(_plain(place))
        for file in split.files:
            yield blob_entry(f"{place}/{file['name']}", file["sha256"], file["size"])
    for item in competition.surrogates:
        yield blob_entry(spec["surrogates"][item["name"]], item["sha256"], item["size"])


def text_entry(path: str, text: str) -> Entry:
    """A text that is in the database."""
    data = text.encode()
    return Entry(_plain(path), len(data), lambda: io.BytesIO(data))


def blob_entry(path: str, sha256: str, size: int | None = None) -> Entry:
    """A stored file."""
    return Entry(_plain(path), _size(sha256) if size is None else size, lambda: blob_open(sha256=sha256))


def kit_entries(path: str, sha256: str) -> Iterator[Entry]:
    """The files of a starting kit, which is stored as a zip of our own making."""
    yield Entry(_plain(path))
    with blob_open(sha256=sha256) as stored, zipfile.ZipFile(stored) as kit:
        for info in kit.infolist():
            yield Entry(_plain(f"{path}/{info.filename}"), info.file_size, _member(sha256, info.filename))


def folder_write(*, entries: Iterable[Entry], folder: Path) -> None:
    """Write entries below a folder. A path that stands twice is written once: it names the same content."""
    folder.mkdir(parents=True, exist_ok=True)
    for entry in entries_once(entries):
        try:
            _write(entry, folder / entry.path)
        except OSError as error:
            if error.errno not in _NO_PLACE:  # what has no place is missing, and the check of the folder says so
                raise


def _write(entry: Entry, place: Path) -> None:
    if entry.open is None:
        place.mkdir(parents=True, exist_ok=True)
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    with entry.open() as source, place.open("xb") as target:
        shutil.copyfileobj(source, target, CHUNK)


def zip_stream(*, entries: Iterable[Entry]) -> Iterator[bytes]:
    """A zip of the entries, a piece at a time: never more than a piece of one file is in memory.

    Nothing is compressed, so the same competition gives the same bytes with every library, and the import does not
    take a table that packs well for a bomb.
    """
    sink = _Sink()
    with zipfile.ZipFile(cast(IO[bytes], sink), "w", zipfile.ZIP_STORED) as archive:
        for entry in entries_once(entries):
            info = zipfile.ZipInfo(entry.path if entry.open else f"{entry.path}/", date_time=_WHEN)
            info.create_system = 3
            info.external_attr = (0o100644 if entry.open else 0o40755) << 16
            if entry.open is None:
                archive.writestr(info, b"")
                continue
            info.file_size = entry.size
            with entry.open() as source, archive.open(info, "w") as target:
                while chunk := source.read(CHUNK):
                    target.write(chunk)
                    yield sink.taken()
            yield sink.taken()
    yield sink.taken()


def entries_once(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Each path once, and none that leads out of the bundle."""
    seen: set[str] = set()
    for entry in entries:
        if entry.path not in seen and entry.path and not _leaves(entry.path):
            seen.add(entry.path)
            yield entry


def _leaves(path: str) -> bool:
    """Whether a path, which may be a stranger's, leads out of the bundle."""
    return path.startswith("/") or ".." in path.split("/") or "\x00" in path


def _plain(path: str) -> str:
    """`./data/test/` → `data/test`: a zip takes no other form. The top itself is empty."""
    plain = PurePosixPath(path).as_posix()
    return "" if plain == "." else plain


def _size(sha256: str) -> int:
    with blob_local(sha256=sha256) as path:
        return path.stat().st_size


def _member(sha256: str, name: str) -> Callable[[], IO[bytes]]:
    """Opens a file of a stored zip. It is copied out, so that nothing else has to be closed with it."""

    def opened() -> IO[bytes]:
        found: IO[bytes] = tempfile.SpooledTemporaryFile(CHUNK)  # noqa: SIM115 - who opened it closes it
        with blob_open(sha256=sha256) as stored, zipfile.ZipFile(stored) as kit, kit.open(name) as source:
            shutil.copyfileobj(source, found, CHUNK)
        found.seek(0)
        return found

    return opened


class _Sink:
    """What `zipfile` writes to: it cannot be wound back, so nothing that was written changes."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: Any) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing to do."""

    def taken(self) -> bytes:
        """What was written since the last time."""
        found = b"".join(self._pieces)
        self._pieces.clear()
        return found
