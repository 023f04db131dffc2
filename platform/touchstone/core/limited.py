"""Runs a module in a Python process of its own, under limits. Files of strangers are opened there and nowhere else.

The process gets none of our environment: no secrets, no database.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

#: Address space holds the libraries that are mapped (pyarrow, onnx) and the largest file that is read whole.
MEMORY = 6 * 2**30
_FILE_SIZE = 2**28
_OPEN_FILES = 1024

#: Sets its own limits before anything else is imported: no `preexec_fn`, which is unsafe beside threads.
_LAUNCH = """
import resource, runpy, sys
module, memory, cpu, size, files = sys.argv[1], *(int(x) for x in sys.argv[2:6])
for what, limit in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CPU, cpu), (resource.RLIMIT_FSIZE, size),
                    (resource.RLIMIT_NOFILE, files), (resource.RLIMIT_CORE, 0)):
    resource.setrlimit(what, (limit, limit))
sys.argv = [module, *sys.argv[6:]]
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""


class LimitedTimeout(Exception):
    """The process did not end in time; it was killed with all its children."""


@dataclass(frozen=True)
class Ended:
    """How the process ended. A negative code is the signal that ended it."""

    code: int
    out: bytes
    err: bytes

    @property
    def last_line(self) -> str:
        """The last thing it complained about."""
        lines = self.err.decode("utf-8", "replace").strip().splitlines()
        return lines[-1][:300] if lines else "no message"


def run_limited(module: str, *arguments: str, folder: Path, seconds: float) -> Ended:
    """Run `python -m module arguments` in `folder`. Raises `LimitedTimeout`."""
    limits = [MEMORY, int(seconds) + 1, _FILE_SIZE, _OPEN_FILES]
    # Output goes to files, which the limit on files bounds; a pipe would fill our memory.
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            [sys.executable, "-c", _LAUNCH, module, *map(str, limits), *arguments],
            stdin=subprocess.DEVNULL, stdout=out, stderr=err,
            cwd=folder, env=_environment(folder), start_new_session=True,
        )  # fmt: skip
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise LimitedTimeout(f"{module} took longer than {seconds:.0f} s") from None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        out.seek(0)
        err.seek(0)
        return Ended(process.returncode, out.read(), err.read())


def _environment(folder: Path) -> dict[str, str]:
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        # Absolute, without the entry for "here": the folder holds files of strangers.
        "PYTHONPATH": os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path if entry),
        "PYTHONSAFEPATH": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "LC_ALL": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
