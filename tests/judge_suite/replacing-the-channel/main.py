import os
import socket

from probe import attempt, finish

SOCKET = os.environ["TOUCHSTONE_SOCKET"]


def bind(path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
    return True


attempt("remove it", lambda: os.unlink(SOCKET) or True)
attempt("rename it", lambda: os.rename(SOCKET, SOCKET + ".old") or True)
attempt("close it to others", lambda: os.chmod(SOCKET, 0) or True)
attempt("own it", lambda: os.chown(SOCKET, 65534, 65534) or True)
attempt("bind beside it", bind, os.path.dirname(SOCKET) + "/other.sock")
attempt("link it away", lambda: os.link(SOCKET, "/tmp/channel.sock") or True)
finish()
