"""The platform's end of the channel: a unix socket in a folder that is shown to one sandbox."""

from __future__ import annotations

import os
import select
import shutil
import socket
import tempfile
from pathlib import Path
from types import TracebackType

SOCKET_NAME = "channel.sock"


class Listener:
    """Listens in a fresh folder below `parent`.

    `folder` is what the engine shows at `/run/touchstone`. Its own mode lets any user in, because the
    sandbox runs under a user id of its own; the folder around it lets nobody in, so that no other
    user of the host reaches the socket.
    """

    def __init__(self, parent: Path) -> None:
        self._private = Path(tempfile.mkdtemp(prefix="channel-", dir=parent))  # mode 0700
        self.folder = self._private / "run"
        self.folder.mkdir(mode=0o755)
        self.folder.chmod(0o755)  # mkdir is subject to the umask
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._bind()
        self._socket.listen(8)
        self._socket.setblocking(False)

    def _bind(self) -> None:
        # A socket's path may have 107 bytes, a work folder's may have more: bind relative to the open folder.
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._socket.bind(f"/proc/self/fd/{descriptor}/{SOCKET_NAME}")
        finally:
            os.close(descriptor)
        (self.folder / SOCKET_NAME).chmod(0o666)

    def accept(self, seconds: float) -> socket.socket | None:
        """The next connection, or None if none comes within `seconds`."""
        if not select.select([self._socket], [], [], max(0.0, seconds))[0]:
            return None
        try:
            connection, _ = self._socket.accept()
        except BlockingIOError:  # it hung up between select and accept
            return None
        connection.setblocking(True)
        return connection

    def close(self) -> None:
        """Stop listening and remove the folder. Safe to repeat."""
        self._socket.close()
        shutil.rmtree(self._private, ignore_errors=True)

    def __enter__(self) -> Listener:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
