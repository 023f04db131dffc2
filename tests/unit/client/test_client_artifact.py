from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from touchstone_client.artifact import artifact_of, sendable
from touchstone_client.errors import ClientError, ExitCode
from touchstone_client.packing import folder_files
from touchstone_client.pending import fingerprint, folder, pending


def folder_of(path: Path, kind: str = "", **files: str) -> Path:
    path.mkdir()
    for name, text in files.items():
        (path / name.replace("_", ".")).write_text(text)
    if kind:
        (path / ".touchstone.toml").write_text(f'kind = "{kind}"\n')
    return path


def test_a_folder_is_what_its_settings_say(tmp_path: Path) -> None:
    container = folder_of(tmp_path / "a", "container", main_py="x", Dockerfile="FROM scratch")
    assert artifact_of(str(container)).kind == "container"
    assert artifact_of(str(container), kind="code").kind == "code"
    assert artifact_of(str(folder_of(tmp_path / "b", Dockerfile="FROM scratch"))).kind == "container"
    assert artifact_of(str(folder_of(tmp_path / "c", main_py="x", Dockerfile="FROM scratch"))).kind == "code"


@pytest.mark.parametrize(("kind", "name"), [("predictions", "predictions.csv"), ("model", "model.onnx")])
def test_a_folder_of_one_file_sends_that(tmp_path: Path, kind: str, name: str) -> None:
    found = artifact_of(str(folder_of(tmp_path / "a", kind)))
    with pytest.raises(ClientError, match=f"no {kind} to send") as caught, sendable(found):
        pass
    assert caught.value.exit_code is ExitCode.INVALID
    (tmp_path / "a" / name).write_text("x")
    with sendable(found) as file:
        assert file == tmp_path / "a" / name
    assert found.name == name


@pytest.mark.parametrize("text", ["", "absent.csv", "absent/", "Not An Image"])
def test_what_is_not_there(text: str) -> None:
    with pytest.raises(ClientError) as caught:
        artifact_of(text)
    assert caught.value.exit_code is ExitCode.USAGE


def test_what_a_folder_keeps_to_itself(tmp_path: Path) -> None:
    place = folder_of(tmp_path / "a", main_py="x", notes_md="x")
    (place / "data").mkdir()
    (place / "data" / "large.npz").write_text("x")
    (place / ".touchstoneignore").write_text("# mine\ndata/\n*.md\n.touchstone*\n")
    assert [path.name for path in folder_files(place)] == ["main.py"]


def test_a_key_stays_until_the_answer_came(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with pytest.raises(KeyboardInterrupt), pending("a", 1) as first:
        raise KeyboardInterrupt
    with pending("a", 2) as other:
        assert other != first
    with pending("a", 1) as again:
        assert again == first
    with pending("a", 1) as fresh:
        assert fresh != first
    assert not list(folder().iterdir())


def test_a_key_is_forgotten_after_a_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with pytest.raises(KeyboardInterrupt), pending("a") as first:
        raise KeyboardInterrupt
    (place,) = folder().iterdir()
    assert json.loads(place.read_text()) == {"key": first}
    monkeypatch.setattr(time, "time", lambda: place.stat().st_mtime + 25 * 3600)
    with pending("a") as later:
        assert later != first


def test_a_changed_file_is_another(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("x")
    before = fingerprint(path)
    assert fingerprint(path) == before
    path.write_text("xy")
    assert fingerprint(path) != before
