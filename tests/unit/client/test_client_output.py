from __future__ import annotations

import sys

import pytest

from touchstone_client.cli import output
from touchstone_client.errors import ClientError, Detail


def test_tables_are_tab_separated_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(["a", "b"], [("x\ty", None), (True, 1.5)])
    assert capsys.readouterr().out == "a\tb\nx y\t-\nyes\t1.5\n"


def test_text_of_others_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    output.data("\x1b[2Jevil\rname\x07")
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\r" not in out
    assert "evil" in out


def test_errors_say_what_why_next_and_the_request(capsys: pytest.CaptureFixture[str]) -> None:
    details = [Detail("unknown key", where="phases[0].foo", file="competition.yml", line=7, hint="Did you mean for?")]
    output.error(ClientError("It failed", why="because", hint="do this", request_id="r1", details=details))
    captured = capsys.readouterr()
    assert captured.out == ""
    for text in ("It failed", "why: because", "next: do this", "request id: r1"):
        assert text in captured.err
    assert "competition.yml:7  phases[0].foo  unknown key" in captured.err
    assert "Did you mean for?" in captured.err


def test_json_starts_with_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    output.as_json({"quota": {"left": None}})
    assert capsys.readouterr().out.startswith('{\n  "schema_version": 1,')


def test_a_terminal_gets_a_drawing_without_empty_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("NO_COLOR", "1")
    rows = [("a-name-that-is-long-and-stays-on-one-line", None, "[bold]x[/bold]", "up")]
    output.table(["key", "empty", "note", "direction"], rows, dispensable=["direction"])
    text = capsys.readouterr().out
    assert "a-name-that-is-long-and-stays-on-one-line" in text
    assert "[bold]x" in text
    assert "\t" not in text
    assert "empty" not in text
    assert "direction" not in text
