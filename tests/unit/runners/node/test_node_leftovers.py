"""Folders and sandboxes of killed attempts go away; those of live ones stay."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from runners.engines._limits import start_time
from runners.node.leftovers import LiveRuns, attempt_folder, remove_leftovers


class Reaper:
    """`before` happens between the moment the engine lists its sandboxes and the question which to keep."""

    def __init__(self, before: Callable[[], None] = lambda: None) -> None:
        self.before = before
        self.kept: set[str] = set()

    def reap(self, keep) -> list[str]:
        self.before()
        self.kept = set(keep)
        return ["sandbox"]


def _live(directory: Path, run: str) -> Path:
    return directory / f"{run}~1~{os.getppid()}.{start_time(os.getppid())}"


def test_a_dead_supervisors_folder_goes_and_a_live_ones_stays(tmp_path: Path, run_spec) -> None:
    live = _live(tmp_path, "run1")
    dead = tmp_path / "run2~3~4194303.1"
    recycled = tmp_path / f"run4~1~{os.getppid()}.1"
    mine = attempt_folder(tmp_path, run_spec)
    for folder in (live, dead, recycled, mine):
        (folder / "split").mkdir(parents=True)
    engine = Reaper()

    removed = remove_leftovers(tmp_path, engine)

    assert sorted(removed) == sorted([dead.name, recycled.name, mine.name, "sandbox"])
    assert list(tmp_path.iterdir()) == [live]
    assert engine.kept == {"run1"}


def test_a_run_that_begins_meanwhile_is_spared(tmp_path: Path) -> None:
    engine = Reaper(lambda: _live(tmp_path, "late").mkdir())

    remove_leftovers(tmp_path, engine)

    assert engine.kept == {"late"}
    assert "late" in LiveRuns(tmp_path)
    assert len(LiveRuns(tmp_path)) == 1


def test_an_attempts_folder_names_its_supervisor(tmp_path: Path, run_spec) -> None:
    assert attempt_folder(tmp_path, run_spec).name == f"7e5c~1~{os.getpid()}.{start_time(os.getpid())}"


@pytest.mark.parametrize("name", ["stray", "run~1", "run~1~x.1", "run~1~1", "run~1~1."])
def test_what_names_no_supervisor_goes(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()

    assert remove_leftovers(tmp_path, None) == [name]


def test_nothing_to_remove(tmp_path: Path) -> None:
    assert remove_leftovers(tmp_path / "absent", None) == []
