"""The node: a Celery app whose only message is a nudge.

`celery -A runners.worker worker -Q cpu` starts one. The message says that something waits, no more:
the node then claims whatever is first in the queue through the node API, so a lost, doubled or late
message changes nothing. It has a process for each of `TOUCHSTONE_SLOTS` runs at once, and one for quick work.
"""

from __future__ import annotations

import logging
import mmap
import multiprocessing
import os
import socket
import time
import traceback
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import psutil
import structlog
from celery import Celery, signals

from runners.contract import EngineReport, NodeHello, dump
from runners.engines.base import Engine
from runners.errors import RetryableError
from runners.node.calibration import calibration
from runners.node.choice import Chosen, EngineChoice
from runners.node.claiming import Claiming
from runners.node.client import NodeClient
from runners.node.config import NodeConfig, setting, slots_of
from runners.node.fitness import Fitness
from runners.node.gpus import Found, discover
from runners.node.kinds import kinds_of
from runners.node.ledger import Ledger
from runners.node.leftovers import give_back, hold_places, remove_leftovers
from runners.node.process import die_with_parent

log = structlog.get_logger(__name__)
#: Seconds between two looks at what this node is; it says hello when that has changed, and each `_HELLO_S`.
_LOOK_S = 5.0
_HELLO_S = 20.0
_DEVICES_S = 60.0
#: Seconds between two tests of an engine that failed its self-test while the node ran.
_TEST_AGAIN_S = 20.0
#: One byte that the pool's processes share: set once the node is told to stop, so that none claims another run.
_STOPPING = mmap.mmap(-1, 1)

# At INFO they print the URL of each request, and a signed URL is a key to its file.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)

app = Celery("touchstone-node", broker=setting("TOUCHSTONE_BROKER_URL") or None, set_as_current=False)
app.conf.update(
    task_ignore_result=True,
    task_serializer="json",
    accept_content=["json"],
    worker_prefetch_multiplier=1,
    worker_concurrency=slots_of() + 1,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_transport_options={
        "visibility_timeout": 86400,
        # A host that loses power says no goodbye: after a minute of silence the connection counts as lost.
        "socket_keepalive": True,
        "socket_keepalive_options": {socket.TCP_KEEPIDLE: 30, socket.TCP_KEEPINTVL: 10, socket.TCP_KEEPCNT: 3},
    },
    worker_hijack_root_logger=False,
    # Whoever shares the queue may order about who listens. Where others share it, switch it off; then a worker whose
    # processes are all busy while Redis dies notices once one of them has time again.
    worker_enable_remote_control=setting("TOUCHSTONE_REMOTE_CONTROL") != "0",
)


@lru_cache(maxsize=1)
def config() -> NodeConfig:
    """The node's settings."""
    return NodeConfig.from_environment()


@lru_cache(maxsize=1)
def _choice() -> EngineChoice:
    from runners.engines import choose_engine

    def choose() -> Chosen:
        chosen, reports = choose_engine(config().engine)
        return chosen, tuple(reports)

    return EngineChoice(choose, config().directory)


def engine() -> Chosen:
    """The best engine whose self-test passes, and the report of each."""
    return _choice().get()


@lru_cache(maxsize=1)
def devices() -> Found:
    """The GPUs that runs of this node may have: its engine's, or those of this machine when it started."""
    return _discover()


def _discover() -> Found:
    chosen, _ = engine()
    return discover() if chosen is None or chosen.devices is None else Found(chosen.devices)


def ledger() -> Ledger:
    """What this node's runs use together."""
    settings = config()
    return Ledger(settings.directory / "ledger.json", cpus=_cpus(), memory=_memory())


def _cpus() -> float:
    return config().cpus or os.cpu_count() or 1


def _memory() -> int:
    return config().memory or psutil.virtual_memory().total


@app.task(name="touchstone.nudge")
def nudge(_run: str = "") -> int:
    """Claim and perform runs until the queues are empty or the node is told to stop; return how many."""
    settings = config()
    client = NodeClient(url=settings.url, token=settings.token)
    chosen, reports = engine()
    report = next((r for r in reports if chosen is not None and r.name == chosen.name), None)
    claiming = Claiming(
        settings=settings, client=client, engine=chosen, report=report, ledger=ledger(), devices=devices().gpus,
        stopping=lambda: bool(_STOPPING[0]),
    )  # fmt: skip
    try:
        return claiming.nudged()
    except RetryableError as error:
        log.warning("nothing claimed now; the server's sweeper will nudge again", error=error.message)
        return 0
    finally:
        client.close()


