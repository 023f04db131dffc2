"""Following a run live, over server-sent events; by asking every now and then where the server has no room for that.

    for message in client.follow(submission_id):
        if message.event == "log":
            print(message.data["text"], end="")

Messages are those of `GET submissions/{id}/stream`: `state`, `event`, `log` and, last, `end`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from touchstone_client.decode import encode
from touchstone_client.errors import ClientError, ConnectionFailed, WaitTimeout
from touchstone_client.errors import ExitCode as Exit

if TYPE_CHECKING:
    from touchstone_client.sdk import Client
    from touchstone_client.transport import Transport

#: The server has no room, or is older than streams: what is told is the same, only later.
_ASK_INSTEAD = frozenset({404, 405, 503})
_LONGEST_LINE = 2**22


@dataclass(frozen=True)
class Message:
    """One message of a stream. `id` is where to go on after it."""

    event: str
    data: dict[str, Any] = field(default_factory=dict)
    id: str = ""


def messages(lines: Iterable[str]) -> Iterator[Message]:
    """Server-sent events, as the HTML standard writes them; comments and unknown fields are passed over."""
    event, last = "message", ""
    data: list[str] = []
    for line in lines:
        if len(line) > _LONGEST_LINE:
            raise ClientError("The server's stream has a line that is too long", code="not_a_stream")
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                yield Message(event, _object("\n".join(data)), last)
            event, data = "message", []
        elif name == "event":
            event = value
        elif name == "data":
            data.append(value)
        elif name == "id":
            last = value


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ClientError("The server's stream is not in the form this client knows", code="not_a_stream")
    return found


def follow(
    client: Client, http: Transport, submission_id: str, *, timeout: float | None, part: str = "all"
) -> Iterator[Message]:
    """Messages until the run has ended; of the logs those of `part`: all, sample or run.

    Raises `WaitTimeout` after `timeout` seconds.
    """
    until = None if timeout is None else time.monotonic() + timeout
    path, last = f"submissions/{quote(submission_id, safe='')}/stream", ""
    lost = 0
    while True:
        try:
            with http.stream(path, params={"after": last}) as response:
                for message in messages(response.iter_lines()):
                    last, lost = message.id or last, 0
                    if message.event != "log" or part in ("all", message.data.get("part")):
                        yield message
                    if message.event == "end":
                        return
                    _in_time(submission_id, until, timeout)
        except ConnectionFailed:
            lost += 1  # `stream` has tried for as long as it has patience to begin; this is one that broke off
            if lost > 5:
                raise
        except ClientError as error:
            if error.status not in _ASK_INSTEAD:
                raise
            yield from _ask(client, submission_id, last=last, until=until, timeout=timeout, part=part)
            return
        _in_time(submission_id, until, timeout)


def _ask(
    client: Client, submission_id: str, *, last: str, until: float | None, timeout: float | None, part: str
) -> Iterator[Message]:
    """The same by questions. What the stream has told already is not told again, but for the log, which is anew."""
    first = last.partition(".")[0]
    after = int(first) if first.isdigit() else 0
    shown: str | None = "" if not last else None
    pause = 0.3
    while True:
        page = client.events(submission_id, after=after)
        after = page.next_after
        state = {"status": page.status, "final": page.final, "queue_position": page.queue_position}
        yield Message("state", state)
        for event in page.items:
            yield Message("event", encode(event))
        if page.final or page.status == "running":
            text = client.log(submission_id, part=part)
            anew = shown is None or not text.startswith(shown)
            fresh = text if anew else text[len(shown or "") :]
            shown = text
            if fresh:
                yield Message("log", {"part": part, "text": fresh, "anew": anew})
        if page.final:
            yield Message("end", state)
            return
        pause = 0.3 if page.items else min(pause * 1.4, 3.0)
        _in_time(submission_id, until, timeout, ahead=pause)
        time.sleep(pause)


def _in_time(submission_id: str, until: float | None, timeout: float | None, *, ahead: float = 0.0) -> None:
    if until is not None and time.monotonic() + ahead > until:
        raise WaitTimeout(
            f"The run has not ended after {timeout or 0:g} s",
            why="the wait ended, not the run: it goes on",
            hint=f"touchstone logs {submission_id} --follow",
            code="wait_timeout",
            exit_code=Exit.TIMEOUT,
        )
