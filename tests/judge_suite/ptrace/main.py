import ctypes
import os

from probe import TARGETS, attempt, attempt_apart, call, finish

ATTACH, SEIZE = 16, 0x4206
PTRACE, VM_READ, VM_WRITE, PIDFD_OPEN, PIDFD_GETFD, KCMP = 101, 310, 311, 434, 438, 312
HOST = (TARGETS["judge_pid"], os.getppid() if os.getppid() > 1 else TARGETS["judge_pid"])


class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


def remote(number, pid):
    room = ctypes.create_string_buffer(64)
    local = Vector(ctypes.addressof(room), 64)
    there = Vector(ctypes.addressof(room), 64)
    return call(number, pid, ctypes.byref(local), 1, ctypes.byref(there), 1, 0)


for pid in sorted(set(HOST)):
    if pid == os.getpid():
        continue
    attempt_apart(f"attach to {pid}", call, PTRACE, ATTACH, pid, 0, 0)
    attempt_apart(f"seize {pid}", call, PTRACE, SEIZE, pid, 0, 0)
    attempt(f"read the memory of {pid}", remote, VM_READ, pid)
    attempt(f"write the memory of {pid}", remote, VM_WRITE, pid)
    attempt(f"a descriptor for {pid}", call, PIDFD_OPEN, pid, 0)
    attempt(f"kill {pid}", lambda pid=pid: os.kill(pid, 0) is None)


def stronger():
    """The engine's own first process can be traced by its own user: it must have no more rights than the rest."""
    with open("/proc/1/status") as file:
        status = dict(line.split(":", 1) for line in file if ":" in line)
    return int(status["CapEff"], 16) or status["Uid"].split()[1] == "0" or status["NoNewPrivs"].strip() != "1"


attempt("more rights by the first process", stronger)
finish()
