"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_whole(target: Path, text: str, *, mode: int) -> None:
    """Write `text` beside `target`, then put it in its place. Only the owner reads it before it has its `mode`."""
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".touchstone-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(name, mode)
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
