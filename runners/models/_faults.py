"""From the way a sandbox or a conversation ended to a verdict and a text a person can act on."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from runners.channel.errors import AnswerTooLarge, ChannelClosed, ChannelError, ChannelTimeout, ServerError
from runners.contract import Verdict
from runners.engines.base import Exit, Sandbox
from runners.errors import ParticipantFault, RetryableError
from runners.spec.models import ResourceSpec

_TAIL = 600
#: How long a sandbox whose connection broke may take to end by itself, before it is ended.
_DYING = 2.0
#: What Python, torch and onnxruntime say when memory is refused: such a process may live on.
_REFUSED = (
    "MemoryError", "can't allocate memory", "Failed to allocate memory", "Cannot allocate memory", "bad_alloc",
    "out of memory", "Out of memory", "OutOfMemory", "Unable to allocate",
)  # fmt: skip


def end_of(sandbox: Sandbox, error: ChannelError, *, deadline: float) -> Exit | None:
    """How a sandbox ended whose conversation failed, where that is why it failed; one that broke off is ended."""
    broken = is_broken(error)
    if broken:
        sandbox.wait(min(_DYING, max(0.0, deadline - time.monotonic())))
    ended = sandbox.poll()
    if ended is None and broken:
        # A child may have been killed for memory while its parent lives: ending the sandbox tells.
        sandbox.kill()
        killed = sandbox.poll()
        return killed if killed is not None and (killed.memory or killed.lost) else None
    if ended is not None and not (broken or ended.memory or ended.lost):
        return None  # it ended because the platform hung up: what it did before that counts
    return ended


def from_exit(ended: Exit, resources: ResourceSpec, *, queries: int) -> ParticipantFault | RetryableError:
    """Whose fault it is that a sandbox ended before it should: the submission's, or the platform's own."""
    when = f"after {queries} answered items" if queries else "before it answered anything"
    if ended.lost:
        return RetryableError(f"The sandbox was ended from outside {when}.", code="sandbox_lost")
    if ended.memory:
        text = f"The submission needed more memory than the {_bytes(resources.memory)} allowed, {when}."
        hint = "Load less at once, use smaller types, or answer in smaller batches; see peak memory in the run's page."
        return ParticipantFault(Verdict.MEMORY, text, hint=hint)
    if ended.timeout:
        return _late(resources, queries)
    text = f"The submission ended by itself ({_code(ended.code)}) {when}; it must serve until the platform hangs up."
    return ParticipantFault(Verdict.CRASH, text, hint="Read the log: the last lines usually name the error.")


def from_channel(
    error: ChannelError, resources: ResourceSpec, *, starting: bool, queries: int, ours: bool = False
) -> ParticipantFault | RetryableError:
    """The fault of a submission that still runs, but did not answer as it must; `ours`: a file, the server is ours."""
    if isinstance(error, ChannelTimeout):
        if not starting:
            return _late(resources, queries)
        text = f"The submission was not ready {resources.start:g} s after its start: {error}."
        hint = "Load less before serving, and check that `serve` is reached; the limit is `resources.start`."
        return ParticipantFault(Verdict.TIMEOUT, text, hint=hint, code="start_timeout")
    if isinstance(error, ChannelClosed):
        text = f"The submission hung up {'while starting' if starting else f'after {queries} answered items'}: {error}."
        return ParticipantFault(Verdict.CRASH, text, hint="Keep the connection open until the platform closes it.")
    if isinstance(error, ServerError):
        # Not its text: it has seen inputs that may be hidden, and its log is shown only as far as the phase allows.
        if refused_memory(error):
            return from_exit(Exit(None, memory=True), resources, queries=queries)
        text = f"The submission answered with an error (status {error.status}) after {queries} items."
        hint = "The traceback is in its log. Try it at home: run it without TOUCHSTONE_SOCKET and ask it with curl."
        if ours:
            hint = "What onnxruntime says is in the log. Try the file at home: ask it for a batch with onnxruntime."
        return ParticipantFault(Verdict.CRASH, text, hint=hint, code="server_error")
    if isinstance(error, AnswerTooLarge):
        text = f"The submission's answer is too large: {error}."
        return ParticipantFault(Verdict.OUTPUT_LIMIT, text, hint="Answer one row of class values for each item.")
    # Nothing was asked yet at the start, so there is nothing that a quotation could give away.
    quoted = f" ({error.detail})" if starting and error.detail else ""
    text = f"The submission's answer is invalid: {error}{quoted}."
    hint = "Answer float32 or float64 of shape (n, classes), finite; see the guide to submitting containers."
    if error.detail and not starting:
        hint += " The end of its log says what it sent."
    return ParticipantFault(Verdict.INVALID_OUTPUT, text, hint=hint)


def refused_memory(error: ChannelError) -> bool:
    """Whether the submission lives and says that it had no memory for what it was asked."""
    return isinstance(error, ServerError) and error.status >= 500 and any(words in str(error) for words in _REFUSED)


def is_broken(error: ChannelError) -> bool:
    """Whether the connection broke, which is often the first sign of a process that dies."""
    return isinstance(error, ChannelClosed)


def with_log(fault: ParticipantFault, log: bytes) -> ParticipantFault:
    """The same fault with the log, and its last lines in the hint: at start-up they nearly always say why."""
    tail = log[-_TAIL:].decode("utf-8", "replace").strip()
    hint = f"{fault.hint} Last lines of its log:\n{tail}" if tail else f"{fault.hint} Its log is empty."
    told = ParticipantFault(fault.verdict, fault.message, hint=hint, code=fault.code)
    told.log = log
    return told


def make_readable(folder: Path) -> None:
    """Let the sandbox's user read what the platform unpacked; links are left alone."""
    folder.chmod(0o755)
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(parent, name)
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() else path.stat().st_mode & 0o111 | 0o444)


def _late(resources: ResourceSpec, queries: int) -> ParticipantFault:
    text = f"The submission did not finish within the {resources.time:g} s of a run; it had answered {queries} items."
    return ParticipantFault(
        Verdict.TIMEOUT, text, hint="Answer faster: use batches, a smaller model, or fewer threads."
    )


def _code(code: int | None) -> str:
    if code is not None and code > 128 and code - 128 in {int(number) for number in signal.Signals}:
        return f"signal {signal.Signals(code - 128).name}"
    return "with unknown exit code" if code is None else f"with exit code {code}"


def _bytes(size: int) -> str:
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size >= factor:
            return f"{size / factor:g} {unit}"
    return f"{size} bytes"
