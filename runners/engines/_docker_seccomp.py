"""The seccomp profile of containers under runc: what a program that computes and answers needs, and nothing more.

Stricter than the daemon's own profile, which in Docker 20.10 allows io_uring (where most kernel holes of the last years
were), ptrace, and sockets of every family: vsock reaches the hypervisor past any network namespace. Written as the
daemon takes it: names of system calls (Linux 6.1, x86_64 and arm64) that are allowed; the rest answers EPERM, and what
is newer than the list ENOSYS (runc sees to that). Calls of a foreign architecture (32 bits on x86_64) end the process.
"""

from __future__ import annotations

import errno
import json
import socket
from functools import cache
from typing import Any

from runners.engines._seccomp import NAMESPACES

_NAMES = """
accept accept4 access alarm arch_prctl bind brk capget capset chdir chmod chown clock_getres clock_getres_time64
clock_gettime clock_gettime64 clock_nanosleep clock_nanosleep_time64 close close_range connect copy_file_range
creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2
execve execveat exit exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate fchdir fchmod fchmodat
fchown fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstat64
fstatat fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futex futex_time64 futex_waitv futimesat
get_robust_list getcpu getcwd getdents getdents64 getegid geteuid getgid getgroups getitimer getpeername getpgid
getpgrp getpid getppid getpriority getrandom getresgid getresuid getrlimit getrusage getsid getsockname
getsockopt gettid gettimeofday getuid getxattr inotify_add_watch inotify_init inotify_init1 inotify_rm_watch
io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit ioctl ioprio_get
ioprio_set kill landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lgetxattr link linkat
listen listxattr llistxattr llseek lremovexattr lseek lsetxattr lstat lstat64 madvise membarrier memfd_create
mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mmap2 mprotect mq_getsetattr mq_notify mq_open
mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink mremap msgctl msgget msgrcv
msgsnd msync munlock munlockall munmap nanosleep newfstatat open openat openat2 pause pidfd_open
pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl pread64 preadv
preadv2 prlimit64 process_mrelease pselect6 pselect6_time64 pwrite64 pwritev pwritev2 read readahead readlink
readlinkat readv recvfrom recvmmsg recvmmsg_time64 recvmsg removexattr rename renameat renameat2 restart_syscall
rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait
rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getaffinity
sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64
sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select semctl semget semop
semtimedop semtimedop_time64 sendfile sendfile64 sendmmsg sendmsg sendto set_robust_list set_tid_address
setfsgid setfsuid setgid setgroups setitimer setpgid setpriority setregid setresgid setresuid setreuid setrlimit
setsid setsockopt setuid setxattr shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 socketpair
splice stat stat64 statfs statfs64 statx symlink symlinkat sync sync_file_range sync_file_range2 syncfs sysinfo
tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime
timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 times tkill
truncate truncate64 umask uname unlink unlinkat utime utimensat utimensat_time64 utimes vfork vmsplice wait4
waitid write writev
"""
ALLOWED = frozenset(_NAMES.split())
#: Servers in images listen on loopback in their own namespace; libraries ask for interfaces by netlink.
FAMILIES = frozenset({socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK})
#: Linux as it is, 32-bit addresses and old version numbers, and the question: not the switches that weaken a process.
_PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)


def _rule(name: str, action: str, *conditions: dict[str, Any], error: int | None = None) -> dict[str, Any]:
    rule: dict[str, Any] = {"names": [name], "action": action}
    if conditions:
        rule["args"] = list(conditions)
    if error is not None:
        rule["errnoRet"] = error
    return rule


@cache
def profile() -> str:
    """The profile as JSON."""
    allow, refuse = "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"
    rules = [
        {"names": sorted(ALLOWED), "action": allow},
        # The flags of clone3 lie behind a pointer, out of a filter's sight; ENOSYS makes libc use clone.
        _rule("clone3", refuse, error=errno.ENOSYS),
        _rule("clone", allow, {"index": 0, "value": NAMESPACES, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}),
        *(_rule("socket", allow, {"index": 0, "value": int(f), "op": "SCMP_CMP_EQ"}) for f in sorted(FAMILIES)),
        *(_rule("personality", allow, {"index": 0, "value": p, "op": "SCMP_CMP_EQ"}) for p in _PERSONALITIES),
    ]
    return json.dumps({"defaultAction": refuse, "syscalls": rules})
