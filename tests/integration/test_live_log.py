"""Many who watch a run at once, on the real server: some are told to come back, and nobody else waits for them."""

from __future__ import annotations

import contextlib
from pathlib import Path

import httpx
from livekit import Live, code, competition, publish, submit_code

from tests.integration.waiting import until
from touchstone_client.follow import messages

WATCHERS = 14
SERVERS, STREAMS = 2, 4  # processes of the stack's server, and what each follows at once


def test_streams_are_few_and_starve_nobody(live: Live, tmp_path: Path) -> None:
    spec = competition()
    spec["submission"]["resources"]["gpus"] = 1  # no node of the stack has one, so the run waits
    slug = publish(live, tmp_path, spec)
    name = "watched"
    client = live.person(name)
    client.join(slug, accept_terms=True)
    sent = submit_code(client, slug, code(tmp_path / "code"))
    until(
        lambda: client.submission(sent.id).status == "queued", "the queue, after its check", seconds=120,
        logs=[live.stack.log(name) for name in ("scheduler", "server")],
    )  # fmt: skip
    waiting = client.submission(sent.id)
    assert waiting.explanation is not None
    assert "no node has one" in waiting.explanation.why

    organiser = live.tokens["organiser"]
    address = f"{live.stack.url}/api/v1/submissions/{sent.id}/stream"
    tokens = [live.tokens[name] if i % 2 else organiser for i in range(WATCHERS)]
    with contextlib.ExitStack() as stack, httpx.Client(limits=httpx.Limits(max_connections=None), timeout=30) as http:
        answers = [
            stack.enter_context(http.stream("GET", address, headers={"Authorization": f"Bearer {token}"}))
            for token in tokens
        ]
        watching = [answer for answer in answers if answer.status_code == 200]
        refused = [answer for answer in answers if answer.status_code == 503]
        assert len(watching) + len(refused) == WATCHERS
        assert STREAMS <= len(watching) <= SERVERS * STREAMS
        assert {answer.headers["Retry-After"] for answer in refused} == {"5"}
        assert all(httpx.get(f"{live.stack.url}/healthz", timeout=30).text == "ok\n" for _ in range(20))

        assert client.cancel(sent.id).status == "cancelled"

        ends = [[m for m in messages(answer.iter_lines()) if m.event == "end"][-1] for answer in watching]
        assert {end.data["status"] for end in ends} == {"cancelled"}
    # They are gone, so there is room again.
    assert [message.event for message in client.follow(sent.id)][-1] == "end"
