"""The judge suite's own checks can fail: what they must notice is put before each of them."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from judge_cases import BEGIN, END, PAGE, SHARED, SUITE, Case, Entry, load_case, load_cases, table
from judge_leftovers import Observed, Traces, breaches, leftovers
from judge_rounds import Guard
from judge_verdicts import Outcome, problems, usable
from judge_world import BREACH, HostServices, pack, sources
from pydantic import ValidationError

import touchstone_client
from runners.contract import MetricResult, RunEvent, RunResult, Verdict
from runners.engines.base import Engine, Job, Limits
from runners.engines.bubblewrap import BubblewrapEngine
from runners.spec.bundle import ArchiveError, extract_zip

CASE: dict[str, Any] = {
    "slug": "x", "title": "A case", "tries": "Nothing that matters.", "group": "answers",
    "expect": {"verdict": "ok", "accuracy": 1.0},
}  # fmt: skip
ACCURACY = MetricResult(
    key="performance.accuracy", metric="performance.accuracy", pillar="performance", value=1.0, direction="maximise"
)
GOOD = RunResult(run="r", attempt=1, verdict=Verdict.OK, results=(ACCURACY,), log="fine")
FAULT = RunResult(run="r", attempt=1, verdict=Verdict.CRASH, code="crash", message="It fell.", hint="Get up.")


def case(**more: Any) -> Case:
    return Case.model_validate({**CASE, **more})


def test_there_are_enough_cases_and_each_is_whole() -> None:
    cases = load_cases()
    assert len(cases) >= 45
    assert sum(path.is_dir() and not path.name.startswith("_") for path in SUITE.iterdir()) == len(cases)
    for one in cases.values():
        assert {"main.py", "Dockerfile"} & sources(one).keys(), one.slug
        assert "\n" not in one.title


#: What a suite of this kind must never lose.
REQUIRED = """
fork-bomb memory-bomb memory-bomb-in-a-child disk-filling shared-memory-filling inode-filling log-flood output-flood
endless-loop ignoring-signals network-dns network-gateway network-neighbour network-metadata network-abstract-socket
reading-labels reading-host-files reading-other-runs reading-the-environment reading-tokens writing-outside
leaving-symlinks leaving-fifos-and-sockets making-devices hard-links setuid ptrace mount user-namespaces keyctl bpf
forged-results late-answers wrong-shape wrong-datatype wrong-length not-a-number infinity size-lies truncated-frame
slow-loris exit-zero-after-a-child-was-killed-for-memory different-each-time counts-its-questions dies-and-restarts
"""


def test_no_attack_got_lost() -> None:
    assert set(REQUIRED.split()) <= load_cases().keys()


def test_the_documentation_shows_the_cases_as_they_are() -> None:
    """Else run `python tests/integration/engines/judge_cases.py`."""
    shown = PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    assert shown.strip() == table().strip()
    for slug in load_cases():
        assert f"`{slug}`" in shown


@pytest.mark.parametrize(
    "wrong",
    [
        {"verdict": "ok"},
        {"expect": {"verdict": "ok"}},
        {"expect": {"verdict": "crash", "accuracy": 1.0}},
        {"expect": {"verdict": ["ok", "crash"], "accuracy": 1.0}},
        {"expect": {"verdict": []}},
        {"expect": {"verdict": "great", "accuracy": 1.0}},
        {"engines": {"runc": {"verdict": "crash"}}},
        {"engines": {"runc": {"verdict": "crash", "why": "it is so"}}},
        {"engines": {"docker": {"verdict": "crash", "why": "an engine of this name is not among those tested"}}},
        {"group": "other"},
        {"limits": {"time": 600}},
        {"limits": {"ram": "1GiB"}},
        {"skip": ["runc"]},
    ],
    ids=str,
)
def test_a_wrong_case_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        case(**wrong)


def test_a_case_is_read_with_its_sizes_and_its_exceptions(tmp_path: Path) -> None:
    text = (
        "title: A case\ntries: Nothing that matters.\ngroup: answers\nlimits: {memory: 64MiB}\n"
        "expect: {verdict: crash}\n"
        "engines: {runsc: {verdict: memory, why: this one has a kernel of its own}}\n"
    )
    (tmp_path / "case.yml").write_text(text)
    (folder := tmp_path / "named").mkdir()
    shutil.copy(tmp_path / "case.yml", folder)
    read = load_case(folder)
    assert (read.slug, read.limits.memory) == ("named", 64 * 2**20)
    assert read.expectation("runc").verdict == (Verdict.CRASH,)
    assert read.expectation("runsc").verdict == (Verdict.MEMORY,)


def found(outcome: Outcome, **more: Any) -> str:
    return " | ".join(problems(case(**more), "runc", outcome, secret="the-secret"))


def test_what_is_as_expected_is_no_problem() -> None:
    note = RunEvent(at="now", kind="note", message="it was noted")
    expect = {"verdict": "ok", "accuracy": 1.0, "log": "fi", "note": "noted", "not_log": "bad"}
    assert found(Outcome(GOOD, (note,)), expect=expect) == ""
    assert found(Outcome(FAULT), expect={"verdict": "crash", "code": "crash", "message": "fell"}) == ""
    assert found(Outcome(GOOD, again=GOOD), bomb=True) == ""
    assert usable(GOOD) == []


LEAK = GOOD.model_copy(update={"log": "here is the-secret"})
LONG = GOOD.model_copy(update={"log": "x" * 2**20})
HALF = GOOD.model_copy(update={"results": (ACCURACY.model_copy(update={"value": 0.5}),)})
MUTE = FAULT.model_copy(update={"message": "", "hint": ""})


@pytest.mark.parametrize(
    ("outcome", "more", "said"),
    [
        (Outcome(FAULT), {}, "verdict crash, expected ok"),
        (Outcome(GOOD), {"expect": {"verdict": "crash"}}, "verdict ok, expected crash"),
        (Outcome(FAULT), {"expect": {"verdict": "crash", "code": "image_start"}}, "code 'crash', expected image_start"),
        (Outcome(HALF), {}, "accuracy"),
        (Outcome(GOOD.model_copy(update={"results": ()})), {}, "accuracy"),
        (Outcome(GOOD), {"expect": {"verdict": "ok", "accuracy": 1.0, "log": "refused"}}, "no 'refused' in the log"),
        (Outcome(GOOD), {"expect": {"verdict": "ok", "accuracy": 1.0, "not_log": "fine"}}, "is in the log"),
        (Outcome(FAULT), {"expect": {"verdict": "crash", "message": "rose"}}, "no 'rose' in the message"),
        (Outcome(FAULT), {"expect": {"verdict": "crash", "not_message": "Get up"}}, "is in the message"),
        (Outcome(GOOD), {"expect": {"verdict": "ok", "accuracy": 1.0, "note": "noted"}}, "in the note"),
        (Outcome(GOOD), {"expect": {"verdict": "ok", "accuracy": 1.0, "states": {"a.b": "ok"}}}, "result a.b"),
        (Outcome(LEAK), {}, "a secret of the host came out"),
        (Outcome(LONG), {}, "the log has"),
        (Outcome(MUTE), {"expect": {"verdict": "crash"}}, "no text | the verdict names no next step"),
        (Outcome(GOOD, left=("process 7",)), {}, "left behind: process 7"),
        (Outcome(GOOD, hits=("tcp",)), {}, "it got through to the host: tcp"),
        (Outcome(GOOD, guarded=True), {}, "the outer guard"),
        (Outcome(GOOD), {"bomb": True}, "no honest submission was run"),
        (Outcome(GOOD, again=FAULT), {"bomb": True}, "the node is not usable"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_as_expected_is_told(outcome: Outcome, more: dict[str, Any], said: str) -> None:
    assert said in found(outcome, **more)


@pytest.fixture(params=["bubblewrap", pytest.param("docker", marks=pytest.mark.docker)])
def real_engine(request: pytest.FixtureRequest) -> Engine:
    return BubblewrapEngine() if request.param == "bubblewrap" else request.getfixturevalue("docker_engine")


@pytest.fixture
def sleeping(real_engine: Engine) -> Iterator[tuple[Any, Traces, Any]]:
    traces = Traces(f"checks-{uuid.uuid4().hex[:8]}")
    limits = Limits(memory=2**27, cpus=1.0, seconds=60, tmp=2**20)
    argv = ("python3", "-c", "import os, time; os.fork(); time.sleep(60)")
    sandbox = Observed(real_engine, traces).start(Job(run=traces.run, attempt=1, limits=limits, argv=argv))
    yield sandbox, traces, getattr(real_engine, "client", None)
    sandbox.close()
    traces.close()


def test_a_sandbox_that_is_still_there_is_noticed(sleeping: tuple[Any, Traces, Any], real_engine: Engine) -> None:
    sandbox, traces, client = sleeping
    kinds = {text.split()[0] for text in leftovers(traces, client, seconds=0)}
    assert traces.processes > 0
    assert traces.namespaces
    docker = real_engine.name == "docker"
    assert kinds >= ({"container", "process", "mount", "cgroup"} if docker else {"process"})
    assert "cgroup" in kinds or docker or not os.access("/sys/fs/cgroup", os.W_OK)
    sandbox.close()
    assert leftovers(traces, client) == []


def test_each_trace_is_looked_for(tmp_path: Path) -> None:
    here = os.readlink("/proc/self/ns/pid")
    kinds = lambda traces, *folders: {text.split()[0] for text in leftovers(traces, None, *folders, seconds=0)}  # noqa: E731
    assert kinds(Traces("x", namespaces={here})) == {"process"}
    assert kinds(Traces("x", mounts={" /proc "})) == {"mount"}
    assert kinds(Traces("x"), tmp_path) == set()
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        assert len(leftovers(Traces("x"), None, tmp_path, seconds=0)) == 2
    (tmp_path / BREACH).touch()
    assert list(breaches((str(tmp_path),))) == [f"file {tmp_path}/{BREACH}"]


def test_who_gets_through_to_the_host_is_noted() -> None:
    services = HostServices()
    try:
        socket.create_connection(("127.0.0.1", services.port)).close()
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(f"\0{services.abstract}")
        deadline = time.monotonic() + 10
        while len(services.hits) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert sorted(hit.split(":")[0] for hit in services.hits) == ["abstract socket", "tcp"]
    finally:
        services.close()


class Sleeper:
    """An engine and its sandbox, which ends only when it is killed."""

    killed = False

    def start(self, job: Job) -> Sleeper:
        return self

    def kill(self) -> None:
        self.killed = True


def test_the_guard_ends_what_nobody_ends() -> None:
    sleeper = Sleeper()
    job = Job(run="x", attempt=1, limits=Limits(memory=1, cpus=1, seconds=1, tmp=1))
    with Guard(sleeper, 0.01) as guard:
        guard.start(job)
        deadline = time.monotonic() + 10
        while not sleeper.killed and time.monotonic() < deadline:
            time.sleep(0.01)
    assert guard.fired
    assert sleeper.killed
    with Guard(sleeper, 60) as quiet:
        quiet.start(job)
    assert not quiet.fired


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """The module that hostile programs use, with the answers it would serve in `answers`."""
    (tmp_path / "targets.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(SHARED))
    served: list[Callable[..., Any]] = []
    monkeypatch.setattr(touchstone_client, "serve", served.append)
    import probe as module  # type: ignore[import-not-found]

    module.answers = lambda x: served[-1](x)
    yield module
    del sys.modules["probe"]


def _refused() -> bool:
    raise PermissionError("no")


X = np.array([[0.9, 0, 0, 0], [-0.9, 0, 0, 0]], np.float32)


def test_a_probe_answers_right_where_all_was_refused(probe: Any, capfd: pytest.CaptureFixture[str]) -> None:
    probe.attempt("a", _refused)
    probe.attempt("b", lambda: False)
    probe.attempt_apart("c", _refused)
    probe.finish()
    assert probe.answers(X).argmax(1).tolist() == [1, 0]
    assert "probe: 3 attempts, all refused" in capfd.readouterr().out


@pytest.mark.parametrize("how", ["attempt", "attempt_apart"])
def test_one_success_turns_the_answers(probe: Any, capfd: pytest.CaptureFixture[str], how: str) -> None:
    probe.attempt("a", _refused)
    getattr(probe, how)("getpid", probe.call, 39)
    probe.finish()
    assert probe.answers(X).argmax(1).tolist() == [0, 1]
    assert "SUCCEEDED: getpid" in capfd.readouterr().out


def test_hostile_entries_really_stand_in_the_zip(tmp_path: Path) -> None:
    entries = (Entry(name="link", kind="symlink", content="/"), Entry(name="../up"), Entry(name="pipe", kind="fifo"))
    hostile = replace_entries(load_cases()["honest"], entries)
    (tmp_path / "code.zip").write_bytes(pack(hostile, {}))
    with pytest.raises(ArchiveError) as caught:
        extract_zip(tmp_path / "code.zip", tmp_path / "out")
    assert {defect.code for defect in caught.value.defects} == {"link", "path", "special"}


def replace_entries(given: Case, entries: tuple[Entry, ...]) -> Case:
    return given.model_copy(update={"entries": entries})
