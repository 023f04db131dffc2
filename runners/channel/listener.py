"""The platform's end of the channel: a unix socket in a folder that is shown to one sandbox."""

from __future__ import annotations

import os
import secrets
import select
import shutil
import socket
import tempfile
from pathlib import Path
from types import TracebackType

SOCKET_NAME = "channel.sock"


class Listener:
    """Listens in a folder below `parent`: a fresh one, or the one called `name`.

    `folder` is what the engine shows at `/run/touchstone`. Its own mode lets any user in, because the
    sandbox runs under a user id of its own; the folder around it lets nobody in, so that no other
    user of the host reaches the socket.

    With a `name` the folder outlives a process that is killed, and the next `Listener` of that name listens in
    the same folder, so that a sandbox which still runs finds it there. It takes over from one that is still open.
    """

    def __init__(self, parent: Path, *, name: str = "") -> None:
        if name != Path(name).name or name == "..":  # removing the folder must not reach beyond it
            raise ValueError(f"{name!r} is no name of a folder")
        self._private = parent / name if name else Path(tempfile.mkdtemp(prefix="channel-", dir=parent))
        self._private.mkdir(mode=0o700, exist_ok=True)
        self._private.chmod(0o700)
        self.folder = self._private / "run"
        self.folder.mkdir(mode=0o755, exist_ok=True)
        self.folder.chmod(0o755)  # mkdir is subject to the umask
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._inode = self._bind()
        self._socket.setblocking(False)

    def _bind(self) -> int:
        """Listen under a name of our own, then take the real one: whoever dials never finds the name missing."""
        own = f"{SOCKET_NAME}.{os.getpid()}.{secrets.token_hex(4)}"
        # A socket's path may have 107 bytes, a work folder's may have more: bind relative to the open folder.
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._socket.bind(f"/proc/self/fd/{descriptor}/{own}")
            (self.folder / own).chmod(0o666)
            self._socket.listen(8)
            inode = os.stat(own, dir_fd=descriptor).st_ino
            os.replace(own, SOCKET_NAME, src_dir_fd=descriptor, dst_dir_fd=descriptor)
        finally:
            os.close(descriptor)
        return inode

    def _is_ours(self) -> bool:
        try:
            return (self.folder / SOCKET_NAME).stat().st_ino == self._inode
        except OSError:
            return True

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
        """Stop listening and remove the folder, unless another listens there by now. Safe to repeat."""
        ours = self._socket.fileno() >= 0 and self._is_ours()
        self._socket.close()
        if ours:
            shutil.rmtree(self._private, ignore_errors=True)

    def leave(self) -> None:
        """Stop listening, and leave the folder to the next listener of its name. Safe to repeat."""
        self._socket.close()

    def __enter__(self) -> Listener:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
