"""Runs on a real Slurm through the whole platform: scored, over memory, cancelled, and on another node after a loss."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import slurmkit
from livekit import MAIN, Live, clean_environment, code, ended, publish, scores, submit_code, told
from slurmkit import Slurm

from scripts.engines import Choice
from scripts.stack import Stack
from tests.conftest import need
from touchstone_client import types as t
from touchstone_client.sdk import Client

#: Long enough to be met by what happens to it meanwhile.
_SLOW_START = "import time\nprint('starting', flush=True)\ntime.sleep(6)\n" + MAIN
_HOG = MAIN.replace("    p = ", "    x = bytearray(800 * 2**20); x[::4096] = b'x' * len(x[::4096])\n    p = ")


@pytest.fixture(scope="module")
def slurm() -> Iterator[Slurm]:
    lacking = slurmkit.missing()
    need(not lacking, f"Slurm ({', '.join(lacking)})", switch="REQUIRE_SLURM")
    with Slurm() as running:
        yield running


@pytest.fixture(scope="module")
def live(slurm: Slurm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A stack whose one node is a submit host."""
    extra = {**slurm.environ, "TOUCHSTONE_SLURM_SHARED": str(slurm.shared), "TOUCHSTONE_SLURM_HOST": "127.0.0.1"}
    extra["TOUCHSTONE_SLURM_OVERHEAD"] = "1GiB"  # polls count shared pages once for each process
    stack = Stack(
        tmp_path_factory.mktemp("slurm") / "var", say=print, port=0, settings="tests.integration.slurm_settings",
        engine="slurm", extra=extra, environ=clean_environment(), durable=False,
    )  # fmt: skip
    with stack:
        stack.start_node()
        yield Live(stack=stack, engine=Choice("slurm", [], "slurm"))


@pytest.fixture
def send(live: Live, tmp_path: Path) -> Iterator[Callable[[str], tuple[Client, t.Submission]]]:
    """Submit the text of a main.py to a new competition."""

    def run(main: str) -> tuple[Client, t.Submission]:
        slug = publish(live, tmp_path)
        client = live.person()
        client.join(slug, accept_terms=True)
        return client, submit_code(client, slug, code(tmp_path / "code", main))

    yield run
    live.hang_up()


def _until(condition: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.1)


def _placed(slurm: Slurm) -> list[tuple[str, str]]:
    """Node and state of each job of a run that Slurm remembers, in order."""
    lines = slurm.run("scontrol", "show", "job", "-o").splitlines()
    found = [
        (re.search(r"BatchHost=(\S+)", line), re.search(r"JobState=(\S+)", line))
        for line in lines
        if "Comment=touchstone/" in line and "/self-test-" not in line
    ]
    return [(node[1], state[1]) for node, state in found if node and state]


def test_a_run_is_scored(slurm: Slurm, send: Callable[[str], tuple[Client, t.Submission]]) -> None:
    client, sent = send(MAIN)

    done = ended(client, sent)

    assert done.status == "scored", done.explanation
    assert scores(client, done)["performance.accuracy"] == 1.0
    assert [node for node, _ in _placed(slurm)][-1] in slurmkit.NODES
    assert any("cluster's network" in text for text in done.not_enforced)


def test_too_much_memory_is_the_participants(send: Callable[[str], tuple[Client, t.Submission]]) -> None:
    client, sent = send(_HOG)

    done = ended(client, sent)

    assert (done.status, done.verdict) == ("failed", "memory")
    assert "memory" in told(done)


def test_a_cancelled_run_leaves_the_cluster(slurm: Slurm, send: Callable[[str], tuple[Client, t.Submission]]) -> None:
    client, sent = send(_SLOW_START)
    _until(lambda: "RUNNING" in slurm.jobs().values(), "its job")

    client.cancel(sent.id)

    assert ended(client, sent).status == "cancelled"
    _until(lambda: not slurm.jobs(), "the end of its job")
    _until(lambda: not list(slurm.shared.rglob("job.json")), "the end of its files")


def test_a_run_whose_node_dies_is_scored_on_another(
    slurm: Slurm, send: Callable[[str], tuple[Client, t.Submission]]
) -> None:
    client, sent = send(_SLOW_START)
    _until(lambda: slurm.runs_anything(), "its job")
    victim = next(node for node, state in _placed(slurm) if state == "RUNNING")

    slurm.kill_node(victim)
    done = ended(client, sent)

    assert done.status == "scored", done.explanation
    assert done.attempt == 2
    assert scores(client, done)["performance.accuracy"] == 1.0
    assert _placed(slurm)[-1][0] in set(slurmkit.NODES) - {victim}
    slurm.revive(victim)
