"""Runs inside a sandbox and tries what a hostile submission would try. Prints one JSON object.

Standard library only; its text is handed to `python -c`. `python -c TEXT memory` only allocates
300 MB, `… forks N` tries to have N processes at once; `… HOST:PORT…` names more that it must not reach.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import socket
import sys
import time

_CLONE_NEWUSER = 0x10000000
_PR_GET_NO_NEW_PRIVS = 39


def _status(key: str) -> str:
    with open("/proc/self/status") as file:
        return next((line.split(":", 1)[1].strip() for line in file if line.startswith(key + ":")), "")


def _can_write(path: str) -> bool:
    try:
        with open(path, "w") as file:
            file.write("x")
        os.unlink(path)
    except OSError:
        return False
    return True


def _can_connect(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=0.5).close()
    except OSError:
        return False
    return True


def _can_list(path: str) -> bool:
    try:
        return bool(os.listdir(path))
    except OSError:
        return False


def _value(name: str, *arguments: object) -> int:
    return int(getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments))


def _call(name: str, *arguments: object) -> bool:
    return _value(name, *arguments) == 0


def _files(folder: str, most: int) -> int:
    """How many empty files fit, up to `most`."""
    made = []
    try:
        for number in range(most):
            made.append(f"{folder}/file-{number}")
            with open(made[-1], "x"):
                pass
        return most
    except OSError:
        return len(made) - 1
    finally:
        for path in made:
            with contextlib.suppress(OSError):
                os.unlink(path)


def _channel() -> bool:
    """Whether the platform's socket, where there is one, can be reached."""
    path = os.environ.get("TOUCHSTONE_SOCKET")
    if path is None:
        return False
    try:
        with socket.socket(socket.AF_UNIX) as talk:
            talk.settimeout(2)
            talk.connect(path)
    except OSError:
        return False
    return True


def _around() -> list[tuple[str, int]]:
    """The API server and DNS of a cluster, as its nodes tell every container of them."""
    found = []
    if host := os.environ.get("KUBERNETES_SERVICE_HOST"):
        found.append((host, int(os.environ.get("KUBERNETES_SERVICE_PORT") or 443)))
    with contextlib.suppress(OSError), open("/etc/resolv.conf") as file:
        names = [line.split()[1] for line in file if line.startswith("nameserver ")]
        found += [(name, 53) for name in names if not name.startswith("127.") and name != "::1"]
    return found


def look(addresses: list[str]) -> dict[str, object]:
    """What this process is and can do."""
    given = [(host.strip("[]"), int(port)) for host, _, port in (text.rpartition(":") for text in addresses)]
    with open("/proc/net/dev") as file:
        interfaces = [line.split(":")[0].strip() for line in file if ":" in line]
    folders = ("", "/usr", "/etc", "/submission", "/run", "/run/touchstone", "/dev", "/var/tmp", "/opt")  # noqa: S108
    places = [f"{folder}/x" for folder in folders]
    return {
        "uid": os.getuid(), "gid": os.getgid(), "groups": os.getgroups(), "capabilities": _status("CapEff"),
        "bounding": _status("CapBnd"), "no_new_privileges": _value("prctl", _PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1,
        "seccomp": _status("Seccomp") == "2", "interfaces": interfaces,
        "connects": any(map(_can_connect, [("1.1.1.1", 53), ("172.17.0.1", 22), *_around(), *given])),
        "writable": [path for path in places if _can_write(path)], "tmp": _can_write("/tmp/x"),  # noqa: S108
        "host_root": _can_list("/root"), "docker_socket": os.path.exists("/var/run/docker.sock"),
        "processes": sum(name.isdigit() for name in os.listdir("/proc")),
        "kernel": os.uname().release, "channel": _channel(), "files": _files("/tmp", 8192),  # noqa: S108
        "mounts": _call("mount", b"none", b"/tmp", b"tmpfs", 0, None),
        "user_namespace": _call("unshare", _CLONE_NEWUSER), "environment": sorted(os.environ),
    }  # fmt: skip


def forks(count: int) -> int:
    """How many of `count` processes could be had at once."""
    children = []
    try:
        for _ in range(count):
            child = os.fork()
            if child == 0:
                time.sleep(30)
                os._exit(0)
            children.append(child)
    except OSError:
        pass
    finally:
        for child in children:
            os.kill(child, 9)
    return len(children)


if __name__ == "__main__":
    if sys.argv[1:2] == ["memory"]:
        data = bytearray(300 * 10**6)
        data[::4096] = b"x" * len(data[::4096])
        print(json.dumps({"allocated": len(data)}))  # noqa: T201 - read by the engine
    elif sys.argv[1:2] == ["forks"]:
        print(json.dumps({"forks": forks(int(sys.argv[2]))}))  # noqa: T201
    else:
        print(json.dumps(look(sys.argv[1:])))  # noqa: T201
