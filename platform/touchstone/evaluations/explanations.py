"""What happened, why, and what to do next: for every state a run can be in, in plain words. The one place for them."""

from __future__ import annotations

from dataclasses import dataclass

from runners.contract import IMAGE_PULL
from touchstone.evaluations.models import Run, RunStatus


@dataclass(frozen=True)
class Explanation:
    """Three sentences for a person. `fault` names who has to act: you, organiser, platform or nobody."""

    what: str
    why: str
    next: str
    fault: str = "nobody"


_NOT_COUNTED = "It does not count against your quota."
_COUNTED = "It counts against your quota."
#: Nothing was scored, so nothing of the quota is taken; but a node's time was.
_FAILURE_COUNTED = "It takes none of your quota; failed submissions have a limit of their own for each day."

#: By verdict: what happened, a reason where the node gave none, the next step where it gave none.
_PARTICIPANT: dict[str, tuple[str, str, str]] = {
    "timeout": (
        "The submission took too long and was stopped.",
        "It did not start, or did not answer, within the time this competition allows.",
        "Time it on data that you can download, with the limits of the rules page; make it faster or smaller.",
    ),
    "memory": (
        "The submission used more memory than allowed and was stopped.",
        "It reached the memory limit that the rules page names; there is no swap.",
        "Load less at once, use a smaller model or smaller batches, and try it under the same limit.",
    ),
    "output_limit": (
        "The submission wrote more than allowed and was stopped.",
        "What a submission may write to its log and to its disk is limited; the rules page says how much.",
        "Print less, and keep fewer temporary files.",
    ),
    "crash": (
        "The submission ended by itself before it had answered everything.",
        "It exited, or an error ended it, while answers were still due.",
        "Read the end of its log, run it on data that you can download, and correct the error.",
    ),
    "invalid_output": (
        "The submission answered something that cannot be scored.",
        "The shape, the type or the values of its answers are not those that the competition asks for.",
        "Compare its output with the format on the data page, and correct it.",
    ),
}

#: By code, where a verdict alone does not tell what to do: the same three.
_BY_CODE: dict[str, tuple[str, str, str]] = {
    "too_slow": (
        "The submission would not have finished in time, so it was stopped after the sample.",
        "The time that it took for the public sample, carried over to all items, is more than the limit.",
        "Answer several items at once, use a smaller model, or load it faster; the log of the sample shows its start.",
    ),
    "start_timeout": (
        "The submission was not ready in time and was stopped.",
        "It did not begin to answer within the time that the rules page gives for the start.",
        "Load less before the first answer, and download nothing: there is no network.",
    ),
    "image_refused": (
        "The image was not accepted by the node's engine.",
        "It is not an image as `docker save` or a push to the registry makes it.",
        "Build it again with Docker, and try it with `docker run --network none --read-only IMAGE`.",
    ),
    "image_too_large": (
        "The image is larger than allowed.",
        "The rules page names the largest size, unpacked.",
        "Build it from a smaller base, and in fewer layers.",
    ),
    "image_start": (
        "The image could not be started.",
        "Its entry point does not exist, cannot be executed, or is for another kind of processor.",
        "Try it with `docker run --network none --read-only IMAGE`.",
    ),
    "image_volumes": (
        "The image declares volumes, which no sandbox here gives.",
        "A volume would be a place to write that no limit holds.",
        "Build it without VOLUME; write to /tmp.",
    ),
}
#: Faults of the platform: a reason where the node gave none, and what helps besides trying again.
_PLATFORM: dict[str, tuple[str, str]] = {
    "node_misconfigured": (
        "The node that ran it is not set up as it has to be.",
        "The platform's operators see it on the page of nodes. ",
    ),
    "sandbox_lost": ("The sandbox was ended from outside: by a person, another program or the host.", ""),
    "supervisor_lost": ("The program that watched over the run was ended on its node.", ""),
    "image_missing": (
        "No node that tried has the image.",
        "Check that its digest is right, and that it was pushed or is on the nodes; an archive always works. ",
    ),
    "check_time": (
        "Its check took longer than a check may.",
        "Make the file smaller: a smaller base image, fewer and smaller layers. ",
    ),
    IMAGE_PULL: ("The node could not fetch the image from the registry.", "Check that the push was complete. "),
    "runtime_missing": (
        "The node lacks the platform's own runtime image.",
        "The platform's operators see it on the page of nodes. ",
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
        "So that a broken file is told at once, and not after a wait in the queue.",
        "Nothing to do.",
    ),
    RunStatus.RUNNING: (
        "The submission is being evaluated.",
        "A worker runs it; its history shows how far it is.",
        "Nothing to do.",
    ),
    RunStatus.SCORED: (
        "The submission was evaluated.",
        "Every metric has a value, or says why it has none.",
        "See the results, and where they put you on the leaderboard.",
    ),
}


