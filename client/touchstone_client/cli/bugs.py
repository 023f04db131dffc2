"""A bug of ours: one line for the person, the whole story in a file for us."""

from __future__ import annotations

import os
import platform
import re
import secrets
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path

#: Shows the traceback instead.
DEBUG_VARIABLE = "TOUCHSTONE_DEBUG"
_TOKEN = re.compile(r"\bts_[A-Za-z0-9]+_[A-Za-z0-9_-]+")


def report(error: Exception) -> str:
    """Write the traceback to a file of its own and return the line that says where. No token gets into it."""
    name = secrets.token_hex(4)
    try:
        place = _write(name, error)
    except OSError as failure:
        why = failure.strerror or type(failure).__name__
        return f"internal error {name} ({type(error).__name__}); its log cannot be written: {why}"
    return f"internal error {name} ({type(error).__name__}); please report it with {place}"


def _write(name: str, error: Exception) -> Path:
    import platformdirs

    from touchstone_client.version import __version__

    folder = platformdirs.user_log_path("touchstone")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"error-{name}.log"
    head = [
        f"id: {name}", f"time: {datetime.now(UTC).isoformat(timespec='seconds')}", f"client: {__version__}",
        f"python: {platform.python_version()} on {platform.system()}", f"command: {' '.join(sys.argv[1:])}", "",
    ]  # fmt: skip
    text = "\n".join([*head, *traceback.format_exception(error)])
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as file:
        file.write(_TOKEN.sub("ts_…", text))
    return path
