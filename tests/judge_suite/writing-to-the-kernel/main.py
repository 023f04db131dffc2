import glob
import os

from probe import attempt, can_write, finish

for path in (
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/modprobe",
    "/proc/sys/vm/overcommit_memory",
    "/proc/sysrq-trigger",
    "/proc/sys/fs/binfmt_misc/register",
    "/proc/sys/kernel/hostname",
    "/proc/irq/0/smp_affinity",
    "/proc/sys/kernel/ns_last_pid",
    "/sys/kernel/uevent_helper",
    "/sys/power/state",
    "/proc/self/uid_map",
):
    attempt(path, can_write, path, b"1")
attempt("being spared when memory is short", can_write, "/proc/self/oom_score_adj", b"-900")
for folder in ("/sys/fs/cgroup", *glob.glob("/sys/fs/cgroup/*")):
    for name in (
        "release_agent",
        "notify_on_release",
        "memory.limit_in_bytes",
        "memory.max",
        "pids.max",
        "cgroup.procs",
    ):
        path = os.path.join(folder, name)
        if os.path.exists(path):
            attempt(path, can_write, path, b"1")
    attempt(f"a group below {folder}", lambda folder=folder: os.mkdir(os.path.join(folder, "breach")) or True)
finish()
