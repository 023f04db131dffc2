"""What Slurm says of a job, and what that means for a run."""

from __future__ import annotations

import re
from dataclasses import dataclass

from runners.engines.base import Exit

#: Ended or not, nothing of the job runs any more or will by itself.
_FINAL = frozenset(
    {
        "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED",
        "REVOKED", "TIMEOUT",
    }
)  # fmt: skip
_WAITING = frozenset({"PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT"})
#: The words of slurmstepd in the job's output where memory ended it: by polling, by cgroup v1, by cgroup v2.
_MEMORY_WORDS = ("exceeded memory limit", "oom-kill", "oom_kill", "out-of-memory handler")
_FIELD = re.compile(r"(?:^| )(JobState|Reason|Restarts|ExitCode|BatchHost|NodeList)=(\S*)")


@dataclass(frozen=True)
class JobState:
    """One line of `scontrol show job -o`. `node` is empty while the job waits."""

    state: str
    reason: str = ""
    exit_code: str = ""
    restarts: int = 0
    node: str = ""

    @classmethod
    def parse(cls, line: str) -> JobState:
        """The first of each field counts: free text comes later in the line. Raises `ValueError`."""
        found: dict[str, str] = {}
        for key, value in _FIELD.findall(line):
            found.setdefault(key, value)
        if "JobState" not in found:
            raise ValueError(f"not a job of Slurm: {line[:200]!r}")
        node = found.get("BatchHost") or found.get("NodeList", "")
        return cls(
            state=found["JobState"].rstrip("+"), reason=found.get("Reason", ""), exit_code=found.get("ExitCode", ""),
            restarts=int(found.get("Restarts") or 0), node="" if node == "(null)" else node,
        )  # fmt: skip

    @property
    def waits(self) -> bool:
        """In the queue, for the first time or again."""
        return self.state in _WAITING

    @property
    def ended(self) -> bool:
        return self.state in _FINAL

    @property
    def fell_over(self) -> bool:
        """Its program ended by itself: nothing that Slurm or the node did."""
        return self.state in ("FAILED", "COMPLETED")

    @property
    def words(self) -> str:
        """For a message."""
        reason = f" ({self.reason})" if self.reason not in ("", "None", "(null)") else ""
        return f"{self.state}{reason}"


def exit_of(job: JobState, *, output: str, killed: bool, due: bool, apart: bool) -> Exit:
    """How a job ended of which its step could not tell.

    Args:
        output: what Slurm and the step wrote; nothing of the submission gets there.
        killed: we asked for it.
        due: the submission's own time is over.
        apart: the sandbox's memory has a limit and an account of its own, so that what Slurm counted is our step's.
    """
    memory = not apart and _memory(job, output)
    if memory:
        return Exit(137, memory=True)
    if killed:
        return Exit(None, killed=True)
    if job.state == "TIMEOUT" and due:
        return Exit(None, timeout=True, killed=True)
    # An operator, a higher priority, a node that went, a step that fell over, or one that was slow to start: nothing of
    # the submission's doing.
    return Exit(None, lost=True)


def _memory(job: JobState, output: str) -> bool:
    return job.state == "OUT_OF_MEMORY" or any(words in output for words in _MEMORY_WORDS)
