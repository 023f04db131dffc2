"""What Slurm says and what it means; its link; its settings. No Slurm is needed."""

from __future__ import annotations

import contextlib
import errno
import json
import shutil
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from runners.engines import _limits
from runners.engines import _slurm_commands as slurm
from runners.engines import _slurm_link as link
from runners.engines import _slurm_step as step
from runners.engines._relay import Pipe
from runners.engines._slurm_board import Board
from runners.engines._slurm_job import StepJob
from runners.engines._slurm_settings import Settings, command_environment
from runners.engines._slurm_states import JobState, exit_of
from runners.engines._slurm_wait import await_start
from runners.engines.base import Exit, ImageConfig, Job, Limits
from runners.engines.slurm import SlurmEngine
from runners.errors import RetryableError, UserError

LINE = (
    "JobId=7 JobName=touchstone UserId=root(0) Priority=1 JobState={state} Reason={reason} Dependency=(null) Requeue=0 "
    "Restarts={restarts} BatchFlag=1 ExitCode=0:9 NodeList=n1 BatchHost=n1 Comment=x JobState=COMPLETED"
)


def _state(state: str, reason: str = "None", restarts: int = 0) -> JobState:
    return JobState.parse(LINE.format(state=state, reason=reason, restarts=restarts))


def test_a_line_is_read_by_its_first_words() -> None:
    found = _state("NODE_FAIL", "NodeDown", 1)
    assert found == JobState("NODE_FAIL", "NodeDown", "0:9", 1, "n1")
    assert found.words == "NODE_FAIL (NodeDown)"
    with pytest.raises(ValueError, match="not a job"):
        JobState.parse("slurm_load_jobs error")


@pytest.mark.parametrize(
    ("state", "output", "killed", "expected"),
    [
        ("OUT_OF_MEMORY", "", False, Exit(137, memory=True)),
        (
            "FAILED",
            "slurmstepd: error: Job 7 exceeded memory limit (2 > 1), being killed",
            False,
            Exit(137, memory=True),
        ),
        ("FAILED", "slurmstepd: error: Detected 1 oom-kill event(s)", False, Exit(137, memory=True)),
        ("CANCELLED", "", True, Exit(None, killed=True)),
        ("CANCELLED", "", False, Exit(None, lost=True)),
        ("TIMEOUT", "", False, Exit(None, timeout=True, killed=True)),
        ("NODE_FAIL", "", False, Exit(None, lost=True)),
        ("BOOT_FAIL", "", False, Exit(None, lost=True)),
        ("PREEMPTED", "", False, Exit(None, lost=True)),
        ("PENDING", "", False, Exit(None, lost=True)),
        ("RUNNING", "", False, Exit(None, lost=True)),
        ("COMPLETED", "", False, Exit(None, lost=True)),
        ("FAILED", "", False, Exit(None, lost=True)),
    ],
)
def test_how_a_job_ended_that_its_step_could_not_tell(state: str, output: str, killed: bool, expected: Exit) -> None:
    assert exit_of(_state(state), output=output, killed=killed, due=True, apart=False) == expected


@pytest.mark.parametrize(("state", "due", "apart"), [("TIMEOUT", False, False), ("OUT_OF_MEMORY", True, True)])
def test_what_ended_our_step_is_not_the_submission_s(state: str, due: bool, apart: bool) -> None:
    found = exit_of(_state(state), output="oom-kill event", killed=False, due=due, apart=apart or state == "TIMEOUT")
    assert found == Exit(None, lost=True)


def _board(channel: Path | None = None) -> Board:
    return Board(bind="127.0.0.1", ports=(0, 0), secret="secret", channel=channel, log_limit=1000)


@pytest.mark.parametrize(
    ("message", "data"),
    [
        ({"kind": "ended"}, b""), ({"kind": "refused", "refusal": 3}, b""), ({"kind": "up", "peak": "much"}, b""),
        ({"kind": "log"}, bytes(200_000)), ([1], b""), ({"kind": "ended", "report": {"code": "x"}}, b""),
    ],
)  # fmt: skip
def test_a_step_that_does_not_speak_as_agreed_has_gone(message: Any, data: bytes) -> None:
    board = _board()
    try:
        with link.dial("127.0.0.1", board.port, "secret", link.CONTROL) as connection:
            link.send(connection, message, data)
            with board.changed:
                assert board.changed.wait_for(lambda: board.broken, 5)
    finally:
        board.close()


