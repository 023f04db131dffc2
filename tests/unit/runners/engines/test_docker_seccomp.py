import errno
import json
import socket

from runners.engines import _docker_seccomp, _seccomp

PROFILE = json.loads(_docker_seccomp.profile())
RULES = PROFILE["syscalls"]


def rules_of(name):
    return [rule for rule in RULES if name in rule["names"]]


def test_nothing_is_allowed_but_what_is_listed():
    assert PROFILE["defaultAction"] == "SCMP_ACT_ERRNO"
    assert {rule["action"] for rule in RULES} == {"SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"}
    # Named, the architectures would be those that are allowed beside the machine's own.
    assert set(PROFILE) == {"defaultAction", "syscalls"}


def test_what_bubblewrap_refuses_is_refused_here_too():
    assert set(_seccomp.DENIED) & _docker_seccomp.ALLOWED == set()
    for name in ("io_uring_setup", "userfaultfd", "bpf", "keyctl", "ptrace", "perf_event_open", "unshare", "setns"):
        assert rules_of(name) == []


def test_what_any_program_needs_is_allowed_without_condition():
    for name in ("read", "write", "mmap", "futex", "execve", "openat", "fork", "connect", "accept4", "memfd_create"):
        assert [rule["action"] for rule in rules_of(name)] == ["SCMP_ACT_ALLOW"]
        assert all("args" not in rule for rule in rules_of(name))


def test_processes_are_made_without_namespaces():
    (rule,) = rules_of("clone")
    (condition,) = rule["args"]
    assert condition == {"index": 0, "value": _seccomp.NAMESPACES, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}
    (rule,) = rules_of("clone3")
    assert (rule["action"], rule["errnoRet"]) == ("SCMP_ACT_ERRNO", errno.ENOSYS)


def test_sockets_are_of_few_families():
    allowed = {rule["args"][0]["value"] for rule in rules_of("socket")}
    assert allowed == {socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK}
    assert socket.AF_VSOCK not in allowed
    assert all(rule["args"][0]["op"] == "SCMP_CMP_EQ" for rule in rules_of("socket"))
