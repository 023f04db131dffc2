"""A seccomp filter as classic BPF, for x86_64: what no inference server needs and kernel exploits like.

Layout of the data it looks at: `struct seccomp_data {int nr; u32 arch; u64 ip; u64 args[6];}`
(include/uapi/linux/seccomp.h); numbers: arch/x86/entry/syscalls/syscall_64.tbl.
"""

from __future__ import annotations

import errno
import platform
import socket
import struct

_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_NUMBER, _ARCH, _ARGUMENT = 0, 4, 16
_X86_64 = 0xC000003E
_X32 = 0x40000000
_CLONE, _CLONE3, _SOCKET, _SOCKETPAIR = 56, 435, 41, 53
#: CLONE_NEWTIME | NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET
NAMESPACES = 0x00000080 | 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000

DENIED = {
    "ptrace": 101, "syslog": 103, "vhangup": 153, "pivot_root": 155, "_sysctl": 156, "adjtimex": 159, "chroot": 161,
    "acct": 163, "settimeofday": 164, "mount": 165, "umount2": 166, "swapon": 167, "swapoff": 168, "reboot": 169,
    "sethostname": 170, "setdomainname": 171, "iopl": 172, "ioperm": 173, "create_module": 174, "init_module": 175,
    "delete_module": 176, "get_kernel_syms": 177, "query_module": 178, "quotactl": 179, "nfsservctl": 180,
    "lookup_dcookie": 212, "clock_settime": 227, "mbind": 237, "set_mempolicy": 238, "kexec_load": 246,
    "add_key": 248, "request_key": 249, "keyctl": 250, "migrate_pages": 256, "unshare": 272, "move_pages": 279,
    "perf_event_open": 298, "fanotify_init": 300, "name_to_handle_at": 303, "open_by_handle_at": 304,
    "clock_adjtime": 305, "setns": 308, "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312,
    "finit_module": 313, "kexec_file_load": 320, "bpf": 321, "userfaultfd": 323, "io_uring_setup": 425,
    "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428, "move_mount": 429, "fsopen": 430,
    "fsconfig": 431, "fsmount": 432, "fspick": 433, "pidfd_getfd": 438, "mount_setattr": 442, "quotactl_fd": 443,
}  # fmt: skip


def supported() -> bool:
    """Whether a filter exists for this machine."""
    return platform.machine() == "x86_64"


def _step(code: int, operand: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, operand)


def _refuse(number: int, error: int) -> bytes:
    return _step(_JUMP_EQUAL, number, 0, 1) + _step(_RETURN, _ERRNO | error)


def _only_unix(number: int) -> bytes:
    """For `number`, allow only the family AF_UNIX. Leaves another syscall's number loaded."""
    return (
        _step(_JUMP_EQUAL, number, 0, 4)
        + _step(_LOAD, _ARGUMENT)
        + _step(_JUMP_EQUAL, socket.AF_UNIX, 0, 1)
        + _step(_RETURN, _ALLOW)
        + _step(_RETURN, _ERRNO | errno.EPERM)
    )


def program() -> bytes:
    """The filter: wrong architecture kills, listed calls answer EPERM, sockets are unix sockets only."""
    steps = [
        _step(_LOAD, _ARCH), _step(_JUMP_EQUAL, _X86_64, 1, 0), _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER), _step(_JUMP_AT_LEAST, _X32, 0, 1), _step(_RETURN, _ERRNO | errno.EPERM),
        *(_refuse(number, errno.EPERM) for number in DENIED.values()),
        # The flags of clone3 lie behind a pointer, out of a filter's sight; ENOSYS makes libc use clone.
        _refuse(_CLONE3, errno.ENOSYS),
        _only_unix(_SOCKET), _only_unix(_SOCKETPAIR),
        _step(_JUMP_EQUAL, _CLONE, 0, 3), _step(_LOAD, _ARGUMENT),
        _step(_JUMP_SET, NAMESPACES, 0, 1), _step(_RETURN, _ERRNO | errno.EPERM),
        _step(_RETURN, _ALLOW),
    ]  # fmt: skip
    return b"".join(steps)
