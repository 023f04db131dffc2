"""The doors by which strangers' files come in, and what must hold whatever comes.

A file is taken or refused in the words of the door's own errors; nothing else is raised. No file appears outside the
place it was given, nothing stays there after a refusal, and memory stays bounded.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from runners.intake.code import check_code
from runners.intake.container import check_container
from runners.intake.images import rewrite_without_tags
from runners.intake.predictions import check_prediction_file
from runners.intake.streams import LayerHasher
from runners.spec.bundle import ArchiveError, ArchiveLimits, extract_bundle, extract_zip
from runners.spec.folder import check_folder
from runners.spec.models import ResourceSpec, TaskSpec
from runners.spec.yamlfile import parse_yaml, read_yaml

#: Python's own memory that one file may take at its peak, whatever it says of itself.
PEAK = 64 * 2**20
_LIMIT = 8 * 2**20
_LIMITS = ArchiveLimits(entries=500, total=_LIMIT, entry=_LIMIT)
_TASK = TaskSpec(kind="binary", classes=("no", "yes"), positive="yes")


class Broken(AssertionError):
    """A property did not hold."""


def _zip(path: Path, place: Path) -> bool:
    try:
        extract_zip(path, place, limits=_LIMITS)
    except ArchiveError:
        return False
    return True


def _bundle(path: Path, place: Path) -> bool:
    try:
        folder = extract_bundle(path, place, limits=_LIMITS)
    except ArchiveError:
        return False
    check_folder(folder)
    return True


def _code(path: Path, place: Path) -> bool:
    check_code(path).json().encode()
    return False


def _container(path: Path, place: Path) -> bool:
    check_container(path, resources=ResourceSpec(image=_LIMIT)).json().encode()
    return False


def _rewrite(path: Path, place: Path) -> bool:
    place.mkdir()
    try:
        rewrite_without_tags(path, place / "image.tar", limit=_LIMIT)
    except ArchiveError:
        return False
    return True


def _layer(path: Path, place: Path) -> bool:
    hasher = LayerHasher(limit=_LIMIT)
    try:
        with path.open("rb") as stream:
            while chunk := stream.read(4096):
                hasher.update(chunk)
        hasher.finish()
    except (ArchiveError, zlib.error):
        return False
    return False


def _predictions(path: Path, place: Path) -> bool:
    for ids in (["1", "2", "3"], None):
        check_prediction_file(path, task=_TASK, ids=ids).json().encode()
    return False


def _yaml(path: Path, place: Path) -> bool:
    document = read_yaml(path)
    [defect.text().encode() for defect in document.defects]
    with contextlib.suppress(UnicodeDecodeError):
        parse_yaml(path.read_bytes().decode(), file="x.yml")
    return False


#: Name → what is done with a file; it says whether something may be left in the place.
DOORS: dict[str, Callable[[Path, Path], bool]] = {
    "zip": _zip, "bundle": _bundle, "code": _code, "container": _container, "rewrite": _rewrite, "layer": _layer,
    "predictions": _predictions, "yaml": _yaml,
}  # fmt: skip


class House:
    """A folder of its own, deep enough that what climbs out of its place is still seen."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._room = root / "a" / "b" / "c"
        self._room.mkdir(parents=True)
        self._canary = root / "a" / "canary"
        self._canary.write_text("unharmed")
        self._path = self._room / "sent"
        self._place = self._room / "place"

    def knock(self, door: str, data: bytes, *, traced: bool = False) -> None:
        """Bring a file to a door. Raises `Broken`, or whatever the door should not have raised."""
        shutil.rmtree(self._place, ignore_errors=True)
        self._path.write_bytes(data)
        before = self._files()
        if traced:
            tracemalloc.start()
        try:
            kept = DOORS[door](self._path, self._place)
            peak = tracemalloc.get_traced_memory()[1] if traced else 0
        finally:
            if traced:
                tracemalloc.stop()
        self._check(before, kept=kept)
        if peak > PEAK + 4 * len(data):
            raise Broken(f"{door} took {peak / 2**20:.0f} MiB for {len(data)} bytes")
        shutil.rmtree(self._place, ignore_errors=True)

    def _files(self) -> set[str]:
        return {os.path.join(folder, name) for folder, _, names in os.walk(self.root) for name in names}

    def _check(self, before: set[str], *, kept: bool) -> None:
        place = f"{self._place}{os.sep}"
        new = self._files() - before
        outside = [name for name in new if not name.startswith(place)]
        if outside or self._canary.read_text() != "unharmed":
            raise Broken(f"files outside their place: {outside}")
        if new and not kept:
            raise Broken(f"left after a refusal: {sorted(new)[:5]}")
        for folder, folders, names in os.walk(self._place):
            for name in (*folders, *names):
                full = os.path.join(folder, name)
                if os.path.islink(full) or not (os.path.isfile(full) or os.path.isdir(full)):
                    raise Broken(f"neither a file nor a folder: {name!r}")


@contextlib.contextmanager
def house() -> Iterator[House]:
    """A house that is pulled down at the end; temporary files go into it too, so that those left are seen."""
    with tempfile.TemporaryDirectory(prefix="touchstone-fuzz-") as folder:
        was = tempfile.tempdir
        tempfile.tempdir = str(Path(folder) / "a" / "b")
        try:
            yield House(Path(folder))
        finally:
            tempfile.tempdir = was
