import os
import socket

from probe import TARGETS, attempt, finish, text_of

attempt("the host's name", lambda: socket.gethostname() not in ("sandbox", "localhost"))
attempt(
    "host paths in its mounts",
    lambda: (
        TARGETS["folder"].rpartition("/")[2] in text_of("/proc/self/mountinfo")
        or "overlay2" in text_of("/proc/self/mountinfo")
    ),
)
attempt("host paths in command lines", lambda: TARGETS["folder"] in text_of("/proc/1/cmdline"))
attempt("a machine id", lambda: os.path.exists("/etc/machine-id") and text_of("/etc/machine-id").strip())
finish()
