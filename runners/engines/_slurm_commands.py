"""Slurm's commands, and what their failures mean."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass

from runners.engines._slurm_settings import command_environment
from runners.engines._slurm_states import JobState
from runners.errors import RetryableError

NAME = "touchstone"
_SECONDS = 60.0
_PAUSES = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
#: The controller, or its authentication, is away: it may be restarted.
_AWAY = (
    "unable to contact slurm controller", "connection refused", "connect failure", "socket timed out",
    "protocol authentication error", "munge", "temporarily unable", "backup controller", "zero bytes were transmitted",
)  # fmt: skip
#: The site's options, or the shared folder, are wrong: no run can start here.
_MISCONFIGURED = (
    "invalid partition", "invalid account", "invalid qos", "invalid feature", "invalid wckey", "invalid reservation",
    "requested reservation", "invalid generic resource", "user's group not permitted", "access/permission denied",
    "invalid node name", "unable to resolve", "could not establish a configuration", "invalid license",
)  # fmt: skip
_GONE = "invalid job id"
NO_SUCH_NODE = "slurm_no_such_node"


@dataclass(frozen=True)
class Listed:
    """A job of ours in the queue."""

    job: str
    comment: str


def call(argv: Sequence[str], *, stdin: str = "") -> str:
    """Run a command, again while the controller is away; its output. Raises `RetryableError`."""
    for pause in _PAUSES:
        done = _run(argv, stdin)
        if done.returncode == 0 or not is_away(done.stderr):
            break
        time.sleep(pause)
    else:
        done = _run(argv, stdin)
    if done.returncode != 0:
        raise fault(argv[0], done.stderr)
    return done.stdout


def fault(command: str, words: str) -> RetryableError:
    """What a refusal means."""
    said = " ".join(words.split())[-600:] or "no message"
    low = said.lower()
    if is_away(low):
        return RetryableError(f"Slurm's controller does not answer {command}: {said}", code="engine_gone")
    if "requested node configuration is not available" in low or "more processors requested" in low:
        text = f"No node of this cluster could ever hold the run: {said}"
        return RetryableError(text, code=NO_SUCH_NODE)
    if any(part in low for part in _MISCONFIGURED):
        text = f"Slurm refuses this node's settings (TOUCHSTONE_SLURM_OPTIONS, _GRES): {said}"
        return RetryableError(text, code="node_misconfigured")
    return RetryableError(f"{command} failed: {said}", code="engine_refused")


def is_away(words: str) -> bool:
    """Whether the words speak of a controller that cannot be reached now."""
    return any(part in words.lower() for part in _AWAY)


def submit(options: Sequence[str], script: str, *, comment: str) -> str:
    """`sbatch`; the job's id. A job whose id was lost with the connection is found by its comment, not made twice."""
    argv = ["sbatch", "--parsable", f"--job-name={NAME}", f"--comment={comment}", *options]
    for pause in _PAUSES:
        done = _run(argv, script)
        if done.returncode == 0:
            return done.stdout.strip().split(";")[0]
        if not is_away(done.stderr):
            raise fault("sbatch", done.stderr)
        time.sleep(pause)
        made = next((item.job for item in jobs() if item.comment == comment), None)
        if made is not None:
            return made
    raise fault("sbatch", done.stderr)


def state(job: str) -> JobState | None:
    """What Slurm knows of a job; None once it has forgotten it. Raises `RetryableError`."""
    done = _run(["scontrol", "show", "job", "-o", job], "")
    if done.returncode != 0:
        if _GONE in done.stderr.lower():
            return None
        raise fault("scontrol", done.stderr)
    return JobState.parse(done.stdout)


def jobs() -> list[Listed]:
    """Our jobs that wait or run, of all nodes of the platform that share this user."""
    lines = call(["squeue", "--noheader", "--me", f"--name={NAME}", "--format=%i|%k"]).splitlines()
    parted = [line.partition("|") for line in lines]
    return [Listed(job, comment.strip()) for job, _, comment in parted if comment.startswith(f"{NAME}/")]


def cancel(job: str) -> None:
    """End a job wherever it is; done where it has ended. Raises `RetryableError`."""
    call(["scancel", "--quiet", job])


def version() -> str:
    return call(["sinfo", "--version"]).strip().removeprefix("slurm-wlm ").removeprefix("slurm ")


def _run(argv: Sequence[str], stdin: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            argv, input=stdin, capture_output=True, text=True, errors="replace", timeout=_SECONDS,
            env=command_environment(), check=False, cwd="/",
        )  # fmt: skip
    except FileNotFoundError as error:
        text = f"{argv[0]} is not on this node's PATH: a Slurm engine needs a submit host with Slurm's commands"
        raise RetryableError(text, code="engine_missing") from error
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(list(argv), 1, "", f"socket timed out: no answer in {_SECONDS:g} s")
