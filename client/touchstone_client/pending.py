"""A submission that was begun here and not yet answered: the same command, run again, ends it and makes no second."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

#: After so long it is forgotten: the server forgets an upload that nobody went on with, too.
_SECONDS = 24 * 3600


def folder() -> Path:
    """Where what is under way is noted: nothing secret."""
    import platformdirs

    return platformdirs.user_state_path("touchstone") / "pending"


@contextmanager
def pending(*parts: object) -> Iterator[str]:
    """An idempotency key that stays the same for the same `parts` until the block ends without an error."""
    name = hashlib.sha256(json.dumps([str(part) for part in parts]).encode()).hexdigest()[:32]
    place = folder() / f"{name}.json"
    key = _read(place) or str(uuid.uuid4())
    with suppress(OSError):  # a home that cannot be written to costs the second chance, not the first
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        place.write_text(json.dumps({"key": key}), encoding="utf-8")
    yield key
    with suppress(OSError):
        place.unlink(missing_ok=True)


def _read(place: Path) -> str:
    try:
        if time.time() - place.stat().st_mtime > _SECONDS:
            return ""
        found: Any = json.loads(place.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return str(found.get("key") or "") if isinstance(found, dict) else ""


def fingerprint(path: Path | None) -> str:
    """Tells whether a file is still the same, without reading all of it."""
    if path is None:
        return ""
    facts = path.stat()
    return f"{path.resolve()} {facts.st_size} {facts.st_mtime_ns}"
