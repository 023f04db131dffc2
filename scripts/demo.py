"""`make demo`: the whole path on real data. Imports the ready-made competitions, submits their baselines,
waits for the scores, prints the leaderboards, writes var/demo/summary.json, and then serves the site.

With `--once` it ends there; the exit code is 0 only if every baseline was scored as expected.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from scripts.demo_boards import board_text
from scripts.demo_content import (
    Sent,
    baselines,
    engine_note,
    folders,
    people,
    push,
    submit,
)
from scripts.demo_summary import Ended, summary, wrong
from scripts.engines import Choice, choose
from scripts.run import say
from scripts.services import ServiceError
from scripts.stack import ROOT, Stack, StackError
from touchstone_client.errors import ClientError
from touchstone_client.sdk import Client

_PATIENCE_SECONDS = 1800.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--once", action="store_true", help="end when the results are printed")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--var", type=Path, default=Path(os.environ.get("TOUCHSTONE_VAR", ROOT / "var")))
    arguments = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):  # a shell that started this in the background has SIGINT ignored
        signal.signal(number, signal.default_int_handler)
    try:
        return _demo(arguments)
    except (ServiceError, StackError, ClientError) as error:
        print(f"The demo could not go on: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130 if arguments.once else 0


def _demo(arguments: argparse.Namespace) -> int:
    started = time.monotonic()
    choice = choose(say)
    say(engine_note(choice) if choice.name else choice.advice())
    with Stack(arguments.var, say=say, port=arguments.port, engine=choice.for_node) as stack:
        say(f"PostgreSQL, Redis, server and scheduler are up at {stack.url}")
        stack.start_node()
        status = _evaluate(stack, choice, started)
        if arguments.once:
            return status
        _serve(stack)
    return 0


def _evaluate(stack: Stack, choice: Choice, started: float) -> int:
    crowd = people(stack)
    with ExitStack() as closing:
        clients = {name: closing.enter_context(Client(stack.url, token)) for name, token in crowd.tokens.items()}
        sent: list[Sent] = []
        for folder in folders():
            push(clients["organiser"], folder, say)
            sent += submit(clients, baselines(folder, choice.name), stack.var, say)
        ended = _wait(clients, sent)
        _print_boards(clients["organiser"])
        found = summary(clients["organiser"], choice, ended, seconds=time.monotonic() - started)
    target = stack.var / "demo" / "summary.json"
    target.write_text(json.dumps(found, indent=2) + "\n")
    say(f"Written: {target}")
    faults = wrong(ended)
    for fault in faults:
        say(fault)
    say("Every baseline was scored as expected." if not faults else f"{len(faults)} baselines did not end as expected.")
    return 1 if faults else 0


def _wait(clients: dict[str, Client], sent: Iterable[Sent]) -> list[Ended]:
    """Ask until all have ended; a line for each change."""
    open_, ended, seen = list(sent), [], {}
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while open_ and time.monotonic() < deadline:
        for item in list(open_):
            now = clients[item.who].submission(item.id)
            if seen.get(item.id) != (now.status, now.attempt):
                seen[item.id] = (now.status, now.attempt)
                again = f", attempt {now.attempt}" if now.attempt > 1 else ""
                say(f"{item.baseline.competition}/{item.baseline.name} ({item.baseline.kind}): {now.status}{again}")
            if now.final:
                open_.remove(item)
                ended.append(Ended(item, now, clients["organiser"].results(item.id)))
        time.sleep(0.5)
    late = [Ended(item, clients[item.who].submission(item.id), None) for item in open_]
    return ended + late


def _print_boards(client: Client) -> None:
    for folder in folders():
        for name in client.competition(folder.name).leaderboards:
            board = client.leaderboard(folder.name, name.phase, name.slug)
            if board.rows:  # else a phase in which nothing was submitted
                print(f"\n{board_text(board)}", flush=True)
    print(flush=True)


def _serve(stack: Stack) -> None:
    credentials = stack.var / "demo" / "credentials.json"
    say(f"The site is at {stack.url}. Ctrl-C stops it; everything stays in {stack.var}.")
    for user in json.loads(credentials.read_text())["users"]:
        print(f"    sign in as {user['username']:<10} password {user['password']}", flush=True)
    print(f"    (also in {credentials}, with their API tokens)", flush=True)
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    raise SystemExit(main())