def test_strangers_do_not_keep_the_step_out() -> None:
    board = _board()
    strangers = [socket.create_connection(("127.0.0.1", board.port)) for _ in range(60)]
    try:
        with link.dial("127.0.0.1", board.port, "secret", link.CONTROL) as connection:
            link.send(connection, {"kind": "started", "apart": True})
            with board.changed:
                assert board.changed.wait_for(lambda: board.started, 5)
            assert board.apart
        assert len(board._strangers) <= 16
    finally:
        board.close()
        for stranger in strangers:
            stranger.close()


def test_a_stranger_that_talks_slowly_is_sent_away_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "_SECONDS", 0.5)
    port, came = _greet("secret")
    with socket.create_connection(("127.0.0.1", port)) as stranger:
        began = time.monotonic()
        while came[0].is_alive() and time.monotonic() - began < 4:  # type: ignore[attr-defined]
            with contextlib.suppress(OSError):
                stranger.sendall(b"C")
            time.sleep(0.2)
    assert time.monotonic() - began < 3
    assert isinstance(came[1], OSError)


def test_docker_gets_devices_by_uuid_and_not_the_host_s_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step, "_uuids", lambda: {"1": "GPU-b"})
    given = {"SLURM_JOB_GPUS": "1", "CUDA_VISIBLE_DEVICES": "1"}
    assert step._devices(given, "docker") == (("GPU-b",), {})
    assert step._devices(given, "bubblewrap") == (("GPU-b",), {"CUDA_VISIBLE_DEVICES": "1"})


def test_an_image_of_a_server_is_refused_and_not_charged() -> None:
    class Reads:
        def image_config(self, _image: str) -> ImageConfig:
            return ImageConfig(("serve",), {"org.touchstone.port": "8000"})

    with pytest.raises(RetryableError, match="docker engine") as caught:
        step._refuse_servers(Reads(), "image")  # type: ignore[arg-type]
    assert caught.value.code == "no_bridge"


def _engine(shared: Path, **more: str) -> SlurmEngine:
    given = {"SHARED": str(shared), "HOST": "127.0.0.1", "ENGINE": "docker", **more}
    return SlurmEngine(Settings.read({f"TOUCHSTONE_SLURM_{key}": value for key, value in given.items()}))


def test_an_archive_goes_with_its_own_job_and_no_other(tmp_path: Path) -> None:
    archive = tmp_path / "image.tar"
    archive.write_bytes(b"layers")
    engine = _engine(tmp_path / "shared")
    image = engine.load_image(archive, limit=10)
    folders = []
    for run in ("a", "b"):
        job = Job(run=run, attempt=1, limits=Limits(1, 1, 61, 1), image=image)
        folders.append(engine._folder(job))
        engine._write(job, folders[-1], 1, "secret")
    shutil.rmtree(folders[0])
    engine.image_used(image)
    told = json.loads((folders[1] / "job.json").read_text())
    assert Path(told["source"]["archive"]).read_bytes() == b"layers"
    assert Path(told["source"]["archive"]).parent == folders[1]


def test_slurm_s_limit_leaves_the_step_time_to_dial_and_to_clear_up(tmp_path: Path) -> None:
    job = Job(run="a", attempt=1, limits=Limits(1, 1, 61, 1))
    assert "--time=6" in _engine(tmp_path)._options(job, tmp_path)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("sbatch: error: invalid partition specified: nowhere", "node_misconfigured"),
        ("sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified",
         "node_misconfigured"),
        ("sbatch: error: Batch job submission failed: Invalid qos specification", "node_misconfigured"),
        ("sbatch: error: Batch job submission failed: Requested node configuration is not available",
         "slurm_no_such_node"),
        ("slurm_load_jobs error: Unable to contact slurm controller (connect failure)", "engine_gone"),
        ("sbatch: error: Batch job submission failed: Socket timed out on send/recv operation", "engine_gone"),
        ("sbatch: error: something new", "engine_refused"),
    ],
)  # fmt: skip
def test_what_a_refusal_means(words: str, code: str) -> None:
    found = slurm.fault("sbatch", words)
    assert found.code == code
    assert words.split(": ")[-1] in found.message


def test_a_controller_that_is_away_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([(1, "", "Unable to contact slurm controller"), (0, "ok", "")])
    monkeypatch.setattr(slurm.time, "sleep", lambda _seconds: None)
    monkeypatch.setattr(slurm, "_run", lambda argv, _in: slurm.subprocess.CompletedProcess(argv, *next(answers)))
    assert slurm.call(["squeue"]) == "ok"


def test_a_job_whose_number_was_lost_is_not_made_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def run(argv: list[str], _stdin: str) -> object:
        if argv[0] == "sbatch":
            made.append(argv[0])
            return slurm.subprocess.CompletedProcess(argv, 1, "", "Socket timed out on send/recv operation")
        return slurm.subprocess.CompletedProcess(argv, 0, "7|touchstone/n/r/1/w/mark\n", "")

    monkeypatch.setattr(slurm.time, "sleep", lambda _seconds: None)
    monkeypatch.setattr(slurm, "_run", run)
    assert slurm.submit([], "", comment="touchstone/n/r/1/w/mark") == "7"
    assert made == ["sbatch"]


