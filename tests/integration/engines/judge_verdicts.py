"""How one case ended, and what of it is not as its `case.yml` says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from judge_cases import Case, EngineName, Expectation

from runners.contract import RunEvent, RunResult, Verdict

#: Room for what the platform adds to a log, and for bytes that become longer as text.
_LOG_ROOM = 3
_EXACT = 1e-9


@dataclass(frozen=True)
class Outcome:
    """`again`: the honest submission's run right after a bomb. `left`: what is still on the host.

    `hits`: who got through to a service of the host. `guarded`: the outer guard had to end it. `seconds`: all of it.
    """

    result: RunResult
    events: tuple[RunEvent, ...] = ()
    left: tuple[str, ...] = ()
    hits: tuple[str, ...] = ()
    again: RunResult | None = None
    guarded: bool = False
    seconds: float = 0.0


def problems(case: Case, engine: EngineName, outcome: Outcome, *, secret: str) -> list[str]:
    """Everything that is not as expected; empty where the case holds."""
    expected, result = case.expectation(engine), outcome.result
    return [
        *_ending(expected, result),
        *_texts(expected, outcome),
        *_score(expected, result),
        *_manners(case, result, secret),
        *(f"left behind: {what}" for what in outcome.left),
        *(f"it got through to the host: {what}" for what in outcome.hits),
        *(["the outer guard had to end it"] if outcome.guarded else []),
        *_node(case, outcome),
    ]


def _ending(expected: Expectation, result: RunResult) -> Iterator[str]:
    if result.verdict not in expected.verdict:
        yield f"verdict {result.verdict}, expected {' or '.join(expected.verdict)}"
    if expected.code and result.code not in expected.code:
        yield f"code {result.code!r}, expected {' or '.join(expected.code)}"
    for key, state in expected.states.items():
        found = [one.state for one in result.results if one.key == key]
        if found != [state]:
            yield f"result {key} has the states {found}, expected {state}"


def _texts(expected: Expectation, outcome: Outcome) -> Iterator[str]:
    result = outcome.result
    notes = "\n".join(event.message for event in outcome.events if event.kind == "note")
    for what, patterns, text in (
        ("log", expected.log, result.log),
        ("message", expected.message, result.message),
        ("note", expected.note, notes),
    ):
        yield from (f"no {pattern!r} in the {what}" for pattern in patterns if not re.search(pattern, text))
    yield from (f"{pattern!r} is in the log" for pattern in expected.not_log if re.search(pattern, result.log))
    told = result.message + result.hint
    yield from (f"{pattern!r} is in the message" for pattern in expected.not_message if re.search(pattern, told))


def _score(expected: Expectation, result: RunResult) -> Iterator[str]:
    values = [one.value for one in result.results if one.metric == "performance.accuracy"]
    if expected.accuracy is None:
        return
    if len(values) != 1 or values[0] is None or abs(values[0] - expected.accuracy) > _EXACT:
        yield f"accuracy {values}, expected {expected.accuracy}"


def _manners(case: Case, result: RunResult, secret: str) -> Iterator[str]:
    """What holds for every case: no secret comes out, a fault is explained, a log has its limit."""
    if any(secret in text for text in (result.log, result.message, result.hint, result.sample_log)):
        yield "a secret of the host came out"
    if result.verdict is not Verdict.OK and not result.message:
        yield "the verdict has no text"
    if result.verdict not in (Verdict.OK, Verdict.PLATFORM) and not result.hint:
        yield "the verdict names no next step"
    if len(result.log.encode()) > _LOG_ROOM * case.limits.log:
        yield f"the log has {len(result.log)} characters, {case.limits.log} bytes are allowed"


def _node(case: Case, outcome: Outcome) -> Iterator[str]:
    if not case.bomb:
        return
    if outcome.again is None:
        yield "no honest submission was run after it"
    else:
        yield from usable(outcome.again)


def usable(result: RunResult) -> list[str]:
    """Why the run of an honest submission is not what it must be."""
    expected = Expectation(verdict=(Verdict.OK,), accuracy=1.0)
    found = [*_ending(expected, result), *_score(expected, result)]
    return [f"the node is not usable: {text}: {result.message}" for text in found]