def hello(found: Found | None = None) -> NodeHello:
    """What this node is. `found`: its devices as they are now."""
    chosen, reports = engine()
    fitness, found = Fitness(config().directory), found or devices()
    if problem := fitness.engine_problem():
        reports = tuple(_failing(r, problem) if chosen is not None and r.name == chosen.name else r for r in reports)
        chosen = None
    node = fitness.node_problem()
    for name, text in (("gpu", found.problem), ("node", node)):
        if text:
            reports = (*reports, EngineReport(name=name, ok=False, problems=(text,)))
    settings = config()
    return NodeHello(
        name=settings.name, queues=settings.queues, engines=reports, kinds=() if node else kinds_of(chosen),
        cpus=max(1, int(_cpus())), memory=_memory(), gpus=found.gpus, slots=settings.slots, calibration=calibration(),
        version=_version(),
    )  # fmt: skip


def _failing(report: EngineReport, problem: str) -> EngineReport:
    return report.model_copy(update={"ok": False, "problems": (*report.problems, problem)})


def _version() -> str:
    try:
        return version("touchstone")
    except PackageNotFoundError:
        return ""


@signals.worker_init.connect
def _on_start(**_: Any) -> None:
    """Before the pool forks: give back what was lost, test the engines, begin to say hello, warm up."""
    _recover(None)  # first, for a sandbox whose supervisor was killed waits some seconds only
    places = hold_places(config().lasting)
    try:
        _get_ready()
    finally:
        for place in places:
            place.leave()
    multiprocessing.get_context("fork").Process(target=_keep, args=(os.getpid(),), daemon=True).start()


def _get_ready() -> None:
    """What takes seconds: test the engines, look for devices, import what judges need."""
    chosen, reports = engine()
    Fitness(config().directory).forget()
    for report in reports:
        log.info("engine", **report.model_dump())
    if chosen is None:
        log.warning("no engine passed its self-test: only prediction files are evaluated here")
    if devices().problem:
        log.error("the devices of this node cannot be used", problem=devices().problem)
    log.info("calibration", multiply_adds_per_second=calibration(), load_average=os.getloadavg()[0])
    _warm_up()


def _recover(chosen: Engine | None) -> None:
    """Give back the runs of workers that were killed, and remove what nobody may take over any more."""
    settings = config()
    client = NodeClient(url=settings.url, token=settings.token)
    try:
        for left in give_back(settings.directory / "runs", settings.lasting, client):
            log.info("gave back what a killed worker left", item=left)
        if chosen is not None:
            for left in remove_leftovers(settings.directory / "runs", settings.lasting, chosen):
                log.info("removed what a killed attempt left", item=left)
    except RetryableError as error:
        log.warning("not tidied up yet", error=error.message)
    finally:
        client.close()


def _warm_up() -> None:
    """Import what costs seconds once, so that each judge is forked with it."""
    import pyarrow as pa

    import runners.judge  # noqa: F401
    from runners import registry

    registry.metrics()
    registry.attacks()
    pa.array([""])  # its first array looks for pandas, which takes a fifth of a second


def _keep(parent: int) -> None:
    """Register when something changed and every so often; tidy up; test an engine that failed again."""
    die_with_parent()
    keeper = _Keeper(NodeClient(url=config().url, token=config().token))
    while os.getppid() == parent:
        keeper.look()
        time.sleep(_LOOK_S)


class _Keeper:
    """The server shows a node as online while it hears from it."""

    def __init__(self, client: NodeClient) -> None:
        self._client = client
        self._said: dict[str, Any] = {}
        self._said_at = self._tested_at = -1e9
        self._found, self._found_at = devices(), time.monotonic()

    def look(self) -> None:
        """One round. Whatever goes wrong in it is logged: the next comes in seconds."""
        for step in (self._devices, self._engine, self._hello):
            try:
                step()
            except RetryableError as error:
                log.warning("server or engine away", error=error.message)
            except Exception:  # else one odd answer, say of a proxy, would make a working node look lost for ever
                log.error("the node's keeper failed", step=step.__name__, trace=traceback.format_exc())

    def _devices(self) -> None:
        if time.monotonic() - self._found_at > _DEVICES_S and (self._found.gpus or self._found.problem):
            self._found, self._found_at = _discover(), time.monotonic()

    def _engine(self) -> None:
        chosen, _ = engine()
        broken = chosen is None or Fitness(config().directory).engine_problem()
        if broken and time.monotonic() - self._tested_at > _TEST_AGAIN_S:
            self._tested_at = time.monotonic()
            if chosen is None:
                _choice().look_again()
            else:
                Fitness(config().directory).test(chosen)
        _recover(chosen)

    def _hello(self) -> None:
        told = hello(self._found)
        if dump(told) == self._said and time.monotonic() - self._said_at < _HELLO_S:
            return
        self._client.register(told)
        self._said, self._said_at = dump(told), time.monotonic()


@signals.worker_shutting_down.connect
def _on_stop(**_: Any) -> None:
    """Finish the runs at hand, take no others. The pool's processes are asked by Celery only once they are idle."""
    _STOPPING[0] = 1


@signals.worker_process_init.connect
def _on_pool_process(**_: Any) -> None:
    die_with_parent()
    # To `multiprocessing` a pool process is a daemon, and it refuses those children; the judge is one.
    multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]
