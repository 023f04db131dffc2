"""First program of a bubblewrap sandbox: enters the cgroups, gives up root, becomes bwrap.

Run as `python -I -S _enter.py PLAN`; PLAN is JSON: `join` (files), `rlimits` (name → value), `binds`
(host paths), `tmpfs` (name → mount options), `uid` (or null: stay who we are), `argv`, `cpus` (or null).

A sandbox should run under a user id that owns nothing, yet what it is shown may lie below a
folder only root can enter. So root first binds those paths, in a mount namespace of its own, to
`STAGE/0`, `STAGE/1`, …, which anybody can enter, and only then changes its user id. Nothing of that
namespace outlives the sandbox. Only root can also give a sandbox file systems that count their files: they are
mounted at `STAGE/NAME`.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import sys

STAGES = ("/mnt", "/srv", "/opt")
_CLONE_NEWNS = 0x00020000
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 0x2, 0x4, 0x8
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000


def stage() -> str:
    """The folder that is covered by the staging mount: any that exists."""
    return next((folder for folder in STAGES if os.path.isdir(folder)), "/tmp")  # noqa: S108 - a mount point


def _check(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def _mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    arguments = [text.encode() for text in (source, target, kind)]
    result = libc.mount(*arguments, ctypes.c_ulong(flags), data.encode() or None)
    _check(result, f"mount {source} on {target}")


def _stage(paths: list[str], empty: dict[str, str]) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    _check(libc.unshare(_CLONE_NEWNS), "unshare the mount namespace")
    _mount("none", "/", "", _MS_REC | _MS_PRIVATE)
    opened = [os.open(path, os.O_PATH | os.O_CLOEXEC) for path in paths]
    folder = stage()
    _mount("touchstone", folder, "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=0755,size=1m")
    for index, (path, descriptor) in enumerate(zip(paths, opened, strict=True)):
        target = f"{folder}/{index}"
        if os.path.isdir(path):
            os.mkdir(target, 0o755)
        else:
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
        _mount(f"/proc/self/fd/{descriptor}", target, "", _MS_BIND)
    for name, options in empty.items():
        os.mkdir(f"{folder}/{name}", 0o755)
        _mount("touchstone", f"{folder}/{name}", "tmpfs", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, options)


def main() -> None:
    """Carry out the plan; does not return."""
    plan = json.loads(sys.argv[1])
    for file in plan["join"]:
        with open(file, "w") as group:
            group.write("0")
    if plan["cpus"] is not None:
        os.sched_setaffinity(0, plan["cpus"])
    if plan["uid"] is not None:
        _stage(plan["binds"], plan["tmpfs"])
        os.setgroups([])
        os.setresgid(plan["uid"], plan["uid"], plan["uid"])
        os.setresuid(plan["uid"], plan["uid"], plan["uid"])
    for name, value in plan["rlimits"].items():
        resource.setrlimit(getattr(resource, name), (value, value))
    os.execv(plan["argv"][0], plan["argv"])  # noqa: S606 - exactly this program, no shell


if __name__ == "__main__":
    main()
