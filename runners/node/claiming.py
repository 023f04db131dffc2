"""From a nudge to runs: claim what this node has room for, until there is no more."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from runners.contract import EngineReport, GpuInfo
from runners.engines.base import Engine
from runners.errors import RetryableError
from runners.example_store import ExampleStore
from runners.node import gpus, slots
from runners.node.attempt import Attempt
from runners.node.cache import Cache
from runners.node.client import NodeClient
from runners.node.config import NodeConfig
from runners.node.fitness import Fitness
from runners.node.kinds import kinds_of
from runners.node.ledger import Ledger
from runners.node.leftovers import give_back
from runners.spec.models import SubmissionKind

log = structlog.get_logger(__name__)

_GPU_QUEUE = "gpu"
#: So long, at most, a node claims nothing for the sake of a run that it had no room for; another may have taken it.
_CROWDED_S = 60.0
_LOOK_S = 0.25
#: Examples that were made against surrogates may take this part of what cached files may, besides them.
_EXAMPLES_SHARE = 8


@dataclass(frozen=True)
class Claiming:
    """What one process of the node claims with. `stopping` says when no more is wanted."""

    settings: NodeConfig
    client: NodeClient
    engine: Engine | None
    report: EngineReport | None
    ledger: Ledger
    devices: tuple[GpuInfo, ...]
    stopping: Callable[[], bool]

    def nudged(self) -> int:
        """Claim and perform runs until the queues are empty, or there is no room; return how many."""
        settings, done = self.settings, 0
        for left in give_back(settings.directory / "runs", settings.lasting, self.client):
            log.info("gave back what a killed worker left", item=left)
        rooms = slots.Slots(settings.directory / "slots", count=settings.slots)
        while not self.stopping():
            before = slots.missed()
            slot = rooms.take()
            if slot is None:
                slots.miss()
                return done + self._quick(rooms)
            with slot:
                done += self._drain()
            if slots.missed() == before:
                break  # else a nudge came in between and found no slot
        return done

    def _quick(self, rooms: slots.Slots) -> int:
        lane = rooms.take_quick()
        if lane is None:
            return 0
        with lane:
            queues = [queue for queue in self.settings.queues if queue != _GPU_QUEUE]
            return sum(self._perform(queue, (SubmissionKind.PREDICTIONS,)) for queue in queues)

    def _drain(self) -> int:
        """One run of each queue in turn until all are empty: a long queue must not keep the others waiting."""
        done = 0
        try:
            while (taken := sum(self._one(queue) for queue in self.settings.queues)) > 0:
                done += taken
                self._wait_for_room()
        finally:
            self.ledger.leave()  # a run that went back for want of room kept its place until here
        return done

    def _one(self, queue: str) -> int:
        """A run of the gpu queue is claimed only by who has a device for it.

        While a run waits for room, others would only wait behind it: nothing is claimed but what needs none.
        """
        room = self.ledger.is_open()
        if queue != _GPU_QUEUE:
            return self._perform(queue, None if room else (SubmissionKind.PREDICTIONS,), most=1)
        if not room:
            return 0
        with self._device() as device:
            return 0 if device is None else self._perform(_GPU_QUEUE, None, devices=(device,), most=1)

    def _wait_for_room(self) -> None:
        """A run that went back for want of room is first in its queue: claimed at once, it would go back again."""
        until = time.monotonic() + _CROWDED_S
        while self.ledger.is_crowded() and time.monotonic() < until and not self.stopping():
            time.sleep(_LOOK_S)

    @contextmanager
    def _device(self) -> Iterator[str | None]:
        try:
            ours = self.engine is None or self.engine.devices is None
            lease = gpus.lease(
                self.settings.directory / "gpus",
                self.devices,
                shared=self.settings.gpu_locks if ours else None,
                ours=ours,
            )
        except RetryableError as error:
            log.error("no device leased", error=error.message)
            lease = None
        try:
            yield None if lease is None else lease.uuid
        finally:
            if lease is not None:
                lease.close()

    def _perform(
        self, queue: str, only: tuple[SubmissionKind, ...] | None, *, devices: tuple[str, ...] = (), most: int = 10**9
    ) -> int:
        settings, fitness = self.settings, Fitness(self.settings.directory)
        cache = Cache(settings.directory / "cache", limit=settings.cache_bytes)
        done = 0
        while done < most and not self.stopping():
            if problem := fitness.node_problem():
                log.error("this node takes nothing for now", problem=problem)
                break
            engine = None if fitness.engine_problem() else self.engine
            kinds = only or kinds_of(engine)
            spec = self.client.claim(queue=queue, kinds=kinds)
            if spec is None:
                break
            attempt = Attempt(
                spec=spec, client=self.client, engine=engine, report=self.report, cache=cache,
                directory=settings.directory / "runs", judge_memory=settings.judge_memory,
                lasting=settings.lasting, ledger=self.ledger, gpus=devices,
                examples=ExampleStore(settings.directory / "examples", limit=settings.cache_bytes // _EXAMPLES_SHARE),
            )  # fmt: skip
            attempt.perform()
            fitness.after(attempt.fault, engine)
            done += 1
        return done
