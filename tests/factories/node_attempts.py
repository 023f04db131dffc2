"""A node's attempt against a server that is not there: what its tests share."""

import hashlib
from pathlib import Path

from runners.contract import FileRef, Lease, RunEvent, RunResult, RunSpec, Verdict
from runners.errors import RetryableError
from runners.node.attempt import Attempt
from runners.node.cache import Cache
from runners.node.client import Fenced

CONTENT = b"x"


class Server:
    """Stands in for the node client: keeps what it is told."""

    def __init__(self, *, cancel: bool = False, fenced: bool = False, away: bool = False) -> None:
        self.cancel, self.fenced, self.away = cancel, fenced, away
        self.results: list[RunResult] = []
        self.told: list[RunEvent] = []
        self.released: list[tuple[str, int, bool]] = []

    def renew(self, spec: RunSpec) -> Lease:
        if self.fenced:
            raise Fenced("superseded")
        if self.away:
            raise RetryableError("away")
        return Lease(seconds=60, cancel=self.cancel)

    def events(self, spec: RunSpec, events: list[RunEvent]) -> None:
        self.told += events

    def result(self, spec: RunSpec, result: RunResult) -> None:
        self.results.append(result)

    def release(self, run: str, attempt: int, *, lost: bool = False) -> None:
        self.released.append((run, attempt, lost))

    def download(self, url: str, target, *, tick=lambda: None) -> None:
        target.write(CONTENT)


class Engine:
    """Keeps what it was told to spare when it reaped."""

    name = "docker"
    patience = 0.0
    devices = None

    def __init__(self) -> None:
        self.spared: list[list[str]] = []

    def reap(self, keep) -> list[str]:
        self.spared.append(list(keep))
        return ["sandbox"]


def ok(spec: RunSpec) -> RunResult:
    return RunResult(run=spec.run, attempt=spec.attempt, verdict=Verdict.OK, stages={"judge": 1.0})


def attempt_make(tmp_path: Path, run_spec: RunSpec, server: Server, engine: Engine | None = None) -> Attempt:
    """An attempt whose files are all `CONTENT`."""
    file = FileRef(name="labels.csv", sha256=hashlib.sha256(CONTENT).hexdigest(), size=1, url="u")
    spec = run_spec.model_copy(
        update={
            "split": run_spec.split.model_copy(update={"files": (file,)}),
            "submission": run_spec.submission.model_copy(update={"files": (file,)}),
        }
    )
    return Attempt(
        spec=spec, client=server, engine=engine, report=None, cache=Cache(tmp_path / "cache", limit=10**9),
        directory=tmp_path / "runs", judge_memory=2**35,
    )  # fmt: skip
