"""A submission that answers on a machine of its participant's: asked over HTTPS, and trusted with inputs only."""

from __future__ import annotations

import time

from runners.channel.errors import AnswerTooLarge, ChannelError, ChannelTimeout, ProtocolError, ServerError
from runners.channel.listener import Listener
from runners.contract import EndpointRef, Verdict
from runners.engines.base import Exit, Sandbox
from runners.errors import ParticipantFault, RetryableError
from runners.models._batches import BatchSize
from runners.models._remote import RemoteClient, Trouble
from runners.models._usage import Usage
from runners.models.served import ServedModel
from runners.outbound import Reach
from runners.spec.models import InputSpec, ResourceSpec, TaskSpec

#: Requests without a question, before and after the questions: what the way there and back takes.
_PINGS = 5
UNKNOWABLE = (
    "not applicable: an endpoint runs on a machine that the platform cannot see, so what it takes there is not known; "
    "how fast it answered, and how much of that was the network, stands among the run's facts"
)
_GUIDE = "See the guide to endpoints."
_WORDS: dict[str, tuple[Verdict, str, str]] = {
    "endpoint_rate_limited": (
        Verdict.TIMEOUT, "The endpoint kept refusing requests as too many",
        "Allow the rate that the competition asks at, or answer 429 with a Retry-After of at most two minutes.",
    ),
    "endpoint_timeout": (
        Verdict.TIMEOUT, "The endpoint was too slow",
        "Answer faster, keep the service awake, and take requests of the size that the competition sends.",
    ),
    "endpoint_unreachable": (
        Verdict.CRASH, "The endpoint cannot be reached", "Check that it runs, and that its address is right.",
    ),
    "endpoint_error": (Verdict.CRASH, "The endpoint kept failing", "Its own log says why. " + _GUIDE),
    "endpoint_denied": (
        Verdict.CRASH, "The endpoint refuses the credential",
        "Check the header and the secret; register the credential anew, and submit again.",
    ),
    "endpoint_tls": (
        Verdict.INVALID_OUTPUT, "The endpoint does not prove that it is the host of its address",
        "Serve it with a valid certificate of that name, from an authority that browsers trust.",
    ),
    "endpoint_redirect": (
        Verdict.INVALID_OUTPUT, "The endpoint redirects, which is not followed",
        "Submit the address where it answers itself.",
    ),
    "endpoint_address": (
        Verdict.INVALID_OUTPUT, "The endpoint's address is not one that the platform calls",
        "Serve it on a public address, over HTTPS.",
    ),
}  # fmt: skip


class _Elsewhere(Sandbox):
    """Stands where a sandbox stands for submissions that the platform runs: nothing is known of this one."""

    samples_memory = False
    waited = 0.0

    def __init__(self, usage: Usage) -> None:
        self._usage = usage

    def poll(self) -> Exit | None:
        return None

    def wait(self, seconds: float) -> Exit | None:
        return None

    def kill(self) -> None:
        """It is not ours to end."""

    def logs(self) -> bytes:
        """What the platform noted: an endpoint's own log stays with it."""
        return "".join(f"{line}\n" for line in self._usage.lines).encode()

    def peak_memory(self) -> int | None:
        return None

    def close(self) -> None:
        """Nothing was made."""


class _NoListener(Listener):
    """An endpoint is dialled; it dials nobody."""

    def __init__(self) -> None:
        """No socket."""

    def close(self) -> None:
        """Nothing was made."""


