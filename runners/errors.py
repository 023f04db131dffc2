"""The three families of failure on a node, and nothing else.

* `UserError`: somebody's input is wrong and they can mend it. Shown as it is.
* `RetryableError`: the platform or its surroundings failed; the run is tried again.
* anything else: a bug. Logged with an id, reported as a platform fault.

`ParticipantFault` and `ScorerFault` are user errors with a verdict: they end a run.
"""

from __future__ import annotations

from runners.contract import Verdict


class UserError(Exception):
    """Wrong input. `message` says what, where and why; `hint` says the next step."""

    def __init__(self, message: str, *, hint: str = "", code: str = "invalid") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code


#: A cluster had no room in time: the run goes back to the queue, and that is no fault of anybody.
NO_CAPACITY = "no_capacity"


class RetryableError(Exception):
    """The platform's own surroundings failed (engine, network, node). Never the participant's fault."""

    def __init__(self, message: str, *, code: str = "platform_error") -> None:
        super().__init__(message)
        self.message = message
        self.code = code


class RunFault(UserError):
    """Ends a run with a verdict. `log`: what the submission wrote until then, where there is no model to ask for it."""

    log: bytes = b""

    def __init__(self, verdict: Verdict, message: str, *, hint: str = "", code: str = "") -> None:
        super().__init__(message, hint=hint, code=code or verdict.value)
        self.verdict = verdict


class ParticipantFault(RunFault):
    """The submission did something wrong: timeout, memory, output_limit, crash or invalid_output."""


class ScorerFault(RunFault):
    """The organiser's data or settings make a score impossible. Never costs quota."""

    def __init__(self, message: str, *, hint: str = "", code: str = "scorer_error") -> None:
        super().__init__(Verdict.SCORER, message, hint=hint, code=code)
