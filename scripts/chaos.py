"""Kills every part of a whole Touchstone at random moments, delivers every message twice, and counts what was lost.

    python -m scripts.chaos --runs 200 --seed 1        prints its counts as JSON; status 1 where a promise was broken

Linux, root, and a Docker engine with the base image: a second daemon is started, so that it can be killed.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from scripts.chaos_docker import OwnDocker
from scripts.chaos_doubling import Doubling
from scripts.chaos_kills import Killer
from scripts.chaos_world import World
from scripts.stack import Stack
from scripts.supervisor import Member

#: A run whose lease has lapsed is back in the queue by then: two sweeps, and what a killed sweeper needs to come back.
GRACE_SECONDS = 40.0
_PATIENCE = 600.0


def chaos(*, runs: int, seed: int, folder: Path, rounds: int, say: Any, nodes: int = 1) -> dict[str, Any]:
    """Perform it in `folder`; the counts. `rounds`: how often each part is killed; `nodes`: among how many."""
    rng = random.Random(seed)
    docker = OwnDocker()
    stack = Stack(folder / "var", say=say, port=0, settings="scripts.chaos_settings", engine="docker")
    started = time.monotonic()
    try:
        with stack, Doubling(stack.port, rng=random.Random(seed)) as doubling:
            assert stack.supervisor is not None
            stack.supervisor.add(Member("dockerd", docker.start, folder / "dockerd.log", grace=30.0))
            docker.take_images()
            world = World(stack, docker, folder, rng=rng)
            extra = {"DOCKER_HOST": docker.host, "TOUCHSTONE_URL": doubling.url, "TOUCHSTONE_SLOTS": "2"}
            for number in range(1, nodes + 1):
                stack.start_node(name="" if number == 1 else f"{stack.node_name}-{number}", extra=extra)
            ready = time.monotonic()
            try:
                counts = _storm(stack, docker, world, runs=runs, rounds=rounds, rng=rng)
                counts |= {"seconds": round(time.monotonic() - ready, 1), "doubled_messages": doubling.delivered}
                found = stack.module("scripts.chaos_audit", question={"runs": world.sent})
                found["violations"] |= counts["violations"] | _left(stack, docker)
                counts |= found
            finally:
                world.close()
                docker.empty()
    finally:
        left = docker.remove()
    counts["violations"]["mounts_left"] = len(left)
    counts |= {"seed": seed, "seconds_with_setup": round(time.monotonic() - started, 1)}
    counts["broken"] = sum(int(n) for n in counts["violations"].values())
    return counts


def _storm(
    stack: Stack, docker: OwnDocker, world: World, *, runs: int, rounds: int, rng: random.Random
) -> dict[str, Any]:
    """Submit, and kill meanwhile, spread over the runs; returns when every run has ended."""
    killer = Killer(stack, docker, rounds=rounds, rng=rng)
    watch = Watch(stack)
    deadline = time.monotonic() + _PATIENCE + 3 * runs
    over = 0
    while over < runs:
        if time.monotonic() > deadline:
            break  # the audit tells which
        while len(world.sent) < runs and len(world.sent) - over < 40:
            world.submit()
        over = watch.look(over)
        # The n-th kill comes once its share of the runs is over, so that they fall into the whole of it.
        if killer.left and over >= (killer.total - killer.left) * runs // (killer.total + 1):
            killer.kill()
        time.sleep(rng.uniform(0.1, 0.6))
    return {
        "submitted": len(world.sent),
        "nodes": len(stack.nodes),
        "kills": dict(killer.killed),
        "restarts": killer.restarts(),
        "longest_lapse_seconds": round(watch.longest, 1),
        "quarantines_lifted": watch.lifted,
        "violations": {"stuck_beyond_grace": int(watch.longest > GRACE_SECONDS)},
    }


class Watch:
    """Looks at the database from outside; while that is down it sees nothing."""

    def __init__(self, stack: Stack) -> None:
        self.longest, self.lifted = 0.0, 0
        self._url = stack.services.environment["DATABASE_URL"]

    def look(self, before: int) -> int:
        """How many runs are over; `before` where nobody answers. Plays the operator who lifts a quarantine."""
        import psycopg

        try:
            with psycopg.connect(self._url, connect_timeout=2, autocommit=True) as database:
                over, lapse = database.execute(
                    "SELECT count(*) FILTER (WHERE status IN ('scored', 'failed', 'cancelled', 'rejected')), "
                    "max(extract(epoch FROM now() - lease_until)) FILTER (WHERE status = 'running') "
                    "FROM evaluations_run"
                ).fetchone() or (before, 0)
                lifted = database.execute(
                    "UPDATE evaluations_node SET quarantined_at = NULL, quarantine_reason = '', faults = '[]', "
                    "rest_until = NULL WHERE quarantined_at IS NOT NULL"
                )
        except psycopg.Error:
            return before
        self.longest = max(self.longest, float(lapse or 0))
        self.lifted += lifted.rowcount
        return int(over)


def _left(stack: Stack, docker: OwnDocker) -> dict[str, int]:
    """What should be gone when all runs are over."""
    nodes = [stack.var / name for name in stack.nodes]
    deadline = time.monotonic() + 90  # a sandbox without a supervisor waits a minute for the next attempt
    while time.monotonic() < deadline:
        left = {
            "containers_left": len(docker.sandboxes()),
            "attempt_folders_left": sum(len(list((node / "runs").iterdir())) for node in nodes),
            "channels_left": sum(len(list((node / "channels").iterdir())) for node in nodes),
        }
        if not any(left.values()):
            break
        time.sleep(1)
    return left


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill everything at random; print counts as JSON.")
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3, help="how often each part is killed")
    parser.add_argument("--keep", action="store_true", help="keep the folder with all logs")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="tsx-"))
    folder.chmod(0o711)  # PostgreSQL runs under its own user and passes through
    counts: dict[str, Any] = {"broken": 1}
    try:
        counts = chaos(
            runs=arguments.runs, seed=arguments.seed, folder=folder, rounds=arguments.rounds, nodes=arguments.nodes,
            say=lambda text: print(text, file=sys.stderr),
        )  # fmt: skip
        print(json.dumps(counts, indent=1))
    finally:
        if arguments.keep:
            print(f"logs: {folder / 'var' / 'log'}", file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return 1 if counts["broken"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
