"""Kill the worker, the server and Redis while runs are under way: every run ends scored, once."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from livekit import MAIN, Live, answers, code, ended, publish, scores, submit_code

from touchstone_client import types as t
from touchstone_client.sdk import Client

#: Long enough for a kill to fall into the middle of a run.
_SLOW = MAIN.replace("    p = ", "    import time\n    time.sleep(0.5)\n    p = ")
_PATIENCE = 120.0


def _kill(live: Live, name: str) -> None:
    """SIGKILL a member of the stack: no goodbye, nothing saved."""
    assert live.stack.supervisor is not None
    pid = live.stack.supervisor.pid(name)
    assert pid is not None, f"{name} was not running"
    before = live.stack.supervisor.restarts(name)
    os.kill(pid, signal.SIGKILL)
    _until(lambda: live.stack.supervisor is not None and live.stack.supervisor.restarts(name) > before, name)


def _until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.05)


def _submit_all(client: Client, slug: str, tmp_path: Path, *, foreign: bool) -> list[t.Submission]:
    sent = []
    for number in range(3):
        file = tmp_path / f"answers{number}.csv"
        file.write_text(answers(wrong=number))
        sent.append(client.submit(slug, "open", file, kind="predictions", idempotency_key=f"p{number}"))
        if foreign:
            folder = code(tmp_path / f"code{number}", _SLOW + f"# {number}\n")
            sent.append(submit_code(client, slug, folder))
    return sent


def _scored_once(client: Client, done: t.Submission) -> None:
    assert done.status == "scored", done.explanation
    moves = [e.data["to"] for e in client.events(done.id).items if e.kind == "status"]
    assert moves.count("scored") == 1
    keys = [item.key for item in client.results(done.id).items]
    assert keys
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("victim", ["node", "server", "redis", "scheduler"])
def test_killing_a_part_costs_no_run(live: Live, tmp_path: Path, victim: str) -> None:
    slug = publish(live, tmp_path)
    client = live.person()
    client.join(slug, accept_terms=True, display_name="Survivor")
    foreign = live.engine.name is not None

    sent = _submit_all(client, slug, tmp_path, foreign=foreign)
    slowest = sent[-1]
    _until(lambda: any(client.submission(s.id).status in ("running", "scored") for s in sent), "a running run")
    _kill(live, victim)
    done = [ended(client, submission) for submission in sent]

    for submission in done:
        _scored_once(client, submission)
    assert (scores(client, slowest)["performance.accuracy"] or 0) >= 0.95
    row = next(row for row in client.leaderboard(slug, "open", "main").rows if row.participant == "Survivor")
    assert row.n_submissions == len(sent)
    assert client.quota(slug).used_total == len(sent)
    file = tmp_path / "afterwards.csv"
    file.write_text(answers(wrong=1))
    later = client.submit(slug, "open", file, kind="predictions", idempotency_key="later")
    _scored_once(client, ended(client, later))  # it goes on as before, not only to the end of what was under way


def test_killing_all_of_them_at_once_costs_no_run(live: Live, tmp_path: Path) -> None:
    slug = publish(live, tmp_path)
    client = live.person()
    client.join(slug, accept_terms=True)
    sent = _submit_all(client, slug, tmp_path, foreign=live.engine.name is not None)

    for victim in ("redis", "node", "server"):
        _kill(live, victim)
    done = [ended(client, submission) for submission in sent]

    for submission in done:
        _scored_once(client, submission)
    assert client.quota(slug).used_total == len(sent)
