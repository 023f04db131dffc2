"""What happened, why, and what to do next: for every state a run can be in, in plain words. The one place for them."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _l

from runners.contract import IMAGE_PULL
from touchstone.core.told import told
from touchstone.evaluations.models import Run, RunStatus

Text = str | Promise


@dataclass(frozen=True)
class Explanation:
    """Three sentences for a person. `fault` names who has to act: you, organiser, platform or nobody."""

    what: str
    why: str
    next: str
    fault: str = "nobody"


_NOT_COUNTED = _l("It does not count against your quota.")
_COUNTED = _l("It counts against your quota.")
#: Nothing was scored, so nothing of the quota is taken; but a node's time was.
_FAILURE_COUNTED = _l("It takes none of your quota; failed submissions have a limit of their own for each day.")

#: By verdict: what happened, a reason where the node gave none, the next step where it gave none.
_PARTICIPANT: dict[str, tuple[Text, Text, Text]] = {
    "timeout": (
        _l("The submission took too long and was stopped."),
        _l("It did not start, or did not answer, within the time this competition allows."),
        _l("Time it on data that you can download, with the limits of the rules page; make it faster or smaller."),
    ),
    "memory": (
        _l("The submission used more memory than allowed and was stopped."),
        _l("It reached the memory limit that the rules page names; there is no swap."),
        _l("Load less at once, use a smaller model or smaller batches, and try it under the same limit."),
    ),
    "output_limit": (
        _l("The submission wrote more than allowed and was stopped."),
        _l("What a submission may write to its log and to its disk is limited; the rules page says how much."),
        _l("Print less, and keep fewer temporary files."),
    ),
    "crash": (
        _l("The submission ended by itself before it had answered everything."),
        _l("It exited, or an error ended it, while answers were still due."),
        _l("Read the end of its log, run it on data that you can download, and correct the error."),
    ),
    "invalid_output": (
        _l("The submission answered something that cannot be scored."),
        _l("The shape, the type or the values of its answers are not those that the competition asks for."),
        _l("Compare its output with the format on the data page, and correct it."),
    ),
}

#: By code, where a verdict alone does not tell what to do: the same three.
_BY_CODE: dict[str, tuple[Text, Text, Text]] = {
    "endpoint_budget": (
        _l("The endpoint failed so often that the run was ended."),
        _l("Every question that has to be asked again counts towards what a run may ask."),
        _l("Answer each request the first time; the rules page says how many items a run may ask."),
    ),
    "endpoint_rate_limited": (
        _l("The endpoint refused too many requests."),
        _l("It answered 429 as often as a request is sent."),
        _l("Allow the rate that the rules page names, or answer 429 with a Retry-After of at most two minutes."),
    ),
    "endpoint_timeout": (
        _l("The endpoint answered too slowly."),
        _l("No whole answer came within the time of one request, as often as it was sent."),
        _l("Answer faster, or keep the service awake; the rules page says how large a request is."),
    ),
    "endpoint_unreachable": (
        _l("The endpoint could not be reached."),
        _l("It took no connection, or closed it before it had answered."),
        _l("Check that it runs and that its address is right, and submit again."),
    ),
    "endpoint_error": (
        _l("The endpoint kept failing."),
        _l("It answered with an error of its own, as often as a request is sent."),
        _l("Read its log, and ask it yourself with the requests of the guide to endpoints."),
    ),
    "endpoint_denied": (
        _l("The endpoint refused the platform's requests."),
        _l("It did not accept the credential, or wants one that was not given."),
        _l("Register the credential anew on your account page, and submit again."),
    ),
    "endpoint_credential": (
        _l("The endpoint was not asked, because its credential is gone."),
        _l("It was deleted, or made anew for another host, since this was submitted."),
        _l("Register the credential again, and submit the endpoint anew."),
    ),
    "endpoint_tls": (
        _l("The endpoint did not prove that it is the host of its address."),
        _l("Its certificate is not valid for that name, has expired, or is of no known authority."),
        _l("Serve it with a valid certificate, and submit again."),
    ),
    "endpoint_redirect": (
        _l("The endpoint redirects, which is not followed."),
        _l("Requests carry data and a credential, and go only where the submission says."),
        _l("Submit the address where it answers itself."),
    ),
    "endpoint_address": (
        _l("The endpoint's address is not one that the platform calls."),
        _l("Only public addresses are called, over HTTPS."),
        _l("Serve it on a public address."),
    ),
    "too_slow": (
        _l("The submission would not have finished in time, so it was stopped after the sample."),
        _l("The time that it took for the public sample, carried over to all items, is more than the limit."),
        _l(
            "Answer several items at once, use a smaller model, or load it faster; the log of the sample shows "
            "its start."
        ),
    ),
    "start_timeout": (
        _l("The submission was not ready in time and was stopped."),
        _l("It did not begin to answer within the time that the rules page gives for the start."),
        _l("Load less before the first answer, and download nothing: there is no network."),
    ),
    "image_refused": (
        _l("The image was not accepted by the node's engine."),
        _l("It is not an image as `docker save` or a push to the registry makes it."),
        _l("Build it again with Docker, and try it with `docker run --network none --read-only IMAGE`."),
    ),
    "image_too_large": (
        _l("The image is larger than allowed."),
        _l("The rules page names the largest size, unpacked."),
        _l("Build it from a smaller base, and in fewer layers."),
    ),
    "image_start": (
        _l("The image could not be started."),
        _l("Its entry point does not exist, cannot be executed, or is for another kind of processor."),
        _l("Try it with `docker run --network none --read-only IMAGE`."),
    ),
    "image_volumes": (
        _l("The image declares volumes, which no sandbox here gives."),
        _l("A volume would be a place to write that no limit holds."),
        _l("Build it without VOLUME; write to /tmp."),
    ),
}
#: Faults of the platform: a reason where the node gave none, and what helps besides trying again.
_PLATFORM: dict[str, tuple[Text, Text]] = {
    "node_misconfigured": (
        _l("The node that ran it is not set up as it has to be."),
        _l("The platform's operators see it on the page of nodes. "),
    ),
    "sandbox_lost": (_l("The sandbox was ended from outside: by a person, another program or the host."), ""),
    "supervisor_lost": (_l("The program that watched over the run was ended on its node."), ""),
    "image_missing": (
        _l("No node that tried has the image."),
        _l("Check that its digest is right, and that it was pushed or is on the nodes; an archive always works. "),
    ),
    "check_time": (
        _l("Its check took longer than a check may."),
        _l("Make the file smaller: a smaller base image, fewer and smaller layers. "),
    ),
    IMAGE_PULL: (_l("The node could not fetch the image from the registry."), _l("Check that the push was complete. ")),
    "runtime_missing": (
        _l("The node lacks the platform's own runtime image."),
        _l("The platform's operators see it on the page of nodes. "),
    ),
}

_WAITING: dict[str, tuple[Text, Text, Text]] = {
    RunStatus.RECEIVED: (
        _l("The submission has arrived."),
        _l("It waits for the check of its file, which takes seconds."),
        _l("Nothing to do."),
    ),
    RunStatus.CHECKING: (
        _l("The file is being checked."),
        _l("So that a broken file is told at once, and not after a wait in the queue."),
        _l("Nothing to do."),
    ),
    RunStatus.RUNNING: (
        _l("The submission is being evaluated."),
        _l("A worker runs it; its history shows how far it is."),
        _l("Nothing to do."),
    ),
    RunStatus.SCORED: (
        _l("The submission was evaluated."),
        _l("Every metric has a value, or says why it has none."),
        _l("See the results, and where they put you on the leaderboard."),
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
        return _told(_WAITING[status][0], results_hidden, _("Nothing to do: the submission takes part in the ranking."))
    if status in _WAITING:
        return _told(*_WAITING[status])
    if status == RunStatus.REJECTED:
        return _told(
            _("The file was not accepted, and nothing was run."), run.message,
            f"{run.hint or _('Correct the file and submit it again.')} {_NOT_COUNTED}", "you",
        )  # fmt: skip
    if status == RunStatus.CANCELLED:
        counted = _("It counts against your quota, because it had started.") if run.counts_quota else _NOT_COUNTED
        return _told(
            _("The run was cancelled."), _("You or an organiser asked for it."),
            f"{_('Submit again when you like.')} {counted}",
        )  # fmt: skip
    return _failed(run, log_hidden)


def _told(what: Text, why: Text, step: Text, fault: str = "nobody") -> Explanation:
    """In the language of whoever reads it."""
    return Explanation(str(what), told(str(why)), str(step), fault)


def _queued(run: Run, position: int | None, nodes_online: int | None, lacking: str) -> Explanation:
    if lacking:
        return _told(
            _("The submission waits in the queue, and no worker that is known could run it."),
            f"{lacking.capitalize()}.",
            _(
                "Tell the organisers: the competition asks for more than the platform's nodes have. It starts as soon "
                "as a node that has it joins; cancelling costs you nothing."
            ),
            "platform",
        )
    if nodes_online == 0:
        return _told(
            _("The submission waits in the queue."),
            _("No worker that can run a submission of kind %(kind)s is online (queue: %(queue)s).")
            % {"kind": run.submission.kind, "queue": run.queue},
            _("Nothing to do: it starts as soon as one comes back. If this lasts, tell the organisers."),
            "platform",
        )
    place = _("It is number %(n)s in the queue.") % {"n": position} if position else _("It is in the queue.")
    if run.faults:
        lost = _("An attempt was lost by a fault of the platform, which costs you nothing; the next is %(n)s.")
        place = f"{place} {lost % {'n': run.attempt + 1}}"
    return _told(_("The submission waits for a worker."), place, _("Nothing to do."))


def _failed(run: Run, log_hidden: bool) -> Explanation:
    if run.verdict == "scorer":
        return _told(
            _("The evaluation failed by a fault of the competition, not of your submission."),
            run.message or _("The competition's data or metrics make a score impossible."),
            f"{run.hint or _('Tell the organisers of the competition; they see this run and its log.')} {_NOT_COUNTED}",
            "organiser",
        )
    if run.verdict in _PARTICIPANT:
        what, why, step = _BY_CODE.get(run.code) or _PARTICIPANT[run.verdict]
        unseen = f" {_('The log of the run itself is for the organisers only in this phase.')}" if log_hidden else ""
        counted = _COUNTED if run.counts_quota else _FAILURE_COUNTED
        return _told(what, run.message or why, f"{run.hint or step}{unseen} {counted}", "you")
    why, step = _PLATFORM.get(run.code, (_("The worker that ran it was lost."), ""))
    again = _("Submit again; if that fails too, tell the platform's operators the id of this run, %(id)s.")
    return _told(
        _("The evaluation failed by a fault of the platform, not of your submission."),
        run.message or why,
        f"{step}{again % {'id': run.pk}} {_NOT_COUNTED}",
        "platform",
    )
