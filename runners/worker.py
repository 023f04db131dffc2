"""The node: a Celery app whose only message is a nudge.

`celery -A runners.worker worker -Q cpu` starts one. The message says that something waits, no more:
the node then claims whatever is first in the queue through the node API, so a lost, doubled or late
message changes nothing.
"""

from __future__ import annotations

import logging
import mmap
import multiprocessing
import os
import time
import traceback
from functools import lru_cache
from typing import Any

import psutil
import structlog
from celery import Celery, signals

from runners.contract import EngineReport, NodeHello
from runners.engines.base import Engine
from runners.errors import RetryableError
from runners.node.attempt import Attempt
from runners.node.cache import Cache
from runners.node.client import NodeClient
from runners.node.config import NodeConfig
from runners.node.kinds import kinds_of
from runners.node.leftovers import remove_leftovers
from runners.node.process import die_with_parent

log = structlog.get_logger(__name__)
_HELLO_S = 20.0
#: One byte that the pool's processes share: set once the node is told to stop, so that none claims another run.
_STOPPING = mmap.mmap(-1, 1)

# At INFO they print the URL of each request, and a signed URL is a key to its file.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)

app = Celery("touchstone-node", broker=os.environ.get("TOUCHSTONE_BROKER_URL"), set_as_current=False)
app.conf.update(
    task_ignore_result=True,
    task_serializer="json",
    accept_content=["json"],
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_transport_options={"visibility_timeout": 86400},
    worker_hijack_root_logger=False,
)


@lru_cache(maxsize=1)
def config() -> NodeConfig:
    """The node's settings."""
    return NodeConfig.from_environment()


@lru_cache(maxsize=1)
def engine() -> tuple[Engine | None, tuple[EngineReport, ...]]:
    """The best engine whose self-test passes, and the report of each."""
    from runners.engines import choose_engine

    chosen, reports = choose_engine(config().engine)
    return chosen, tuple(reports)


@app.task(name="touchstone.nudge")
def nudge(_run: str = "") -> int:
    """Claim and perform runs until the queues are empty or the node is told to stop; return how many."""
    settings = config()
    client = NodeClient(url=settings.url, token=settings.token)
    try:
        return sum(_drain(client, queue) for queue in settings.queues)
    except RetryableError as error:
        log.warning("nothing claimed now; the server's sweeper will nudge again", error=error.message)
        return 0
    finally:
        client.close()


def _drain(client: NodeClient, queue: str) -> int:
    settings = config()
    chosen, reports = engine()
    report = next((r for r in reports if chosen is not None and r.name == chosen.name), None)
    cache = Cache(settings.directory / "cache", limit=settings.cache_bytes)
    runs = settings.directory / "runs"
    for left in remove_leftovers(runs, chosen):
        log.info("removed what a killed attempt left", item=left)
    done = 0
    while not _STOPPING[0] and (spec := client.claim(queue=queue, kinds=kinds_of(chosen))) is not None:
        Attempt(
            spec=spec, client=client, engine=chosen, report=report, cache=cache, directory=runs,
            judge_memory=settings.judge_memory,
        ).perform()  # fmt: skip
        done += 1
    return done


def hello() -> NodeHello:
    """What this node is."""
    chosen, reports = engine()
    return NodeHello(
        name=config().name, queues=config().queues, engines=reports, kinds=kinds_of(chosen), cpus=os.cpu_count() or 1,
        memory=psutil.virtual_memory().total,
    )  # fmt: skip


@signals.worker_init.connect
def _on_start(**_: Any) -> None:
    """Before the pool forks: test the engines, begin to say hello, warm up."""
    chosen, reports = engine()
    for report in reports:
        log.info("engine", **report.model_dump())
    if chosen is None:
        log.warning("no engine passed its self-test: only prediction files are evaluated here")
    multiprocessing.get_context("fork").Process(target=_say_hello, args=(os.getpid(),), daemon=True).start()
    _warm_up()


def _warm_up() -> None:
    """Import what costs seconds once, so that each judge is forked with it."""
    import pyarrow as pa

    import runners.judge  # noqa: F401
    from runners import registry

    registry.metrics()
    registry.attacks()
    pa.array([""])  # its first array looks for pandas, which takes a fifth of a second


def _say_hello(parent: int) -> None:
    """Register, again and again: the server shows a node as online while it hears from it."""
    die_with_parent()
    client = NodeClient(url=config().url, token=config().token)
    while os.getppid() == parent:
        try:
            client.register(hello())
        except RetryableError as error:
            log.warning("server away", error=error.message)
        except Exception:  # else one odd answer, say of a proxy, would make a working node look lost for ever
            log.error("the server refuses this node's hello", trace=traceback.format_exc())
        time.sleep(_HELLO_S)


@signals.worker_shutting_down.connect
def _on_stop(**_: Any) -> None:
    """Finish the runs at hand, take no others. The pool's processes are asked by Celery only once they are idle."""
    _STOPPING[0] = 1


@signals.worker_process_init.connect
def _on_pool_process(**_: Any) -> None:
    die_with_parent()
    # To `multiprocessing` a pool process is a daemon, and it refuses those children; the judge is one.
    multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]
