"""What the cases are judged against: a small competition on disk, secrets to look for, and services to reach."""

from __future__ import annotations

import csv
import io
import json
import os
import socket
import stat
import subprocess
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from judge_cases import SHARED, Case, Entry

from runners.contract import RunSpec, SplitRef, SubmissionRef
from runners.judge import LocalFiles
from runners.spec.models import InputSpec, MetricUse, ResourceSpec, SubmissionKind, TaskSpec

ITEMS, SAMPLE = 600, 8
FEATURES = ("a", "b", "c", "d")
#: A file that a hostile submission writes wherever it can.
BREACH = "judge-suite-breach"
_ACCURACY = {"use": "performance.accuracy"}
_ATTACKS = (
    {"use": "robustness.attack", "as": "hsj", "attack": "hop_skip_jump", "norm": "l2", "eps": 0.3, "items": 4,
     "queries": 120},
    {"use": "robustness.attack", "as": "pgd", "attack": "pgd", "eps": 0.1, "items": 4},
)  # fmt: skip
_MODES = {"symlink": stat.S_IFLNK | 0o777, "fifo": stat.S_IFIFO | 0o644, "device": stat.S_IFBLK | 0o666}


class World:
    """The competition (yes where the first of four numbers is positive) and what must stay secret."""

    def __init__(self, folder: Path) -> None:
        folder.chmod(0o755)  # nothing but the sandbox keeps a submission out
        self.folder = folder
        self.secret = f"secret-{os.urandom(12).hex()}"
        self._split(folder / "split", ITEMS, seed=5)
        self._split(folder / "sample", SAMPLE, seed=6)
        self.token = folder / "node-token"
        self.token.write_text(self.secret)
        self.services = HostServices()

    def _split(self, folder: Path, items: int, *, seed: int) -> None:
        draw = np.random.default_rng(seed)
        x = draw.uniform(-1, 1, (items, len(FEATURES))).astype(np.float32)
        x[:, 0] = np.where(np.arange(items) % 2, 1, -1) * draw.uniform(0.3, 1, items)
        ids = [f"{self.secret[-6:]}-{i:04}" for i in range(items)]
        folder.mkdir()
        _write(folder / "inputs.csv", [["id", *FEATURES], *([i, *row] for i, row in zip(ids, x.tolist(), strict=True))])
        labels = ["yes" if row[0] > 0 else "no" for row in x]
        _write(folder / "labels.csv", [["id", "label"], *zip(ids, labels, strict=True)])

    def spec(self, case: Case, run: str, image: str) -> RunSpec:
        """The run of `case`."""
        limits = case.limits
        metrics = (_ACCURACY, *(_ATTACKS if case.attack else ()))
        test = SplitRef(name="test", visibility="hidden", digest="", files=())
        return RunSpec(
            run=run, attempt=1, competition="judge-suite", phase="final",
            submission=SubmissionRef(id=case.slug, kind=SubmissionKind(case.kind), image=image),
            task=TaskSpec(kind="binary", classes=("no", "yes")),
            input=InputSpec(kind="tabular", shape=(len(FEATURES),), features=FEATURES, range=(-1, 1)),
            attributes={}, metrics=tuple(MetricUse.model_validate(metric) for metric in metrics),
            resources=ResourceSpec(
                time=limits.time, start=limits.start, memory=limits.memory, disk=limits.disk, log=limits.log
            ),
            split=test, sample=test.model_copy(update={"name": "sample", "visibility": "public"}), seed=9,
        )  # fmt: skip

    def files(self, submission: Path) -> LocalFiles:
        """Where everything of a run lies."""
        return LocalFiles(split=self.folder / "split", sample=self.folder / "sample", submission=submission)

    def targets(self, **more: Any) -> dict[str, Any]:
        """What an insider knows, for the hostile program."""
        return {
            "labels": str(self.folder / "split" / "labels.csv"), "token": str(self.token), "folder": str(self.folder),
            "judge_pid": os.getpid(), "tcp_port": self.services.port, "abstract": self.services.abstract,
            "gateways": _addresses(), "breach": BREACH, **more,
        }  # fmt: skip

    def close(self) -> None:
        self.services.close()


