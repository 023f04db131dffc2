"""What Slurm says and what it means; its link; its settings. No Slurm is needed."""

from __future__ import annotations

import socket
import threading

import pytest

from runners.engines import _slurm_commands as slurm
from runners.engines import _slurm_link as link
from runners.engines._slurm_settings import Settings, command_environment
from runners.engines._slurm_states import JobState, exit_of
from runners.engines.base import Exit
from runners.errors import UserError

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
    assert exit_of(_state(state), output=output, killed=killed) == expected


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