def _greet(secret: str) -> tuple[int, list[object]]:
    """Listen once; the port, and what came of it."""
    came: list[object] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener:
            connection, _ = listener.accept()
            with connection:
                try:
                    came.append(link.welcome(connection, secret))
                    came.append(link.receive(connection))
                except OSError as error:
                    came.append(error)

    thread = threading.Thread(target=serve)
    thread.start()
    came.append(thread)
    return int(listener.getsockname()[1]), came


def test_who_knows_the_secret_may_speak() -> None:
    port, came = _greet("secret")
    with link.dial("127.0.0.1", port, "secret", link.CONTROL) as connection:
        link.send(connection, {"kind": "up"}, b"bytes")
        came[0].join(5)  # type: ignore[attr-defined]
    assert came[1:] == [link.CONTROL, ({"kind": "up"}, b"bytes")]


def test_a_stranger_is_refused() -> None:
    port, came = _greet("secret")
    with pytest.raises(OSError, match="ended"):
        link.dial("127.0.0.1", port, "another", link.CONTROL)
    came[0].join(5)  # type: ignore[attr-defined]
    assert isinstance(came[1], link.LinkError)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("OPTIONS", "--wrap=id"), ("OPTIONS", "--partition=a;id"), ("OPTIONS", "-p cpu"), ("ENGINE", "slurm"),
        ("GRES", "gpu:1 --x"), ("SHARED", "relative"), ("PORTS", "70000"), ("PORTS", "9-1"), ("PENDING", "1h"),
        ("PENDING", "soon"), ("OVERHEAD", "much"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_named(key: str, value: str) -> None:
    with pytest.raises(UserError, match=f"TOUCHSTONE_SLURM_{key}="):
        Settings.read({f"TOUCHSTONE_SLURM_{key}": value})


def test_what_slurm_is_handed_holds_no_token() -> None:
    environ = {
        "TOUCHSTONE_NODE_TOKEN": "t", "TOUCHSTONE_BROKER_URL": "b", "AWS_SECRET": "s", "HOME": "/h",
        "SLURM_CONF": "/c", "TOUCHSTONE_DOCKER_RUNTIME": "runsc",
    }  # fmt: skip
    found = command_environment(environ)
    assert set(found) == {
        "HOME", "SLURM_CONF", "TOUCHSTONE_DOCKER_RUNTIME", "PATH", "PYTHONPATH", "PYTHONUNBUFFERED",
    }  # fmt: skip


def test_a_step_with_a_bug_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the node it ran on is no worse than another."""
    board = _board()
    told: list[str] = []
    monkeypatch.setattr(step, "_engine", lambda _name: 1 / 0)
    monkeypatch.setattr(_limits, "NODE", _limits.NODE)
    monkeypatch.setattr(step.signal, "signal", lambda *_: None)
    job = Job(run="a", attempt=1, limits=Limits(1, 1, 61, 1))
    StepJob.of(
        job, task="run", engine="bubblewrap", host="127.0.0.1", port=board.port, secret="secret", source=None,
        folder=None,
    ).write(tmp_path / "job.json")  # fmt: skip
    try:
        assert step.main(tmp_path / "job.json") == 1
        with pytest.raises(RetryableError, match=r"id [0-9a-f]{12}") as caught:
            await_start("7", board, _engine(tmp_path)._settings, str, told.append)
    finally:
        board.close()
    assert caught.value.code == "step_failed"
    assert told == []


@pytest.mark.parametrize(("state", "blamed"), [("FAILED", []), ("NODE_FAIL", ["n1"])])
def test_a_node_is_left_out_for_its_own_failures(
    state: str, blamed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = _board()
    told: list[str] = []
    monkeypatch.setattr(slurm, "state", lambda _job: _state(state))
    try:
        with pytest.raises(RetryableError, match="before its sandbox ran"):
            await_start("7", board, _engine(tmp_path)._settings, str, told.append)
    finally:
        board.close()
    assert told == blamed


def test_a_connection_that_the_network_broke_is_told() -> None:
    class Cut(socket.socket):
        def recv_into(self, *_args: Any, **_more: Any) -> int:
            raise TimeoutError(errno.ETIMEDOUT, "no answer")

    near, other = socket.socketpair()
    left, right = socket.socketpair()
    lost = threading.Event()
    with other, right:
        Pipe(near, Cut(fileno=left.detach()), lost=lost.set)
        assert lost.wait(5)
