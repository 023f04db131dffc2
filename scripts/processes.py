"""Child processes that never outlive their parent.

Each child is the leader of a session of its own, so that a Ctrl-C at the terminal reaches only the
parent, which then ends its children in order. A parent that is killed takes its children along:
the kernel sends them `death` (Linux; elsewhere they are only ended by `stop`).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1
# Looked up here: between fork and exec as little as possible may happen.
_PRCTL = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


def spawn(
    argv: Sequence[str | Path],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    user: int | None = None,
    group: int | None = None,
    death: signal.Signals = signal.SIGTERM,
) -> subprocess.Popen[bytes]:
    """Start `argv`, with stdout and stderr appended to `log`. `user` and `group` need root."""
    parent = os.getpid()

    def follow_parent() -> None:
        # After the change of user: that change would clear the setting.
        if _PRCTL is not None:
            _PRCTL(_PR_SET_PDEATHSIG, int(death))
            if os.getppid() != parent:
                os._exit(1)

    log.parent.mkdir(parents=True, exist_ok=True)
    extra: dict[str, object] = {} if user is None else {"user": user, "group": group, "extra_groups": []}
    with log.open("ab") as output:
        return subprocess.Popen(
            [str(part) for part in argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=None if env is None else dict(env),
            cwd=cwd,
            start_new_session=True,
            preexec_fn=follow_parent,
            **extra,  # type: ignore[call-overload]
        )


def stop(process: subprocess.Popen[bytes], *, first: signal.Signals = signal.SIGTERM, grace: float = 10.0) -> int:
    """End a child and everything it started; return its exit status. Safe to repeat."""
    if process.poll() is None:
        process.send_signal(first)
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            process.kill()
    # What is left of its session: grandchildren of a leader that was killed.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


def tail(log: Path, lines: int = 20) -> str:
    """The last lines of a log, for an error message."""
    if not log.exists():
        return ""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
