"""The first start of PostgreSQL's container, cut off anywhere, with stand-ins for PostgreSQL's programs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from scripts.stack import ROOT

_ENTRY = ROOT / "docker" / "image" / "postgres-entry.sh"
_PROGRAMS = {
    "initdb": 'mkdir -p "$2/base/1" "$2/global" && echo x >"$2/base/1/t" && echo 15 >"$2/PG_VERSION" '
    '&& echo c >"$2/global/c" && touch "$2/pg_hba.conf"',
    "postgres": 'case "$1" in --single) cat >/dev/null;; *) echo started;; esac',
    # Moves so many times, and is killed at the next: with what `find` gives it, one thing and the rest not.
    "mv": 'n=$(cat "$COUNT"); echo $((n - 1)) >"$COUNT"; if [ "$n" -le 0 ]; then '
    '[ "$1" != -t ] || /bin/mv -t "$2" "$3"; exit 9; fi; exec /bin/mv "$@"',
    "sync": "exit 0",
}
_EVER = 1000


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "bin").mkdir()
    for name, text in _PROGRAMS.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\nset -e\n{text}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "data" / "lost+found").mkdir(parents=True)
    (tmp_path / "password").write_text("p")
    return tmp_path


def _start(place: Path, *, moves: int = _EVER) -> subprocess.CompletedProcess[str]:
    (place / "count").write_text(str(moves))
    env = {
        "PATH": f"{place / 'bin'}:{os.environ['PATH']}", "PGDATA": str(place / "data"), "COUNT": str(place / "count"),
        "POSTGRES_USER": "u", "POSTGRES_DB": "d", "POSTGRES_PASSWORD_FILE": str(place / "password"),
    }  # fmt: skip
    argv = ["sh", str(_ENTRY), "postgres", "-c", "x=y"]
    return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60)


def _found(place: Path) -> list[str]:
    data = place / "data"
    return sorted(str(path.relative_to(data)) for path in data.rglob("*") if path.name != "lost+found")


_WHOLE = ["PG_VERSION", "base", "base/1", "base/1/t", "global", "global/c", "pg_hba.conf"]


@pytest.mark.parametrize("moves", [0, 1, 2])
def test_a_first_start_that_is_cut_off_is_made_up_for(place: Path, moves: int) -> None:
    cut = _start(place, moves=moves)
    assert cut.returncode != 0
    assert "started" not in cut.stdout

    again = _start(place)

    assert (again.returncode, again.stdout) == (0, "started\n"), again.stderr
    assert _found(place) == _WHOLE


def test_a_cluster_that_is_there_is_left_alone(place: Path) -> None:
    assert _start(place).stdout == "started\n"
    (place / "data" / "base" / "1" / "t").write_text("mine")
    (place / "data" / ".first-start").touch()  # cut off after all was in its place

    assert _start(place).stdout == "started\n"
    assert (place / "data" / "base" / "1" / "t").read_text() == "mine"
    assert _found(place) == _WHOLE


def test_files_that_no_first_start_left_are_never_removed(place: Path) -> None:
    assert _start(place).stdout == "started\n"
    (place / "data" / "PG_VERSION").unlink()

    refused = _start(place)

    assert refused.returncode == 1
    assert "no PG_VERSION" in refused.stderr
    assert _found(place) == _WHOLE[1:]