class HostServices:
    """A TCP server on every address of the host and an abstract socket. `hits` says who got through."""

    def __init__(self) -> None:
        self.hits: list[str] = []
        self._tcp = socket.create_server(("0.0.0.0", 0))
        self.port: int = self._tcp.getsockname()[1]
        self.abstract = f"touchstone-judge-suite-{os.getpid()}"
        self._unix = socket.socket(socket.AF_UNIX)
        self._unix.bind(f"\0{self.abstract}")
        self._unix.listen()
        for listener, name in ((self._tcp, "tcp"), (self._unix, "abstract socket")):
            threading.Thread(target=self._serve, args=(listener, name), daemon=True).start()

    def _serve(self, listener: socket.socket, name: str) -> None:
        while True:
            try:
                connection, address = listener.accept()
            except OSError:
                return
            self.hits.append(f"{name}: {address!r}")
            connection.close()

    def close(self) -> None:
        for listener in (self._tcp, self._unix):
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()


def _addresses() -> list[str]:
    """IPv4 addresses of this host's interfaces: what a sandbox would see as gateways and neighbours."""
    listed = subprocess.run(["ip", "-4", "-json", "address"], capture_output=True, text=True, check=False).stdout
    found = [a["local"] for link in json.loads(listed or "[]") for a in link.get("addr_info", ())]
    return sorted({*found, "127.0.0.1", "172.17.0.1"})


def _write(path: Path, rows: list[Any]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def sources(case: Case) -> dict[str, bytes]:
    """The files of a submission by name: the case's own and those that all share."""
    own = {path.relative_to(case.folder).as_posix(): path for path in sorted(case.folder.rglob("*")) if path.is_file()}
    shared = {path.name: path for path in sorted(SHARED.glob("*.py"))}
    found = {**shared, **own}
    return {name: path.read_bytes() for name, path in found.items() if "__pycache__" not in name and name != "case.yml"}


def pack(case: Case, targets: dict[str, Any]) -> bytes:
    """The zip that is submitted, hostile entries included."""
    spool = io.BytesIO()
    with zipfile.ZipFile(spool, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {**sources(case), "targets.json": json.dumps(targets).encode()}.items():
            archive.writestr(name, content)
        for entry in case.entries:
            _add(archive, entry)
    return spool.getvalue()


def _add(archive: zipfile.ZipFile, entry: Entry) -> None:
    info = zipfile.ZipInfo(entry.name)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = _MODES.get(entry.kind, stat.S_IFREG | 0o644) << 16
    if entry.zeros is None:
        archive.writestr(info, entry.content)
        return
    with archive.open(info, "w", force_zip64=True) as out:
        for _ in range(entry.zeros // 2**20):
            out.write(bytes(2**20))


class Neighbour:
    """Another run on the same node: it holds a secret in its memory, its files and its command line.

    It lives for `SECONDS`, which a round of cases must keep to: whatever kills the tests, it goes by itself.
    """

    SECONDS = 900
    CODE = (
        "import json, os, socket, sys, time\n"
        "secret = sys.argv[1]; os.environ['NEIGHBOUR'] = secret\n"
        "open('/tmp/secret', 'w').write(secret); os.chmod('/tmp/secret', 0o644)\n"
        "u = socket.socket(socket.AF_UNIX); u.bind('\\0' + sys.argv[2]); u.listen()\n"
        f"print('up', flush=True); time.sleep({SECONDS})\n"
    )

    def __init__(self, start: Callable[[tuple[str, ...]], Any], *, secret: str, python: str) -> None:
        self.abstract = f"neighbour-{os.urandom(6).hex()}"
        self._began = time.monotonic()
        self._sandbox = start((python, "-c", self.CODE, secret, self.abstract))

    def wait_up(self, seconds: float = 60.0) -> None:
        """Wait until it has begun. Raises `TimeoutError`, or `RuntimeError` where it ended instead."""
        while b"up" not in self._sandbox.logs():
            if ended := self.ended():
                raise RuntimeError(ended)
            if time.monotonic() > self._began + seconds:
                raise TimeoutError(f"the neighbour did not say that it is up within {seconds:g} s; {self._said()}")
            time.sleep(0.05)

    def ended(self) -> str:
        """How it ended; nothing while it lives."""
        if self._sandbox.poll() is None:
            return ""
        lived = time.monotonic() - self._began
        if lived >= self.SECONDS:
            return f"the round took {lived:.0f} s, longer than the {self.SECONDS} s that its neighbour lives"
        return f"another run on the same node did not survive: it ended after {lived:.0f} s; {self._said()}"

    def _said(self) -> str:
        return f"it said {self._sandbox.logs()[-2000:]!r}"

    def __enter__(self) -> Neighbour:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sandbox.close()
