"""A competition as it was last seen, kept on this disk: checks and trials need no server, only what it said once."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from touchstone_client.decode import decode, encode
from touchstone_client.errors import ClientError, ExitCode
from touchstone_client.types import Competition, Phase, Split

if TYPE_CHECKING:
    from touchstone_client.sdk import Client
    from touchstone_client.transfer import Progress

#: The description beside downloaded data.
FILE = "competition.json"


@dataclass(frozen=True)
class Description:
    """`url`: the server that told it; `folder`: where its data was downloaded to, if anybody did."""

    competition: Competition
    url: str
    fetched_at: datetime
    folder: Path | None = None

    def phase(self, slug: str = "") -> Phase:
        """A phase by name; else the one that was open. Raises `ClientError` (exit 2)."""
        wanted = slug or self.competition.current_phase or self.competition.phases[0].slug
        found = next((phase for phase in self.competition.phases if phase.slug == wanted), None)
        if found is not None:
            return found
        raise ClientError(
            f"{self.competition.slug} has no phase {wanted!r}",
            why=f"its phases: {', '.join(phase.slug for phase in self.competition.phases)}",
            code="no_such_phase",
            exit_code=ExitCode.USAGE,
        )

    def split(self, name: str) -> Split | None:
        return next((split for split in self.competition.splits if split.name == name), None)

    def data(self, name: str) -> Path | None:
        """The folder with all files of a split that may be downloaded; None where they are not here."""
        split = self.split(name)
        if split is None or not split.files:
            return None
        places = [self.folder / safe_name(name)] if self.folder is not None else []
        return next((place for place in [*places, _data_place(split)] if _whole(place, split)), None)


def fetch(client: Client, slug: str, *, folder: Path | None = None) -> Description:
    """Ask the server, and keep what it says. `folder`: where the data was downloaded to."""
    competition = client.competition(slug)
    known = _load(_place(client.url, slug))
    folder = folder.resolve() if folder is not None else known.folder if known is not None else None
    found = Description(competition, client.url, datetime.now(UTC), folder)
    _write(_place(client.url, slug), found)
    if folder is not None and folder.is_dir():
        _write(folder / FILE, found)
    return found


def recall(slug: str, *, url: str = "", near: Iterable[Path] = ()) -> Description | None:
    """What is kept of a competition: by this server, else by any, else in one of the folders `near`."""
    places = [_place(url, slug)] if url else sorted(_folder().glob(f"*/{slug}.json"))
    for place in [*places, *(folder / FILE for folder in near)]:
        found = _load(place)
        if found is not None and found.competition.slug == slug:
            return found
    return None


def ensure_data(client: Client, found: Description, name: str, *, progress: Progress | None = None) -> Path:
    """The folder of a split's public files, downloaded where it is not here yet. Raises `ClientError`."""
    held = found.data(name)
    if held is not None:
        return held
    split = found.split(name)
    if split is None or not split.files:
        raise ClientError(
            f"{found.competition.slug} gives out no data split {name!r}",
            hint=f"touchstone competitions show {found.competition.slug}",
            code="no_such_split",
        )
    place = _data_place(split)
    for file in split.files:
        client.download(found.competition.slug, name, file, place / safe_name(file.name), progress=progress)
    return place


def safe_name(name: str) -> PurePosixPath:
    """A name of the server's as a path below the folder it goes to. Raises `ClientError` for one that leads out."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or not path.parts:
        raise ClientError(f"The server names a file outside the folder: {name!r}", code="unsafe_name")
    return path


def _folder() -> Path:
    import platformdirs

    return platformdirs.user_cache_path("touchstone") / "competitions"


def _place(url: str, slug: str) -> Path:
    return _folder() / hashlib.sha256(url.encode()).hexdigest()[:16] / f"{Path(slug).name}.json"


def _data_place(split: Split) -> Path:
    return _folder().parent / "data" / safe_name((split.digest.rpartition(":")[2] or split.name)[:64])


def _whole(place: Path, split: Split) -> bool:
    files = [(place / safe_name(file.name), file.size) for file in split.files]
    return all(path.is_file() and path.stat().st_size == size for path, size in files)


def _load(place: Path) -> Description | None:
    try:
        data: Any = json.loads(place.read_text(encoding="utf-8"))
        folder = Path(data["folder"]) if data.get("folder") else None
        if folder is None and place.name == FILE:
            folder = place.parent
        return Description(
            decode(Competition, data["competition"]), data["url"], datetime.fromisoformat(data["fetched_at"]), folder
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ClientError):
        return None  # what cannot be read is as good as not there: it is asked for anew


def _write(place: Path, found: Description) -> None:
    document = {
        "schema_version": 1,
        "url": found.url,
        "fetched_at": found.fetched_at.isoformat(),
        "folder": str(found.folder) if found.folder is not None and place.name != FILE else "",
        "competition": encode(found.competition),
    }
    place.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=place.parent, prefix=".competition-")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(document, file, indent=1)
    os.chmod(name, 0o644)
    os.replace(name, place)
