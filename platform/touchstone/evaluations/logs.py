"""A run's two logs: what it wrote about the public sample, and what it wrote then. Added to while it runs.

What comes from a submission is a stranger's: control characters are taken out, and so is what looks like a secret of
ours or a private key. Both logs keep their end where they are too long.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from runners.contract import RunEvent
from touchstone.core.text import clean, tail
from touchstone.evaluations.events import MAX_LOG
from touchstone.evaluations.models import Run

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
#: C0 and C1 but line feed and tab, and marks that turn the direction of text around.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_TOKENS = re.compile(r"\b(tsn?)_[0-9a-f]{16}_[A-Za-z0-9_-]{20,}|\beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,}")
_TOKEN_GONE = "[a token was removed here]"  # noqa: S105 - what stands in its place
#: What follows a token that was cut in two: its other half.
_TOKEN_REST = re.compile(r"\A[\w.-]+")
_LONGEST_SECRET = 4096
_KEY_BEGIN = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.S)
_KEY_END = re.compile(r"-----END [A-Z ]*PRIVATE KEY-----")
#: Inside a key, where its last line may come in two pieces: the rest of a key has no dashes.
_IN_KEY_END = re.compile(r"-+(?=\s|$)")
_KEY_OPEN = "[a private key was removed here ..."
_KEY_SHUT = "[a private key was removed here]"


def printable(text: str) -> str:
    """`text` without escape sequences and control characters; lines end with a line feed."""
    text = _ESCAPES.sub("", clean(text).replace("\r\n", "\n").replace("\r", "\n"))
    return _CONTROLS.sub("\ufffd", text)


def redacted(text: str, *, before: str = "") -> str:
    """`text` without tokens and private keys. `before` is the log that it follows: a key may have begun there."""
    if before.endswith(_KEY_OPEN):
        end = _IN_KEY_END.search(text)
        if end is None:
            return ""
        text = "]" + text[end.end() :]
    text = _TOKENS.sub(_TOKEN_GONE, text)
    return _KEY.sub(lambda found: _KEY_SHUT if _KEY_END.search(found[0]) else _KEY_OPEN, text)


def _added(before: str, text: str) -> tuple[str, str]:
    """A log and what is added to it, both without secrets: one may begin in the one and end in the other.

    What was told of it already is blanked at its length, for readers' places count characters.
    """
    if before.endswith(_TOKEN_GONE):
        text = _TOKEN_REST.sub("", text)
    start = max(before.rfind("\n") + 1, len(before) - _LONGEST_SECRET)
    joined, edge = before[start:] + text, len(before) - start
    for pattern, gone in ((_TOKENS, _TOKEN_GONE), (_KEY_BEGIN, None)):
        for found in pattern.finditer(joined):
            if found.start() < edge < found.end():
                blank = "*" * (edge - found.start())
                rest = redacted(joined[found.start() :]) if gone is None else gone + redacted(joined[found.end() :])
                return before[: start + found.start()] + blank, rest
    return before, redacted(text, before=before)


def logs_begin(*, run: Run) -> dict[str, Any]:
    """The fields of an attempt that begins: no logs, and readers are told that they begin anew."""
    return {"log": "", "sample_log": "", "log_end": 0, "sample_end": 0, "log_epoch": run.log_epoch + 1}


def logs_add(*, run: Run, events: Iterable[RunEvent]) -> None:
    """Add what `log` events bring: with `data.public` to the log of the sample. The caller holds the row's lock."""
    parts = {True: "", False: ""}
    for event in events:
        if event.kind == "log":
            parts[event.data.get("public") is True] += event.message
    changed = []
    for public, text in parts.items():
        name, end = ("sample_log", "sample_end") if public else ("log", "log_end")
        had = getattr(run, name)
        before, more = _added(had, printable(text))
        if more or before != had:
            setattr(run, name, tail(before + more, limit=MAX_LOG))
            setattr(run, end, getattr(run, end) + len(more))
            changed += [name, end]
    if changed:
        run.save(update_fields=changed)


def logs_end(*, run: Run, sample: str, whole: str) -> dict[str, Any]:
    """The fields of the logs when an attempt is reported.

    `whole` may begin with `sample`, which is shown by itself. A report that goes on where the live log was adds to it;
    one that says something else replaces it, and readers begin anew. An empty report leaves what is there.
    """
    sample = redacted(printable(sample))
    rest = redacted(printable(whole))
    public = sample or run.sample_log
    if public and rest.startswith(public):
        rest = rest[len(public) :]
    fields: dict[str, Any] = {}
    begin_anew = False
    for name, end, text in (("sample_log", "sample_end", sample), ("log", "log_end", rest)):
        had = getattr(run, name)
        if not text or text == had:
            continue
        fields |= {name: tail(text, limit=MAX_LOG), end: len(text)}
        if not text.startswith(had) and name == "log":
            # Further than the text is long, so readers get it whole; a new epoch would tell those who do not see it.
            fields[end] = run.log_end + len(text) + 1
        elif not text.startswith(had):
            begin_anew = True
    return fields | ({"log_epoch": run.log_epoch + 1} if begin_anew else {})


@dataclass(frozen=True)
class LogPiece:
    """What a reader has not seen of one log. `anew`: it replaces what they have."""

    part: str
    text: str
    anew: bool


@dataclass(frozen=True)
class LogPlace:
    """How far a reader is: characters of each log, in the epoch that they were counted in."""

    epoch: int = 0
    sample: int = 0
    run: int = 0


def log_place(*, run: Run, sample: bool, whole: bool) -> LogPlace:
    """The place at the end of the logs that somebody may see. A hidden one counts nothing: its length tells of it."""
    return LogPlace(run.log_epoch, run.sample_end if sample else 0, run.log_end if whole else 0)


def logs_after(*, run: Run, place: LogPlace, sample: bool, whole: bool) -> tuple[list[LogPiece], LogPlace]:
    """What was added since `place`, and the new place. `sample`, `whole`: which of the two logs the reader may see."""
    anew = place.epoch != run.log_epoch
    pieces = []
    for shown, part, text, end, seen in (
        (sample, "sample", run.sample_log, run.sample_end, place.sample),
        (whole, "run", run.log, run.log_end, place.run),
    ):
        had = 0 if anew else seen
        missing = max(0, end - had)
        if shown and (missing or (anew and seen)):
            cut = missing > len(text)
            pieces.append(LogPiece(part, text if cut else text[len(text) - missing :], (anew and seen > 0) or cut))
    return pieces, log_place(run=run, sample=sample, whole=whole)