def explain(
    *,
    run: Run,
    position: int | None = None,
    nodes_online: int | None = None,
    lacking: str = "",
    results_hidden: str = "",
    log_hidden: bool = False,
) -> Explanation:
    """The explanation of a run's present state. `results_hidden` says why a scored run shows no numbers.

    `lacking`: what a queued run needs and no known node has. `log_hidden`: the reader does not get the log of the
    run itself, so it is of no use to send them there.
    """
    status = RunStatus(run.status)
    if status == RunStatus.QUEUED:
        return _queued(run, position, nodes_online, lacking)
    if status == RunStatus.SCORED and results_hidden:
        return Explanation(
            _WAITING[status][0], results_hidden, "Nothing to do: the submission takes part in the ranking."
        )
    if status in _WAITING:
        return Explanation(*_WAITING[status])
    if status == RunStatus.REJECTED:
        return Explanation(
            "The file was not accepted, and nothing was run.", run.message,
            f"{run.hint or 'Correct the file and submit it again.'} {_NOT_COUNTED}", "you",
        )  # fmt: skip
    if status == RunStatus.CANCELLED:
        counted = "It counts against your quota, because it had started." if run.counts_quota else _NOT_COUNTED
        return Explanation(
            "The run was cancelled.", "You or an organiser asked for it.", f"Submit again when you like. {counted}"
        )
    return _failed(run, log_hidden)


def _queued(run: Run, position: int | None, nodes_online: int | None, lacking: str) -> Explanation:
    if lacking:
        return Explanation(
            "The submission waits in the queue, and no worker that is known could run it.", f"{lacking.capitalize()}.",
            "Tell the organisers: the competition asks for more than the platform's nodes have. It starts as soon as "
            "a node that has it joins; cancelling costs you nothing.", "platform",
        )  # fmt: skip
    if nodes_online == 0:
        return Explanation(
            "The submission waits in the queue.",
            f"No worker that can run a submission of kind {run.submission.kind} is online (queue: {run.queue}).",
            "Nothing to do: it starts as soon as one comes back. If this lasts, tell the organisers.", "platform",
        )  # fmt: skip
    lost = (
        f" An attempt was lost by a fault of the platform, which costs you nothing; the next is {run.attempt + 1}."
        if run.faults
        else ""
    )
    place = f"It is number {position} in the queue." if position else "It is in the queue."
    return Explanation("The submission waits for a worker.", place + lost, "Nothing to do.")


def _failed(run: Run, log_hidden: bool) -> Explanation:
    if run.verdict == "scorer":
        return Explanation(
            "The evaluation failed by a fault of the competition, not of your submission.",
            run.message or "The competition's data or metrics make a score impossible.",
            f"{run.hint or 'Tell the organisers of the competition; they see this run and its log.'} {_NOT_COUNTED}",
            "organiser",
        )  # fmt: skip
    if run.verdict in _PARTICIPANT:
        what, why, step = _BY_CODE.get(run.code) or _PARTICIPANT[run.verdict]
        unseen = " The log of the run itself is for the organisers only in this phase." if log_hidden else ""
        counted = _COUNTED if run.counts_quota else _FAILURE_COUNTED
        return Explanation(what, run.message or why, f"{run.hint or step}{unseen} {counted}", "you")
    why, step = _PLATFORM.get(run.code, ("The worker that ran it was lost.", ""))
    return Explanation(
        "The evaluation failed by a fault of the platform, not of your submission.",
        run.message or why,
        f"{step}Submit again; if that fails too, tell the platform's operators the id of this run, {run.pk}. "
        f"{_NOT_COUNTED}",
        "platform",
    )  # fmt: skip
