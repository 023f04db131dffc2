from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from touchstone_client import config, settings
from touchstone_client.errors import ClientError


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in a repository, where one is."""
    folder = tmp_path / "repo" / "deep"
    folder.mkdir(parents=True)
    (tmp_path / "repo" / ".git").mkdir()
    monkeypatch.chdir(folder)
    for name in settings.ENVIRONMENT.values():
        monkeypatch.delenv(name, raising=False)
    return folder


def test_the_order_of_places(run: Callable, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def phase() -> str:
        return str(run("config", "get", "phase").out).strip()

    assert run("config", "get", "phase").code == 1
    assert run("config", "set", "phase", "of-mine").code == 0
    assert phase() == "of-mine"
    (here.parent / settings.PROJECT_FILE).write_text('# ours\nphase = "of-the-repo"\n')
    assert phase() == "of-the-repo"
    monkeypatch.setenv("TOUCHSTONE_PHASE", "of-the-environment")
    assert phase() == "of-the-environment"
    rows = {row["key"]: row for row in run("config", "list").rows}
    assert rows["phase"]["from"] == "$TOUCHSTONE_PHASE"
    assert rows["competition"]["from"] == "not set"


def test_a_file_keeps_its_comments_and_loses_a_value(run: Callable, here: Path) -> None:
    place = here / settings.PROJECT_FILE
    place.write_text('# ours\nphase = "a"\n')
    assert run("config", "set", "--repo", "competition", 'odd "name"').code == 0
    assert run("config", "set", "--repo", "phase", "b").code == 0
    assert settings.read(place) == {"competition": 'odd "name"', "phase": "b"}
    assert run("config", "unset", "--repo", "phase").code == 0
    assert place.read_text() == '# ours\ncompetition = "odd \\"name\\""\n'
    assert "was not set" in run("config", "unset", "--repo", "phase").err
    assert run("config", "path").out.splitlines() == [str(place), str(settings.user_file())]


def test_what_decides_elsewhere_is_said(run: Callable, here: Path) -> None:
    (here / settings.PROJECT_FILE).write_text('competition = "theirs"\n')
    assert f"{here / settings.PROJECT_FILE} decides" in run("config", "set", "competition", "mine").err


@pytest.mark.parametrize(
    "arguments", [("set", "colour", "blue"), ("get", "token"), ("set", "url", "nowhere"), ("set", "phase", " ")]
)
def test_what_cannot_be_set(run: Callable, here: Path, arguments: tuple[str, ...]) -> None:
    done = run("config", *arguments)
    assert done.code == 2
    assert not settings.user_file().exists()


@pytest.mark.parametrize("text", ["phase = ", "phase = 3", 'token = "ts_x"'])
def test_a_file_that_is_not_sound_is_named(run: Callable, here: Path, text: str) -> None:
    (here / settings.PROJECT_FILE).write_text(text)
    done = run("config", "list")
    assert done.code == 2
    assert settings.PROJECT_FILE in done.err


def test_files_above_the_repository_are_not_looked_at(here: Path) -> None:
    (here.parent.parent / settings.PROJECT_FILE).write_text('phase = "outside"\n')
    assert settings.look_up("phase").value == ""


def test_a_folder_of_somebody_else_gets_no_token(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / settings.PROJECT_FILE).write_text('url = "https://elsewhere.example.org"\n')
    assert config.resolve().url == "https://elsewhere.example.org"
    monkeypatch.setenv("TOUCHSTONE_TOKEN", "ts_secret_of_another")
    with pytest.raises(ClientError, match="was not sent") as caught:
        config.resolve()
    assert "ts_secret" not in str(caught.value)
    monkeypatch.setenv("TOUCHSTONE_URL", "https://elsewhere.example.org")
    assert config.resolve().token == "ts_secret_of_another"
    monkeypatch.delenv("TOUCHSTONE_URL")
    config.store(url="https://elsewhere.example.org", token="ts_other")
    assert config.resolve().token == "ts_secret_of_another", "somebody logged in there once"


def test_nor_does_it_get_a_job_s_identity(run: Callable, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was made for the server that the job names, and whoever has it first uses it."""
    (here / settings.PROJECT_FILE).write_text('url = "http://127.0.0.1:1"\ncompetition = "garments"\n')
    monkeypatch.setenv("TOUCHSTONE_ID_TOKEN", "a.b.c")
    for command in (("whoami",), ("login", "--oidc")):
        refused = run(*command)
        assert refused.code == 2, refused.err
        assert "The token was not sent to http://127.0.0.1:1" in refused.err
        assert "TOUCHSTONE_URL=" in refused.err
