"""Runs the intake check of a file in a process of its own, under limits.

The file is somebody else's. It is never opened by the server itself.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: Address space holds the libraries that are mapped (pyarrow, onnx) and the largest file that is read whole.
_MEMORY = 6 * 2**30
_FILE_SIZE = 2**26
_OPEN_FILES = 256

#: Sets its own limits before anything else is imported: no `preexec_fn`, which is unsafe beside threads.
_LAUNCH = """
import resource, runpy, sys
memory, cpu, size, files = (int(x) for x in sys.argv[1:5])
for what, limit in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CPU, cpu), (resource.RLIMIT_FSIZE, size),
                    (resource.RLIMIT_NOFILE, files), (resource.RLIMIT_CORE, 0)):
    resource.setrlimit(what, (limit, limit))
sys.argv = ["runners.intake", *sys.argv[5:]]
runpy.run_module("runners.intake", run_name="__main__", alter_sys=True)
"""


class IntakeBroken(Exception):
    """The check could not be made. Our fault, and so tried again."""


@dataclass(frozen=True)
class IntakeReport:
    """What the check found. `defects` are {code, message, where, hint}; none means the file is good."""

    defects: tuple[dict[str, Any], ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)


def intake_check(
    *, kind: str, file: Path, name: str, spec: dict[str, Any], ids: Path | None, seconds: float
) -> IntakeReport:
    """Check one artifact. `name` is the name it gets for the check. Raises `IntakeBroken`."""
    with tempfile.TemporaryDirectory(prefix="touchstone-intake-") as folder:
        place = Path(folder)
        _link(file, place / name)
        (place / "spec.json").write_text(json.dumps(spec))
        argv = [kind, str(place / name), "--spec", str(place / "spec.json")]
        if ids is not None:
            argv += ["--ids", str(ids)]
        code, out, err = _run(argv, folder=place, seconds=seconds)
    return _read(code, out, err)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)


def _run(argv: list[str], *, folder: Path, seconds: float) -> tuple[int, bytes, bytes]:
    limits = [_MEMORY, int(seconds) + 1, _FILE_SIZE, _OPEN_FILES]
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "LC_ALL": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    process = subprocess.Popen(
        [sys.executable, "-c", _LAUNCH, *map(str, limits), *argv],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        cwd=folder, env=environment, start_new_session=True,
    )  # fmt: skip
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise IntakeBroken(f"the check took longer than {seconds:.0f} s") from None
    return process.returncode, out, err


def _read(code: int, out: bytes, err: bytes) -> IntakeReport:
    """Exit 0 is good, 1 has defects; anything else is a check that could not be made."""
    if code not in (0, 1):
        last = err.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no message"]
        raise IntakeBroken(f"the check ended with status {code}: {last[0][:300]}")
    try:
        body = json.loads(out)
        ok, defects, facts = bool(body["ok"]), tuple(body["defects"]), dict(body.get("facts") or {})
    except (ValueError, KeyError, TypeError) as error:
        raise IntakeBroken(f"the check wrote something else than its report: {error}") from error
    if ok == bool(defects):
        raise IntakeBroken("the check says ok and lists defects, or neither")
    return IntakeReport(defects, facts)
