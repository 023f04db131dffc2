"""A bug of ours ends with a line and a file, not with a traceback."""

from __future__ import annotations

import re
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from touchstone_client.cli import app, auth

SECRET = "ts_0123456789abcdef_" + "x" * 43


@pytest.fixture(autouse=True)
def broken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def breaks(*_: object, **__: object) -> None:
        raise ZeroDivisionError(f"with {SECRET}")

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("TOUCHSTONE_DEBUG", raising=False)
    monkeypatch.setattr(auth, "connect", breaks)
    monkeypatch.setattr("sys.argv", ["touchstone", "--token", SECRET, "whoami"])


def test_one_line_and_a_log(run: Callable) -> None:
    done = run("whoami")

    assert (done.code, done.out) == (1, "")
    found = re.fullmatch(r"internal error ([0-9a-f]{8}) \(ZeroDivisionError\); please report it with (\S+)\n", done.err)
    assert found is not None, done.err
    log = Path(found[2])
    text = log.read_text()
    assert found[1] in log.name
    assert "Traceback" in text
    assert "in breaks" in text
    assert "command: --token ts_… whoami" in text
    assert SECRET not in text
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_each_has_a_name_of_its_own(run: Callable) -> None:
    assert run("whoami").err != run("whoami").err


def test_a_log_that_cannot_be_written_is_said(run: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))

    done = run("whoami")

    assert done.code == 1
    assert re.fullmatch(r"internal error [0-9a-f]{8} \(ZeroDivisionError\); its log cannot be written: .+\n", done.err)


def test_developers_get_the_traceback(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TOUCHSTONE_DEBUG", "1")

    result = CliRunner().invoke(app, ["whoami"])

    assert isinstance(result.exception, ZeroDivisionError)
    assert not (tmp_path / "state").exists()


def test_wrong_usage_is_no_bug(run: Callable) -> None:
    done = run("submissions", "--nonsense")

    assert done.code == 2
    assert "internal error" not in done.err
