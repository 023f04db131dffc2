"""Which part of the chaos dies next, and how: by SIGKILL, with no goodbye."""

from __future__ import annotations

import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Callable

import psutil

from scripts.chaos_docker import DockerError, OwnDocker
from scripts.stack import Stack

_ONCE = ("server", "redis", "postgres", "scheduler", "dockerd")


class Killer:
    """Kills each part `rounds` times, in an order drawn by `rng`."""

    def __init__(self, stack: Stack, docker: OwnDocker, *, rounds: int, rng: random.Random) -> None:
        self.killed: Counter[str] = Counter()
        self._stack = stack
        self._docker = docker
        self._rng = rng
        self._ways: dict[str, Callable[[], bool]] = {
            **{name: (lambda name=name: self._member(name)) for name in _ONCE},  # type: ignore[misc]
            "node": lambda: self._member(rng.choice(stack.nodes)),
            "worker": self._worker,
            "judge": self._judge,
            "container": self._container,
        }
        self._bag: list[str] = []
        for _ in range(rounds):
            turn = list(self._ways)
            rng.shuffle(turn)
            self._bag += turn
        self.total = len(self._bag)

    @property
    def left(self) -> int:
        """How many kills are still to come."""
        return len(self._bag)

    def kill(self) -> None:
        """The next one. One that is not there now is tried again at the next call, after another."""
        for index, name in enumerate(self._bag):
            if self._ways[name]():
                del self._bag[index]
                self.killed[name] += 1
                print(f"killed {name}", file=sys.stderr)
                return

    def restarts(self) -> dict[str, int]:
        """How often the supervisor started each member again."""
        assert self._stack.supervisor is not None
        return {name: self._stack.supervisor.restarts(name) for name in (*_ONCE, *self._stack.nodes)}

    def _member(self, name: str) -> bool:
        assert self._stack.supervisor is not None
        pid = self._stack.supervisor.pid(name)
        return pid is not None and _kill(pid)

    def _pool(self) -> list[psutil.Process]:
        """Processes of the nodes' pools: their children."""
        assert self._stack.supervisor is not None
        pids = [self._stack.supervisor.pid(name) for name in self._stack.nodes]
        return [child for pid in pids if pid is not None for child in _children_of(pid)]

    def _worker(self) -> bool:
        """One process of the pool, if possible with a run at hand."""
        found = self._pool()
        busy = [process for process in found if _children(process)]
        chosen = self._rng.choice(busy or found) if found else None
        return chosen is not None and _kill(chosen.pid)

    def _judge(self) -> bool:
        judges = [child for process in self._pool() for child in _children(process)]
        return bool(judges) and _kill(self._rng.choice(judges).pid)

    def _container(self) -> bool:
        try:
            running = self._docker.docker("ps", "--quiet", "--filter", "label=touchstone.run").split()
            if not running:
                return False
            self._docker.docker("kill", "--signal", "KILL", self._rng.choice(running))
        except DockerError:  # the daemon is being restarted, or the container just ended
            return False
        return True


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children()
    except psutil.NoSuchProcess:
        return []


def _children_of(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children()
    except psutil.NoSuchProcess:
        return []


def _kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True
