import os

from probe import TARGETS, attempt, finish

for path in (
    "/etc/passwd",
    "/usr/bin/passwd",
    "/usr/bin/su",
    "/usr/bin/mount",
    "/submission/main.py",
    "/submission/targets.json",
    os.environ["TOUCHSTONE_SOCKET"],
    TARGETS["labels"],
    "/proc/self/exe",
    "/dev/null",
):
    attempt(path, lambda path=path: os.link(path, "/tmp/" + os.path.basename(path), follow_symlinks=True) or True)
finish()
