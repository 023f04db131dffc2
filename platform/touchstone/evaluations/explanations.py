"""What happened, why, and what to do next: for every state a run can be in, in plain words. The one place for them."""

from __future__ import annotations

from dataclasses import dataclass

from touchstone.evaluations.models import Run, RunStatus


@dataclass(frozen=True)
class Explanation:
    """Three sentences for a person. `fault` names who has to act: you, organiser, platform or nobody."""

    what: str
    why: str
    next: str
    fault: str = "nobody"


_NOT_COUNTED = "It does not count against your quota."

#: By verdict: what happened, a reason where the node gave none, the next step where it gave none.
_PARTICIPANT: dict[str, tuple[str, str, str]] = {
    "timeout": (
        "The submission took too long and was stopped.",
        "It did not start, or did not answer, within the time this competition allows.",
        "Time it on the public sample with the limits of the rules page; make it faster or smaller, and submit again.",
    ),
    "memory": (
        "The submission used more memory than allowed and was stopped.",
        "The operating system ended it at the limit of the rules page; swap is not available.",
        "Load less at once, use a smaller model or smaller batches, and try it under the same limit first.",
    ),
    "output_limit": (
        "The submission wrote more than allowed and was stopped.",
        "The amount a submission may write to its log and its disk is limited.",
        "Print less, remove debug output, and submit again.",
    ),
    "crash": (
        "The submission ended by itself before it had answered everything.",
        "The log below ends with what it said last.",
        "Run it on the public sample as the starting kit shows, correct the error, and submit again.",
    ),
    "invalid_output": (
        "The submission answered something that cannot be scored.",
        "The shape, the type or the values of its answers are not those that the competition asks for.",
        "Compare its output with the format on the data page, correct it, and submit again.",
    ),
}

_WAITING: dict[str, tuple[str, str, str]] = {
    RunStatus.RECEIVED: (
        "The submission has arrived.",
        "It waits for the check of its file, which takes seconds.",
        "Nothing to do.",
    ),
    RunStatus.CHECKING: (
        "The file is being checked.",
        "A broken file is told at once instead of after a wait in the queue.",
        "Nothing to do.",
    ),
    RunStatus.RUNNING: (
        "The submission is being evaluated.",
        "A worker node runs it; its history is below.",
        "Nothing to do.",
    ),
    RunStatus.SCORED: (
        "The submission was evaluated.",
        "Every metric has a value, or says why it has none.",
        "See the results, and where they put you on the leaderboard.",
    ),
}


def explain(
    *, run: Run, position: int | None = None, nodes_online: int | None = None, results_hidden: str = ""
) -> Explanation:
    """The explanation of a run's present state. `results_hidden` says why a scored run shows no numbers."""
    status = RunStatus(run.status)
    if status == RunStatus.QUEUED:
        return _queued(run, position, nodes_online)
    if status == RunStatus.SCORED and results_hidden:
        return Explanation(_WAITING[status][0], results_hidden, "Nothing to do: your submission counts.")
    if status in _WAITING:
        return Explanation(*_WAITING[status])
    if status == RunStatus.REJECTED:
        return Explanation(
            "The file was not accepted, and nothing was run.", run.message,
            f"{run.hint or 'Correct the file and submit it again.'} {_NOT_COUNTED}", "you",
        )  # fmt: skip
    if status == RunStatus.CANCELLED:
        counted = "It counts against your quota, for it had started." if run.counts_quota else _NOT_COUNTED
        return Explanation(
            "The run was cancelled.", "You or an organiser asked for it.", f"Submit again when you like. {counted}"
        )
    return _failed(run)


def _queued(run: Run, position: int | None, nodes_online: int | None) -> Explanation:
    if nodes_online == 0:
        return Explanation(
            "The submission waits in the queue.",
            f"No worker that can run it is online (queue {run.queue}).",
            "Nothing to do: it starts as soon as one comes back. If this lasts, tell the organisers.", "platform",
        )  # fmt: skip
    lost = f" An earlier attempt was lost through us; this will be attempt {run.attempt + 1}." if run.faults else ""
    place = f"It is number {position} in the queue." if position else "It is in the queue."
    return Explanation("The submission waits for a worker.", place + lost, "Nothing to do.")


def _failed(run: Run) -> Explanation:
    if run.verdict == "scorer":
        return Explanation(
            "The evaluation failed because of the competition, not of your submission.",
            run.message or "The competition's data or metrics make a score impossible.",
            f"{run.hint or 'Tell the organisers; this page has what they need.'} {_NOT_COUNTED}", "organiser",
        )  # fmt: skip
    if run.verdict in _PARTICIPANT:
        what, why, step = _PARTICIPANT[run.verdict]
        return Explanation(what, run.message or why, run.hint or step, "you")
    return Explanation(
        "The evaluation failed because of the platform, not of your submission.",
        run.message or "The worker that ran it was lost.",
        f"Submit again; if it fails again, tell the platform's operators the id of this run. {_NOT_COUNTED}",
        "platform",
    )  # fmt: skip
