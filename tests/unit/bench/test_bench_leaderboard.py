"""`python -m bench --quick --only leaderboard`: what it prints has the promised shape, and holds together."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from typing import Any

import pytest

from bench.probe import clean_environment
from scripts.stack import PYTHONPATH, ROOT


@cache
def _printed() -> dict[str, Any]:
    env = {**clean_environment(), "PYTHONPATH": PYTHONPATH}
    argv = [sys.executable, "-m", "bench", "--quick", "--only", "leaderboard"]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=ROOT, env=env, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_stdout_is_one_json_object_of_what_was_asked() -> None:
    found = _printed()

    assert found["schema_version"] == 1
    assert found["quick"] is True
    assert "leaderboard" in found
    assert not {"queries", "submission"} & found.keys()
    assert found["seconds"] > 0


def test_machine_is_told() -> None:
    found = _printed()

    assert found["machine"]["cores"] >= 1
    assert found["machine"]["python"].startswith("3.")
    assert found["machine"]["packages"]["Django"]
    assert found["leaderboard"]["postgresql"]
    assert set(found["load"]) == {"before", "after_leaderboard"}
    assert os.uname().nodename not in json.dumps(found["machine"])


@pytest.mark.parametrize("case", ["web", "web_signed_in", "web_by_another_column", "web_not_modified", "api"])
def test_page_has_times_and_queries_at_both_sizes(case: str) -> None:
    board = _printed()["leaderboard"]
    sizes = [str(size) for size in board["sizes"].values()]

    for size in sizes:
        told = board["pages"][case][size]
        for name in ("wall_ms", "cpu_ms", "sql_ms"):
            assert set(told[name]) == {"median", "n", "q1", "q3", "spread"}
            assert 0 < told[name]["q1"] <= told[name]["median"] <= told[name]["q3"]
        assert told["sql_ms"]["median"] < told["wall_ms"]["median"]
        assert told["sql_queries"] > 0
    assert board["pages"][case]["ratio_large_to_small"]["wall_ms"]["median"] > 0


def test_number_of_queries_does_not_depend_on_size() -> None:
    board = _printed()["leaderboard"]

    for case, told in board["pages"].items():
        counts = {told[str(size)]["sql_queries"] for size in board["sizes"].values()}
        assert len(counts) == 1, case


def test_unchanged_page_is_cheaper_than_a_page() -> None:
    board = _printed()["leaderboard"]
    size = str(board["sizes"]["large"])

    page, unchanged = board["pages"]["web"][size], board["pages"]["web_not_modified"][size]

    assert unchanged["bytes"] == 0 < page["bytes"]
    assert unchanged["sql_queries"] < page["sql_queries"]
    assert unchanged["cpu_ms"]["median"] < page["cpu_ms"]["median"]


def test_peer_is_measured_beside_it() -> None:
    peer = _printed()["leaderboard"]["peer"]

    sizes = {str(size) for size in _printed()["leaderboard"]["sizes"].values()}
    assert set(peer["distinct_on_ms"]) == set(peer["entries_ms"]) == set(peer["ratio"]) == sizes
