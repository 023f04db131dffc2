"""The sandbox's end of the channel: it dials the platform, and dials again if the platform's end was restarted.

Standard library only.
"""

from __future__ import annotations

import socket
import time

from touchstone_client._http import Handler, serve_connection

#: The platform's program may be restarted while this one runs on; it then listens at the same place again.
AGAIN_SECONDS = 20.0
PAUSE_SECONDS = 0.05


def dial(path: str, handler: Handler, *, again: float = AGAIN_SECONDS) -> None:
    """Connect to the platform's unix socket and answer on it until the platform is done.

    When the platform hangs up, dial again for up to `again` seconds: its program may have been restarted, and
    the new one knows nothing of the old conversation. Returns at once where the socket is gone (the platform is
    done), and where what came was no request. Raises `OSError` where the first try finds nobody.
    """
    connection: socket.socket | None = _connect(path)
    while connection is not None:
        with connection:
            if not _converse(connection, handler):
                return
        connection = _connect_again(path, time.monotonic() + again)


def _connect(path: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(path)
    except BaseException:
        connection.close()
        raise
    return connection


def _converse(connection: socket.socket, handler: Handler) -> bool:
    """Whether the other side hung up, be it in the middle of a word: a program that is killed does that."""
    try:
        return serve_connection(connection, handler)
    except ConnectionError:
        return True


def _connect_again(path: str, until: float) -> socket.socket | None:
    while time.monotonic() < until:
        time.sleep(PAUSE_SECONDS)
        try:
            return _connect(path)
        except FileNotFoundError:
            return None
        except OSError:
            continue
    return None
