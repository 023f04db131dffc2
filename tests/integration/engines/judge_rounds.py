"""All cases on one engine: three at a time, each through the judge itself, with a guard around it."""

from __future__ import annotations

import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

from judge_cases import SUITE, Case, EngineName, load_case
from judge_leftovers import Observed, Traces, leftovers
from judge_verdicts import Outcome
from judge_world import Neighbour, World, pack

from runners.contract import RunEvent, RunResult, Verdict
from runners.engines.base import Engine, Job, Limits
from runners.errors import RetryableError
from runners.judge import evaluate
from runners.spec.models import SubmissionKind

_AT_ONCE = 3
#: Seconds beyond the limits of a run after which the guard ends it.
_GUARD = 60.0
_NO_IMAGE = "sha256:" + "0" * 64


class Guard:
    """Ends what an engine started if the judge does not: no case may outlive the test."""

    def __init__(self, engine: Any, seconds: float) -> None:
        self.fired = False
        self._engine = engine
        self._sandboxes: list[Any] = []
        self._timer = threading.Timer(seconds, self._fire)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def start(self, job: Job) -> Any:
        self._sandboxes.append(self._engine.start(job))
        return self._sandboxes[-1]

    def _fire(self) -> None:
        self.fired = True
        for sandbox in self._sandboxes:
            sandbox.kill()

    def __enter__(self) -> Guard:
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        self._timer.join()


class Round:
    """`make` gives an engine for each thread; `images` the image of a container case, by its slug."""

    def __init__(
        self, name: EngineName, world: World, folder: Path, make: Callable[[], Engine], images: Callable[[Case], str]
    ) -> None:
        self.name = name
        self.world = world
        self._folder = folder
        self._make = make
        self._images = images
        self._own = threading.local()
        self._engines: list[Engine] = []
        self._honest = load_case(SUITE / "honest")
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix=f"judge-{name}")
        self._futures: dict[str, Future[Outcome]] = {}
        self.neighbour = Neighbour(
            self._start, secret=world.secret, python="python3" if name != "bubblewrap" else "python"
        )
        self.neighbour.wait_up()

    def submit(self, cases: Iterable[Case]) -> None:
        """Begin with `cases`, in their order."""
        for case in cases:
            self._futures[case.slug] = self._pool.submit(self._run, case)

    def outcome(self, case: Case) -> Outcome:
        """How `case` ended."""
        return self._futures[case.slug].result(timeout=600)

    def honest(self) -> RunResult:
        """An honest submission, now."""
        return self._judge(self._honest)[0]

    def close(self) -> None:
        """End everything. The pool first: its threads hold sandboxes."""
        self._pool.shutdown(cancel_futures=True)
        with self.neighbour:
            pass
        for engine in self._engines:
            close: Callable[[], None] = getattr(engine, "close", lambda: None)
            close()

    def _engine(self) -> Engine:
        if not hasattr(self._own, "engine"):
            self._own.engine = self._make()
            self._engines.append(self._own.engine)
        found: Engine = self._own.engine
        return found

    def _start(self, argv: tuple[str, ...]) -> Any:
        limits = Limits(memory=2**28, cpus=1.0, seconds=Neighbour.SECONDS, tmp=2**20, pids=512)
        return self._engine().start(Job(run=f"neighbour-{uuid.uuid4().hex[:8]}", attempt=1, limits=limits, argv=argv))

    def _run(self, case: Case) -> Outcome:
        hits = len(self.world.services.hits)
        began = time.monotonic()
        result, events, left, guarded = self._judge(case)
        again = self._judge(self._honest)[0] if case.bomb else None
        return Outcome(
            result, tuple(events), tuple(left), tuple(self.world.services.hits[hits:]), again, guarded,
            time.monotonic() - began,
        )  # fmt: skip

    def _judge(self, case: Case) -> tuple[RunResult, list[RunEvent], list[str], bool]:
        run = f"suite-{uuid.uuid4().hex[:12]}"
        folder = self._folder / run
        work = folder / "work"
        work.mkdir(parents=True)
        events: list[RunEvent] = []
        traces = Traces(run)
        client = getattr(self._engine(), "client", None)
        with Guard(Observed(self._engine(), traces), case.limits.time + _GUARD) as guard:
            spec = self.world.spec(case, run, self._image(case))
            files = self.world.files(self._submission(case, folder / "submission", run))
            try:
                result = evaluate(spec=spec, files=files, engine=guard, workdir=work, emit=events.append)
            except RetryableError as error:
                result = RunResult(run=run, attempt=1, verdict=Verdict.PLATFORM, code=error.code, message=error.message)
        left = leftovers(traces, client, folder)
        traces.close()
        shutil.rmtree(folder)
        return result, events, left, guard.fired

    def _image(self, case: Case) -> str:
        if case.kind is not SubmissionKind.CONTAINER:
            return ""
        return self._images(case) if self.name != "bubblewrap" else _NO_IMAGE

    def _submission(self, case: Case, folder: Path, run: str) -> Path:
        folder.mkdir()
        if case.kind is SubmissionKind.CODE:
            more = {"run": run, "neighbour_abstract": self.neighbour.abstract}
            (folder / "code.zip").write_bytes(pack(case, self.world.targets(**more)))
        return folder
