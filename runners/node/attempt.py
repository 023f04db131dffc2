"""One attempt from claim to report: fetch, judge, renew the lease meanwhile, tell the server."""

from __future__ import annotations

import shutil
import time
import traceback
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import structlog

from runners.contract import EngineReport, RunEvent, RunResult, RunSpec, Verdict, surrogate_seconds
from runners.engines.base import Engine
from runners.errors import NO_CAPACITY, RetryableError
from runners.example_store import ExampleStore
from runners.node.cache import Cache
from runners.node.client import Fenced, NodeClient
from runners.node.ledger import Ledger
from runners.node.leftovers import attempt_folder, forget_unless_live, make_attempt_folder, reap
from runners.node.process import JudgeProcess, bug_result, os_result, platform_result
from runners.spec.models import SubmissionKind

log = structlog.get_logger(__name__)

#: Seconds between two looks at the lease; the answer also says whether to cancel, which is done within two.
_RENEW_S = 1.0
_FLUSH_S = 0.5
_LOOK_S = 0.25
#: Beyond the run's own limit, for metrics the judge computes by itself.
_JUDGE_MARGIN_S = 480.0
#: What the server gives a claimed run beyond its own limit, less what a report may take: no attempt lasts longer.
_SERVER_MARGIN_S = 600.0 - 30.0
#: A run waits so long for room on its node. Then it goes back to its place in the queue: another node may have room.
_ROOM_PATIENCE_S = 60.0
_MOST_EVENTS = 5000
#: A server that restarts must not cost a run its history, nor its score for the sake of that.
_EVENTS_PATIENCE_S = 120.0
_LONGEST_LOG = 2**16


class _Cancelled(Exception):
    """Somebody asked to stop the run."""


