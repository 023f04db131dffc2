import glob
import os
import stat

from probe import attempt, finish

HARMLESS = {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "console"}


def make(kind, major, minor):
    path = f"/tmp/device-{kind}-{major}-{minor}"
    os.mknod(path, kind | 0o666, os.makedev(major, minor))
    with open(path, "rb") as device:
        return bool(device.read(16))


def unusual():
    found = []
    for path in glob.glob("/dev/*"):
        mode = os.lstat(path).st_mode
        if (stat.S_ISCHR(mode) or stat.S_ISBLK(mode)) and os.path.basename(path) not in HARMLESS:
            found.append(path)
    return found


attempt("a disk", make, stat.S_IFBLK, 8, 0)
attempt("a virtual disk", make, stat.S_IFBLK, 254, 0)
attempt("a loop device", make, stat.S_IFBLK, 7, 0)
attempt("the memory", make, stat.S_IFCHR, 1, 1)
attempt("the kernel's messages", make, stat.S_IFCHR, 1, 11)
attempt("FUSE", make, stat.S_IFCHR, 10, 229)
attempt("devices that are there", unusual)
finish()
