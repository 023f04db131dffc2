"""The files of an image that the daemon and its runtime read themselves, as root and before anything is confined.

They look a container's user up in `/etc/passwd` and `/etc/group` of its image, and open whatever is there: a pipe keeps
the start, and with it the container's record in the daemon, waiting for ever; a device is read on the host.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from docker.errors import APIError

from docker import APIClient
from runners.contract import Verdict
from runners.engines import _limits
from runners.engines._docker_api import retried
from runners.errors import ParticipantFault

_READ = ("/etc/passwd", "/etc/group")
#: Something else is there once the container runs than what the image has.
_MOUNTED = ("/proc", "/sys", "/dev", "/tmp", _limits.CHANNEL, _limits.SUBMISSION)  # noqa: S108
#: Go's os.ModeType: anything but a regular file has one of these; the second is a symbolic link's.
_NO_FILE, _LINK = 0x8F280000, 1 << 27
_GONE = 404


def check(client: APIClient, container: str) -> None:
    """Look before the start. Raises `ParticipantFault`, and `APIError` where the daemon cannot tell."""
    for path in _READ:
        found = _stat(client, container, path)
        link = str(found["linkTarget"]) if found is not None and found["mode"] & _LINK else ""
        if link:  # the daemon has followed all the others on the way
            astray = link.startswith(tuple(f"{place}/" for place in _MOUNTED))
            found = (None if astray else _stat(client, container, link)) or {"mode": _LINK}
        if found is not None and found["mode"] & _NO_FILE:
            raise ParticipantFault(
                Verdict.CRASH, f"The image could not be started: its {path} is no plain file.", code="image_start",
                hint=f"Leave {path} as the base image has it, or remove it: every image runs as user {_limits.UID}.",
            )  # fmt: skip


def _stat(client: APIClient, container: str, path: str) -> dict[str, Any] | None:
    """Name, mode, size and link of a file in a container that need not run; None where there is none."""
    url = f"{client.base_url}/v{client.api_version}/containers/{container}/archive"
    answer = retried(lambda: client.head(url, params={"path": path}, timeout=client.timeout))
    if answer.status_code == _GONE:
        return None
    if answer.status_code >= 400:
        raise APIError("", answer, f"the daemon cannot look at {path} of the image (status {answer.status_code})")
    found: dict[str, Any] = json.loads(base64.b64decode(answer.headers["X-Docker-Container-Path-Stat"]))
    return found
