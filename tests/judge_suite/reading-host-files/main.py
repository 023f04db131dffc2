import glob
import os

from probe import TARGETS, attempt, can_read, finish

ROOT_HOME = "/" + "root"
PATHS = (
    "/etc/shadow",
    "/etc/gshadow",
    "/proc/kcore",
    "/dev/mem",
    "/dev/kmem",
    "/dev/port",
    "/dev/sda",
    "/dev/vda",
    "/dev/kmsg",
    "/proc/1/environ/../../../etc/shadow",
    "/var/lib/docker/image/overlay2/repositories.json",
    "/sys/kernel/debug/x",
    "/proc/keys",
    "/proc/timer_list",
    "/proc/sched_debug",
    "/proc/scsi/scsi",
    "/sys/firmware/acpi/tables/DSDT",
)


def listed(path):
    return os.listdir(path)


def descriptors():
    # Opened by the platform and left open for us: files that are no device and not ours.
    found = []
    for link in glob.glob("/proc/[0-9]*/fd/*"):
        try:
            target = os.readlink(link)
        except OSError:
            continue
        if target.startswith("/") and not target.startswith(("/dev/null", "/proc", "/submission", "/tmp")):
            found.append(target)
    return found


for path in PATHS:
    attempt(path, can_read, path)
for path in (
    ROOT_HOME,
    "/var/lib/docker",
    "/var/lib/containerd",
    TARGETS["folder"],
    os.path.dirname(TARGETS["folder"]),
):
    attempt(f"list {path}", listed, path)
attempt("descriptors that were left open", descriptors)
finish()
