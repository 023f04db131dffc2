"""What need not be typed each time: the server, the competition, its phase.

An option wins over the environment, the environment over `.touchstone.toml` of the folder one is in (or of one above
it), that over the user's own file. Tokens are never in these files: see `touchstone_client.config`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from touchstone_client._whole import write_whole
from touchstone_client.errors import ClientError, ExitCode

PROJECT_FILE = ".touchstone.toml"
#: What can be set, and what it is for. `kind` makes sense for a folder with a submission in it only.
KEYS: Mapping[str, str] = {
    "url": "address of the server",
    "competition": "short name of the competition",
    "phase": "its phase",
    "kind": "what the folder holds: predictions, model, code, container or endpoint",
}
ENVIRONMENT: Mapping[str, str] = {key: f"TOUCHSTONE_{key.upper()}" for key in ("url", "competition", "phase")}


@dataclass(frozen=True)
class Setting:
    """A value and where it came from: the name of a variable or a file; both empty where it is not set."""

    key: str
    value: str = ""
    source: str = ""
    of_project: bool = False


def user_file() -> Path:
    """The user's own file."""
    import platformdirs

    return platformdirs.user_config_path("touchstone") / "config.toml"


def project_file(start: Path | None = None) -> Path | None:
    """`.touchstone.toml` of `start` (default: here) or of the nearest folder above it, below one's home."""
    folder = (start or Path.cwd()).resolve()
    for place in (folder, *folder.parents):
        if (place / PROJECT_FILE).is_file():
            return place / PROJECT_FILE
        if (place / ".git").exists() or place == Path.home():
            break
    return None


def read(path: Path) -> dict[str, str]:
    """The settings of one file; none where it is not there. Raises `ClientError` for one that is not sound."""
    import tomllib

    try:
        found: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise _bad(path, str(error)) from error
    for key, value in found.items():
        if key not in KEYS:
            raise _bad(path, f"it has the key {key!r}; there are {', '.join(KEYS)}")
        if not isinstance(value, str):
            raise _bad(path, f"{key} is not a text in quotes")
    return found


def look_up(key: str, *, start: Path | None = None) -> Setting:
    """The value of one key, by the order of places."""
    variable = ENVIRONMENT.get(key, "")
    if variable and os.environ.get(variable):
        return Setting(key, os.environ[variable].strip(), f"${variable}")
    project = project_file(start)
    if project is not None and (value := read(project).get(key, "")):
        return Setting(key, value, str(project), of_project=True)
    if value := read(user_file()).get(key, ""):
        return Setting(key, value, str(user_file()))
    return Setting(key)


def write(path: Path, key: str, value: str) -> None:
    """Set `key` in a file, or take it out where `value` is empty. Comments and the other lines stay."""
    check_key(key)
    read(path)  # what is not sound is not written to
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    own = re.compile(rf"\s*{key}\s*=")
    kept = [line for line in lines if not own.match(line)]
    if value:
        kept.append(f"{key} = {json.dumps(value, ensure_ascii=False)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, "\n".join([*kept, ""]) if kept else "", mode=0o644)


def check_key(key: str) -> None:
    """Raises `ClientError` (exit 2) for a key that there is not."""
    if key not in KEYS:
        raise ClientError(
            f"There is no setting {key!r}",
            why=f"there are: {', '.join(KEYS)}",
            hint="touchstone config list",
            code="no_such_setting",
            exit_code=ExitCode.USAGE,
        )


def _bad(path: Path, why: str) -> ClientError:
    return ClientError(
        f"The settings file {path} cannot be used",
        why=why,
        hint='Mend it, or remove it. A line looks like: competition = "garments"',
        code="bad_settings",
        exit_code=ExitCode.USAGE,
    )
