"""Folders and sandboxes of killed attempts go away; those of live ones stay."""

import os
from pathlib import Path

from runners.node.leftovers import attempt_folder, remove_leftovers


class Reaper:
    def __init__(self) -> None:
        self.kept: set[str] = set()

    def reap(self, keep) -> list[str]:
        self.kept = set(keep)
        return ["sandbox"]


def test_a_dead_supervisors_folder_goes_and_a_live_ones_stays(tmp_path: Path) -> None:
    live = tmp_path / f"run1~1~{os.getppid()}"
    dead = tmp_path / "run2~3~4194303"
    mine = tmp_path / f"run3~1~{os.getpid()}"
    for folder in (live, dead, mine):
        (folder / "split").mkdir(parents=True)
    engine = Reaper()

    removed = remove_leftovers(tmp_path, engine)

    assert sorted(removed) == sorted([dead.name, mine.name, "sandbox"])
    assert list(tmp_path.iterdir()) == [live]
    assert engine.kept == {"run1"}


def test_an_attempts_folder_names_its_supervisor(tmp_path: Path, run_spec) -> None:
    assert attempt_folder(tmp_path, run_spec).name == f"7e5c~1~{os.getpid()}"


def test_nothing_to_remove(tmp_path: Path) -> None:
    assert remove_leftovers(tmp_path / "absent", None) == []
