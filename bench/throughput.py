"""Submissions a minute: a queue of prediction files and of containers, worked off by one worker and by two."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import bare, content
from bench.rounds import alternate, ratio, say, summary
from bench.submission import NotScored, participant, stack_of
from scripts.engines import choose
from scripts.stack import Stack
from touchstone_client.images import image_digest
from touchstone_client.sdk import Client

ROUNDS = {False: 3, True: 1}
COUNTS = {
    False: {"predictions": 50, "containers": 20, "waiting": 20},
    True: dict.fromkeys(("predictions", "containers", "waiting"), 4),
}
_PATIENCE = 300.0
_WAIT_S = 1.0
_WHAT = {
    "predictions": "{n} prediction files, sent one right after the other by one participant",
    "containers": "{n} containers of the same image, which start and answer: the processor is all they need",
    "waiting": "{n} containers that wait {wait:g} s before they answer, as those do that load or compute elsewhere",
}


def measure(*, quick: bool) -> dict[str, Any]:
    """Bring up a stack with two nodes, and let one of them rest in turns."""
    choice = choose(say)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="touchstone-bench-")))
        folder.chmod(0o711)
        images: dict[str, str] = {}
        if choice.name == "docker":
            for kind, source in (("containers", content.CONTAINER), ("waiting", _waiting(folder / "waiting"))):
                images[kind] = bare.build(source)
                stack.callback(bare.remove, images[kind])
        live = stack.enter_context(stack_of(folder, choice))
        live.start_node()
        second = live.start_node(name=f"{live.node_name}-2")
        _, client = participant(live, folder, stack)
        queue = _Queue(live, client, second, images)
        queue.await_nodes()
        return _measure(queue, COUNTS[quick], rounds=ROUNDS[quick])


def _waiting(folder: Path) -> Path:
    """The container's folder with a program that waits before it serves."""
    shutil.copytree(content.CONTAINER, folder)
    main = folder / "main.py"
    main.write_text(f"import time\n\ntime.sleep({_WAIT_S})\n{main.read_text()}")
    return folder


@dataclass
class _Queue:
    live: Stack
    client: Client
    second: str
    images: dict[str, str]

    def await_nodes(self) -> None:
        """Both workers have taken a run: they are up, warm and reachable."""
        deadline = time.monotonic() + _PATIENCE
        nodes: set[str] = set()
        while len(nodes) < 2:
            if time.monotonic() > deadline:
                raise NotScored("one of two nodes took no run")
            sent = [self._submit("predictions") for _ in range(4)]
            self._await(sent)
            nodes |= {str(run["node"]) for run in self._times(sent).values()}

    def workers(self, count: int) -> None:
        """Let the second node rest, or not."""
        self.live.manage("node", "undrain" if count == 2 else "drain", self.second)

    def seconds(self, kind: str, *, count: int, workers: int) -> float:
        """From the first request to the last score."""
        self.workers(workers)
        began = time.time()
        sent = [self._submit(kind) for _ in range(count)]
        self._await(sent)
        times = self._times(sent)
        used = {run["node"] for run in times.values()}
        if len(used) != workers:
            raise NotScored(f"{workers} workers were to share {count} {kind}, and {len(used)} did")
        return max(float(run["at"]["scored"]) for run in times.values()) - began

    def _submit(self, kind: str) -> str:
        if kind == "predictions":
            return self.client.submit(content.SLUG, content.PHASE, content.PREDICTIONS, kind="predictions").id
        digest = image_digest(self.images[kind])
        return self.client.submit(content.SLUG, content.PHASE, kind="container", image=digest).id

    def _await(self, sent: list[str]) -> None:
        for one in sent:
            done = self.client.wait(one, timeout=_PATIENCE)
            if done.status != "scored":
                raise NotScored(f"{done.kind}: {done.status} ({done.verdict or done.code}): {done.explanation}")

    def _times(self, sent: list[str]) -> dict[str, Any]:
        found: dict[str, Any] = self.live.module("bench.run_times", question=sent)
        return found


def _measure(queue: _Queue, counts: dict[str, int], *, rounds: int) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for kind, count in counts.items():
        if kind != "predictions" and kind not in queue.images:
            told[kind], told[f"{kind}_reason"] = None, "no Docker engine answers"
            continue
        say(f"throughput: {count} {kind} with one worker and with two, {rounds} rounds")
        found = alternate({"one": _case(queue, kind, count, 1), "two": _case(queue, kind, count, 2)}, rounds=rounds)
        told[kind] = {
            "what": _WHAT[kind].format(n=count, wait=_WAIT_S),
            "per_minute_one_worker": summary([60 * count / s for s in found["one"]]),
            "per_minute_two_workers": summary([60 * count / s for s in found["two"]]),
            "ratio": ratio(found["one"], found["two"]),
        }
    return told | {"cores": os.cpu_count()}


def _case(queue: _Queue, kind: str, count: int, workers: int) -> Callable[[], float]:
    return lambda: queue.seconds(kind, count=count, workers=workers)