class EndpointModel(ServedModel):
    """Implements `runners.models.base.Model`. Made by `open_endpoint`."""

    def __init__(
        self,
        at: EndpointRef,
        usage: Usage,
        reach: Reach,
        *,
        input: InputSpec,  # noqa: A002 - the contract's word
        task: TaskSpec,
        resources: ResourceSpec,
        deadline: float,
    ) -> None:
        self._items_each = at.budget.items
        super().__init__(
            _Elsewhere(usage), _NoListener(), input=input, task=task, resources=resources, deadline=deadline
        )
        self.usage = usage
        self.unknowable = UNKNOWABLE
        self.least: dict[str, int] = {}  # items that metrics ask at least, by prefix
        self._remote = RemoteClient(at, usage, reach)
        self._client = self._remote

    def too_dear(self, prefix: str) -> str:
        """Why a metric of this prefix is not begun: what it asks at least is more than what is left. Else nothing."""
        least = self.least.get(prefix, 0)
        if least <= self.usage.left:
            return ""
        return (
            f"not measured: it asks at least {least:,} items, and {max(0, self.usage.left):,} of the "
            f"{self.usage.most:,} that an endpoint may be asked in a run of this phase are left"
        )

    def ping(self) -> None:
        """See what the way there and back takes."""
        for _ in range(_PINGS):
            if self.remaining() > 0:
                self._remote.ping(self._deadline)

    def _batch_size(self, most: int) -> BatchSize:
        return super()._batch_size(min(most, self._items_each))

    def _fault(self, error: ChannelError, *, starting: bool = False) -> ParticipantFault | RetryableError:
        when = "before it answered anything" if not self.queries else f"after {self.queries} answered items"
        if error.detail and not starting:
            self._note = f"\n[platform] {error}: {error.detail}\n".encode()
        if isinstance(error, Trouble):
            verdict, text, hint = _WORDS[error.code]
            return ParticipantFault(verdict, f"{text}, {when}: {error}.", hint=hint, code=error.code)
        if isinstance(error, ChannelTimeout):
            return self._late(when, starting=starting and time.monotonic() < self._deadline, error=error)
        if isinstance(error, ServerError):
            text = f"The endpoint answered with an error (status {error.status}), {when}."
            hint = "Its own log says why. Ask it yourself with the requests of the guide to endpoints."
            return ParticipantFault(Verdict.CRASH, text, hint=hint, code="server_error")
        if isinstance(error, AnswerTooLarge):
            text = f"The endpoint's answer is too large, {when}: {error}."
            return ParticipantFault(Verdict.OUTPUT_LIMIT, text, hint="Answer one row of class values for each item.")
        quoted = f" ({error.detail})" if starting and error.detail else ""
        hint = f"Answer float32 or float64 of shape (n, classes), finite. {_GUIDE}"
        if isinstance(error, ProtocolError) and starting:
            hint = f"Serve GET /v2, /v2/models/NAME and /v2/health/ready under the address that you submit. {_GUIDE}"
        return ParticipantFault(
            Verdict.INVALID_OUTPUT, f"The endpoint's answer is invalid, {when}: {error}{quoted}.", hint=hint
        )

    def _late(self, when: str, *, starting: bool, error: ChannelTimeout) -> ParticipantFault:
        if starting:
            text = f"The endpoint was not ready {self._resources.start:g} s after it was first asked: {error}."
            hint = "Keep it awake, or make it wake up faster; the limit is `resources.start`."
            return ParticipantFault(Verdict.TIMEOUT, text, hint=hint, code="start_timeout")
        text = f"The time of the run was over {when}."
        hint = "Answer faster. Most of the time may be the pace of the competition: its budgets stand in its rules."
        return ParticipantFault(Verdict.TIMEOUT, text, hint=hint)


def allowance(at: EndpointRef, items: int) -> int:
    """Items that may be asked in a run over so many items of its splits."""
    return min(at.budget.queries, at.budget.queries_per_item * items)


def open_endpoint(
    at: EndpointRef,
    *,
    usage: Usage,
    reach: Reach,
    input: InputSpec,  # noqa: A002
    task: TaskSpec,
    resources: ResourceSpec,
    deadline: float,
) -> EndpointModel:
    """An endpoint that is ready to be asked.

    Raises `ParticipantFault` where it is not, and `RetryableError` where this node cannot look its name up.
    """
    if at.credential_gone:
        text = "The credential that this submission names was deleted, so the endpoint cannot be asked."
        hint = "Register it again, and submit the endpoint anew."
        raise ParticipantFault(Verdict.CRASH, text, hint=hint, code="endpoint_credential")
    model = EndpointModel(at, usage, reach, input=input, task=task, resources=resources, deadline=deadline)
    try:
        model.start(trusted=False)
        model.reasons["gradients"] = "an endpoint gives answers only; send a `model` for that"
        model.ping()
    except BaseException:
        model.close()
        raise
    return model
