import glob
import os

from probe import TARGETS, attempt, can_read, finish, text_of


def others():
    here = {os.getpid(), os.getppid(), 1}
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) not in here and int(name) < 2**22]


def strangers():
    found = []
    for pid in others():
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                line = file.read()
        except OSError:
            continue
        if line and b"main.py" not in line:
            found.append((pid, line[:80]))
    return found


def outside_folder():
    found = glob.glob("/run/touchstone/../*") + glob.glob("/submission/../*/main.py")
    return [path for path in found if "touchstone" not in path and "submission" not in path and "lock" not in path]


attempt("processes of others", strangers)
attempt("a neighbour's file", can_read, "/tmp/secret")
attempt("its memory", can_read, f"/proc/{TARGETS['judge_pid']}/mem")
attempt("its files by number", can_read, f"/proc/{TARGETS['judge_pid']}/environ")
attempt("System V shared memory", lambda: text_of("/proc/sysvipc/shm").count("\n") > 1)
attempt("message queues", lambda: os.listdir("/dev/mqueue"))
attempt("other channels", outside_folder)
attempt("names of other containers", lambda: "neighbour" in text_of("/proc/self/mountinfo"))
finish()
