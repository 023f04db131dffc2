from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.api.api_helpers import make_user
from tests.unit.api.bundle_maker import labels_csv, write_bundle
from touchstone.accounts.models import User
from touchstone.competitions.models import Competition, Participation

pytestmark = pytest.mark.django_db(transaction=True)
ROOT = Path(__file__).resolve().parents[3]


def test_the_list_needs_no_login(run: Callable, server: str, small: Competition) -> None:
    done = run("competitions")
    assert done.code == 0
    assert done.rows == [
        {
            "competition": "small",
            "title": "A small test",
            "open phase": "now",
            "closes": "2999-01-01 00:00 UTC",
            "joined": "no",
        }
    ]
    assert run("competitions", "--json").json["competitions"][0]["slug"] == "small"
    assert run("competitions", "--q", "absent").rows == []


def test_show(run: Callable, server: str, small: Competition) -> None:
    done = run("competitions", "show", "small")
    for text in ("phase now\topen", "5 a day, 50 in all", "data test\thidden, 12 items, nothing", "small/now/main"):
        assert text in done.out
    assert "--accept-terms" in done.err
    assert run("competitions", "show", "small", "--json").json["competition"]["kinds"] == ["predictions"]


def test_what_is_not_there(run: Callable, server: str, db: None) -> None:
    done = run("competitions", "show", "absent")
    assert done.code == 1
    assert "no competition 'absent'" in done.err
    assert "request id" in done.err


@pytest.mark.parametrize("command", [("competitions", "join"), ("join",)])
def test_joining_shows_the_terms_first(
    run: Callable, as_user: Callable[[User], None], paula: User, small: Competition, command: tuple[str, ...]
) -> None:
    as_user(paula)
    first = run(*command, "small")
    assert first.code == 2
    assert first.out == "Be fair.\n\n"
    assert Participation.objects.count() == 0
    done = run(*command, "small", "--accept-terms", "--display-name", "Team P")
    assert (done.code, done.out) == (0, "")
    assert Participation.objects.get().display_name == "Team P"


def test_download_checks_and_does_not_repeat(run: Callable, server: str, small: Competition, tmp_path: Path) -> None:
    out = tmp_path / "data"
    done = run("competitions", "download", "small", "--out", out)
    assert done.code == 0
    assert done.out.splitlines() == [str(out / "train" / "labels.csv"), str(out / "starting-kit.zip")]
    target = out / "train" / "labels.csv"
    assert target.read_text() == labels_csv("t")
    before = target.stat().st_mtime_ns
    assert run("competitions", "download", "small", "--out", out, "--split", "train").code == 0
    assert target.stat().st_mtime_ns == before
    target.write_text("damaged")
    run("competitions", "download", "small", "--out", out, "--split", "train")
    assert target.read_text() == labels_csv("t")
    refused = run("competitions", "download", "small", "--out", out, "--split", "test")
    assert refused.code == 2
    assert "splits to download: train" in refused.err


@pytest.mark.parametrize("name", ["../out", "/tmp/out", "a\\b"])
def test_a_split_that_climbs_is_refused(
    run: Callable, server: str, small: Competition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """What a server names leads out of no folder: neither of the one that is written to nor of our own cache."""
    from touchstone_client import describing
    from touchstone_client.errors import ClientError
    from touchstone_client.types import Split, SplitFile

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    small.splits.filter(name="train").update(name=name)
    for command in (
        ("competitions", "download", "small", "--out", tmp_path / "in"),
        ("init", "small", tmp_path / "work", "--kind", "predictions"),
    ):
        refused = run(*command)
        assert (refused.code, "outside the folder" in refused.err) == (1, True), refused.err
    assert not (tmp_path / "out").exists()
    split = Split("train", "public", f"sha256:{name}", 1, (SplitFile("x", 1, "0" * 64),))
    with pytest.raises(ClientError, match="outside"):
        describing._data_place(split)


def _offline(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line in a process without Django, a server or a login."""
    code = (
        "import sys; from touchstone_client.cli import main\ntry: main()\nfinally: assert 'django' not in sys.modules"
    )
    path = f"{ROOT}{os.pathsep}{ROOT / 'client'}"
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": path, "HOME": "/nonexistent"}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=environment, timeout=60
    )


def test_check_finds_nothing_in_a_good_folder(tmp_path: Path) -> None:
    done = _offline("competition", "check", str(write_bundle(tmp_path)))
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "touchstone competition push" in done.stderr


def test_check_lists_every_defect_with_its_place(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path, extra="colour: blue\n")
    (folder / "terms.md").unlink()
    line = len((folder / "competition.yml").read_text().splitlines())
    done = _offline("competition", "check", str(folder))
    assert done.returncode == 7
    assert f"competition.yml:{line}  colour" in done.stdout
    assert "terms" in done.stdout
    assert "2 defects" in done.stderr
    found = json.loads(_offline("competition", "check", str(folder), "--json").stdout)
    assert (found["schema_version"], found["ok"]) == (1, False)
    assert {defect["where"] for defect in found["defects"]} == {"colour", "terms"}


def test_check_of_what_is_no_folder(tmp_path: Path) -> None:
    assert _offline("competition", "check", str(tmp_path / "absent")).returncode == 2


def test_push_creates_changes_nothing_updates(
    run: Callable, as_user: Callable[[User], None], olga: User, tmp_path: Path
) -> None:
    as_user(olga)
    folder = write_bundle(tmp_path / "bundle", slug="fresh")
    first = run("competition", "push", folder, "--json")
    assert first.code == 0, first.err
    assert first.json["outcome"]["created"] is True
    again = run("competition", "push", folder)
    assert (again.code, again.out.endswith("/c/fresh/\n")) == (0, True)
    assert "unchanged" in again.err
    (folder / "overview.md").write_text("# Changed\n")
    assert run("competition", "push", folder, "--json").json["outcome"] == {
        "competition": "fresh", "created": False, "changed": True, "version": 2, "url": first.json["outcome"]["url"],
    }  # fmt: skip


@pytest.mark.parametrize("where", ["here", "there"])
def test_push_of_a_broken_folder_lists_the_defects(
    run: Callable, as_user: Callable[[User], None], olga: User, tmp_path: Path, where: str
) -> None:
    as_user(olga)
    folder = write_bundle(tmp_path / "bundle", slug="broken", extra="colour: blue\n")
    done = run("competition", "push", folder, *(["--no-check"] if where == "there" else []))
    assert done.code == 7
    assert done.out == ""
    assert done.err.count("competition.yml:") == 1
    assert ("request id" in done.err) is (where == "there")
    assert not Competition.objects.exists()


def test_push_to_a_slug_of_somebody_else(
    run: Callable, as_user: Callable[[User], None], small: Competition, tmp_path: Path
) -> None:
    as_user(make_user("max"))
    done = run("competition", "push", write_bundle(tmp_path / "bundle"))
    assert done.code == 1
    assert "you do not organise it" in done.err


def test_push_needs_the_scope(
    run: Callable, server: str, olga: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.unit.api.api_helpers import token_for

    monkeypatch.setenv("TOUCHSTONE_TOKEN", token_for(olga, "read", "submit"))
    done = run("competition", "push", write_bundle(tmp_path / "bundle"))
    assert done.code == 4
    assert "'organise'" in done.err
