"""Many runs while every part is killed at random moments and every message is delivered twice."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.chaos import chaos
from tests.conftest import need

#: `python -m scripts.chaos --runs 200` is the same with more of everything.
_RUNS = 60
_PARTS = {"node", "worker", "judge", "container", "dockerd", "redis", "postgres", "server", "scheduler"}


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not below pytest's own, which another session closes to others: PostgreSQL runs under a user of its own."""
    made = Path(tempfile.mkdtemp(prefix="tsx-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)


def test_every_run_ends_once_whatever_dies(docker_engine: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need(os.geteuid() == 0 and shutil.which("dockerd") is not None, "root and dockerd", switch="REQUIRE_DOCKER")
    for name in [name for name in os.environ if name.startswith("TOUCHSTONE_") or name == "DATABASE_URL"]:
        monkeypatch.delenv(name)  # those of the unit tests' own services

    counts = chaos(runs=_RUNS, seed=2026, folder=folder, rounds=1, nodes=2, say=print)
    print(json.dumps(counts, indent=1))

    assert {name: n for name, n in counts["violations"].items() if n} == {}, counts
    assert counts["runs"] == counts["submitted"] == _RUNS
    assert sum(counts["by_status"].values()) == _RUNS
    assert set(counts["by_status"]) <= {"scored", "failed"}
    assert set(counts["by_kind"]) == {"predictions", "container", "code"}
    assert set(counts["kills"]) == _PARTS
    assert counts["doubled_messages"] > 4 * _RUNS  # at least a claim, events, a lease or so, and a result each
    # Attempts were lost, so the kills did hit something; and most runs came through all the same.
    assert sum(counts["lost_attempts"].values()) > 0
    assert counts["by_status"]["scored"] >= 0.9 * _RUNS
