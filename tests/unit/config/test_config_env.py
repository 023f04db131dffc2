"""Settings from files that the environment names."""

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from touchstone.config.settings.env import FileEnv, SecretFiles


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FileEnv:
    """Settings of which one is in a file that ends with a line break, as `echo` writes it."""
    (tmp_path / "url").write_text("postgresql://u:p@h:5432/name\n")
    given = {"DATABASE_URL_FILE": str(tmp_path / "url"), "DATABASE_URL": "postgresql://other", "PLAIN": "here"}
    monkeypatch.setattr(FileEnv, "ENVIRON", SecretFiles(given))
    return FileEnv()


def test_a_file_wins_and_its_line_break_is_dropped(env: FileEnv) -> None:
    assert env.db_url("DATABASE_URL")["NAME"] == "name"


def test_what_no_file_is_named_for_is_read_as_it_is(env: FileEnv) -> None:
    assert env.str("PLAIN") == "here"
    assert env.str("ABSENT", default="") == ""


def test_a_file_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FileEnv, "ENVIRON", SecretFiles({"KEY_FILE": "/nowhere/key"}))

    with pytest.raises(ImproperlyConfigured, match="KEY_FILE names /nowhere/key"):
        FileEnv().str("KEY")