@dataclass
class Attempt:
    """Supervises one claimed run.

    `lasting`: folder of what a run keeps between attempts, so that the next one takes its sandbox over.
    `ledger`: what this node's runs may use together. `gpus`: devices leased for this run.
    `examples`: what this node made against surrogates before.
    `fault`: after `perform`, the code of a fault of the platform, or nothing.
    """

    spec: RunSpec
    client: NodeClient
    engine: Engine | None
    report: EngineReport | None
    cache: Cache
    directory: Path
    judge_memory: int
    lasting: Path | None = None
    ledger: Ledger | None = None
    gpus: tuple[str, ...] = ()
    examples: ExampleStore | None = None
    fault: str = ""
    _claimed: float = field(default_factory=time.monotonic)
    _crowded: bool = False
    _pending: list[RunEvent] = field(default_factory=list)
    _number: int = 0
    _tried: int = 0
    _dropped: int = 0
    _renewed: float = field(default_factory=time.monotonic)
    _flushed: float = field(default_factory=time.monotonic)

    def perform(self) -> None:
        """Do it. A fenced attempt ends silently: another node has the run, or nobody wants it any more."""
        folder = attempt_folder(self.directory, self.spec)
        try:
            result = self._result(folder)
            self.fault = result.code if result.verdict is Verdict.PLATFORM and result.code != "cancelled" else ""
            self._tell_all()
            if self.fault == NO_CAPACITY:
                self._give_back(result)
                return
            self._report(result)
            log.info("reported", run=self.spec.run, attempt=self.spec.attempt, verdict=result.verdict.value)
        except Fenced as fence:
            log.warning("fenced", run=self.spec.run, attempt=self.spec.attempt, reason=str(fence))
        finally:
            self._forget()
            shutil.rmtree(folder, ignore_errors=True)
            if self.ledger is not None and not self._crowded:  # else it keeps its place, until this process has another
                self.ledger.leave()
            self.cache.trim()

    def _give_back(self, result: RunResult) -> None:
        """Node or cluster had no room in time: nobody's fault; the run goes back to its place and loses no attempt."""
        self.fault = ""
        self.client.release(self.spec.run, self.spec.attempt)
        log.info("given back", run=self.spec.run, attempt=self.spec.attempt, why=result.message)

    def _report(self, result: RunResult) -> None:
        """Tell the server; where it refuses the report itself, tell it that, for a silent run looks lost."""
        try:
            self.client.result(self.spec, result)
        except RuntimeError:
            self.client.result(self.spec, bug_result(self.spec, where="the report"))

    def _result(self, folder: Path) -> RunResult:
        try:
            return self._fetched_and_judged(folder)
        except Fenced:
            raise
        except _Cancelled:
            return platform_result(self.spec, code="cancelled", message="Cancelled by request.")
        except RetryableError as error:
            return platform_result(self.spec, code=error.code, message=error.message)
        except OSError as error:
            return os_result(self.spec, error)
        except Exception:
            return bug_result(self.spec, where="the node")

    def _fetched_and_judged(self, folder: Path) -> RunResult:
        started = time.monotonic()
        self._fetch(folder)
        fetched = time.monotonic() - started
        waited = self._wait_for_room()
        result = self._judge(folder)
        stages = {"fetch": round(fetched, 4), **({"wait": round(waited, 4)} if waited else {}), **result.stages}
        # A prediction file is read, and an endpoint asked, not run: no engine had a part in its score.
        run_here = self.spec.submission.kind not in (SubmissionKind.PREDICTIONS, SubmissionKind.ENDPOINT)
        report = self.report if run_here else None
        return result.model_copy(update={"stages": stages, "engine": report})

    def _fetch(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        make_attempt_folder(folder)
        for part in ("submission", "work"):
            (folder / part).mkdir()
        wanted = {"submission": self.spec.submission.files, "split": self.spec.split.files}
        if self.spec.sample is not None:
            wanted["sample"] = self.spec.sample.files
        if self.spec.validation is not None:
            wanted["validation"] = self.spec.validation.files
        if self.spec.surrogates:
            wanted["surrogates"] = tuple(surrogate.file for surrogate in self.spec.surrogates)
        for part, files in wanted.items():
            self.cache.materialise(files, folder / part, fetch=self._download)

    def _download(self, url: str, target: object) -> None:
        self.client.download(url, target, tick=self._hold)  # type: ignore[arg-type]

    def _hold(self) -> None:
        """Keep the lease while a file comes: one may take longer than the lease lasts."""
        if self._keep_lease():
            raise _Cancelled

    def _wait_for_room(self) -> float:
        """Seconds until the runs of this node leave room for this one; the lease is kept meanwhile.

        Raises `RetryableError` where they do not in time: the run's deadline at the server does not wait.
        """
        if self.ledger is None or self.ledger.admit(self.spec):
            return 0.0
        started = time.monotonic()
        until = min(started + _ROOM_PATIENCE_S, self._claimed + _SERVER_MARGIN_S - _JUDGE_MARGIN_S)
        while not self.ledger.admit(self.spec):
            if time.monotonic() >= until:
                self._crowded = True
                self._say("The runs of this node left no room for this one; it goes back to its place in the queue.")
                raise RetryableError("the runs of this node left no room in time", code=NO_CAPACITY)
            self._hold()
            time.sleep(_LOOK_S)
        return time.monotonic() - started

    def _judge(self, folder: Path) -> RunResult:
        resources = self.spec.resources
        longest = resources.time + resources.start + surrogate_seconds(resources, len(self.spec.surrogates))
        deadline = time.monotonic() + longest + _JUDGE_MARGIN_S
        deadline += self.engine.patience if self.engine is not None else 0.0  # what a cluster's queue may take
        deadline = min(deadline, self._claimed + longest + _SERVER_MARGIN_S)
        judge = JudgeProcess(
            spec=self.spec, folder=folder, engine=self.engine, memory=self.judge_memory, lasting=self.lasting,
            gpus=self.gpus, ledger=self.ledger, examples=self.examples,
        )  # fmt: skip
        ended = False
        try:
            while time.monotonic() < deadline:
                message = judge.receive(_LOOK_S)
                if isinstance(message, RunResult):
                    ended = True
                    return message
                if isinstance(message, RunEvent):
                    self._note(message)
                self._hold()
                self._flush()
            return platform_result(self.spec, code="judge_timeout", message="The judge did not finish in time.")
        except EOFError:
            return platform_result(
                self.spec, code="judge_crashed", message=f"The judge ended early: {judge.exit_text()}."
            )
        finally:
            judge.kill()
            if not ended:
                self._reap()

    def _say(self, text: str) -> None:
        self._note(RunEvent(at=datetime.now(UTC).isoformat(timespec="milliseconds"), kind="note", message=text))

    def _note(self, event: RunEvent) -> None:
        """Keep an event until it is sent. Each has a number, so that one that arrives twice is known again."""
        last = self._pending[-1] if len(self._pending) > self._tried else None
        if last is not None and _may_join(last, event):
            self._pending[-1] = last.model_copy(update={"message": last.message + event.message})
        elif len(self._pending) < _MOST_EVENTS:
            self._number += 1
            self._pending.append(event.model_copy(update={"data": {**event.data, "n": self._number}}))
        else:
            self._dropped += 1

    def _tell_all(self) -> None:
        """Send every event before the result, which ends the attempt; a server that is away is waited for."""
        self._tell_dropped()
        deadline = time.monotonic() + _EVENTS_PATIENCE_S
        while self._pending and time.monotonic() < deadline:
            if not self._flush(force=True):
                self._keep_lease()
                time.sleep(_LOOK_S)

    def _tell_dropped(self) -> None:
        if self._dropped:
            text = f"The server was away for so long that {self._dropped} later events were not kept."
            at = datetime.now(UTC).isoformat(timespec="milliseconds")
            self._pending.append(RunEvent(at=at, kind="note", message=text, data={"n": self._number + 1}))

    def _reap(self) -> None:
        """End the sandbox of a judge that could not: a container lives on, and would slow the next run."""
        if self.engine is None:
            return
        try:
            self._forget()
            removed = reap(self.directory, self.lasting, self.engine)
            log.info("removed what the judge left", run=self.spec.run, items=removed)
        except RetryableError as error:
            log.warning("sandbox not removed yet", run=self.spec.run, error=error.message)

    def _forget(self) -> None:
        """A fenced attempt may have a successor on this node, which listens at the same place."""
        if self.lasting is not None:
            forget_unless_live(self.directory, self.lasting, self.spec.run)

    def _keep_lease(self) -> bool:
        """Renew where due; true if the run is to be cancelled. A server that is away is no reason to stop."""
        if time.monotonic() - self._renewed < _RENEW_S:
            return False
        self._renewed = time.monotonic()
        try:
            return self.client.renew(self.spec).cancel
        except RetryableError as error:
            log.warning("lease not renewed", run=self.spec.run, error=error.message)
            return False

    def _flush(self, *, force: bool = False) -> bool:
        """Send what has gathered; whether it went. Events that cannot be sent now stay for the next time."""
        if not self._pending or (not force and time.monotonic() - self._flushed < _FLUSH_S):
            return False
        self._flushed = time.monotonic()
        batch = self._pending[:200]
        self._tried = max(self._tried, len(batch))
        try:
            self.client.events(self.spec, batch)
        except RetryableError as error:
            log.warning("events kept for later", run=self.spec.run, count=len(self._pending), error=error.message)
            return False
        except RuntimeError:  # the server refuses them, and will again: the score matters more than its history
            log.error("events refused", run=self.spec.run, count=len(batch), trace=traceback.format_exc())
        del self._pending[: len(batch)]
        self._tried = 0
        return True


def _may_join(last: RunEvent, event: RunEvent) -> bool:
    """Two pieces of one part of the log become one event while both wait."""
    return (
        last.kind == event.kind == "log"
        and last.data.get("public") == event.data.get("public")
        and len(last.message) + len(event.message) <= _LONGEST_LOG
    )
