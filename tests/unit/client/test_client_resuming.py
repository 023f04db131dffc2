"""What a command remembers, and what it says before it sends a token."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from touchstone_client import initialising, pending
from touchstone_client.artifact import Artifact
from touchstone_client.cli.group import Session, connect
from touchstone_client.cli.submit import _send


class _Server:
    """Breaks off the first submission; `keys` are those that it was sent, with the image."""

    url = "https://touchstone.example"

    def __init__(self) -> None:
        self.keys: list[tuple[str, str]] = []
        self.digest = f"sha256:{'a' * 64}"

    def image_named(self, slug: str, image: str) -> str:
        return self.digest

    def submit(self, *names: Any, idempotency_key: str, image: str, **more: Any) -> None:
        self.keys.append((idempotency_key, image))
        raise KeyboardInterrupt


def test_an_image_built_anew_is_another_submission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending, "folder", lambda: tmp_path)
    server: Any = _Server()
    place: Any = SimpleNamespace(slug="small", max_size=0)

    def interrupted() -> tuple[str, str]:
        with pytest.raises(KeyboardInterrupt):
            _send(server, place, place, Artifact("container", image="mine:1"), name="", message="", key="")
        return server.keys[-1]

    first = interrupted()
    assert interrupted() == first
    server.digest = f"sha256:{'b' * 64}"
    key, image = interrupted()
    assert (key != first[0], image) == (True, server.digest)


def test_a_training_that_takes_too_long_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data/train").mkdir(parents=True)
    (tmp_path / "train.py").write_text("import time\ntime.sleep(60)\n")
    split = SimpleNamespace(name="train", visibility="public", files=[1], n_items=1)
    monkeypatch.setattr(initialising, "_TRAINING_SECONDS", 0.2)
    notes: list[str] = []
    made = initialising._train(tmp_path, "code", SimpleNamespace(splits=[split]), "test", notes)  # type: ignore[arg-type]
    assert (made, "more than 0.2 s" in notes[0], "python train.py" in notes[0]) == ("", True, True)


@pytest.mark.parametrize(("url", "times"), [("http://touchstone.example", 1), ("http://127.0.0.1:1", 0)])
def test_an_unencrypted_way_is_told_once(url: str, times: int, capsys: pytest.CaptureFixture[str]) -> None:
    context: Any = SimpleNamespace(obj=Session(url=url, token="ts_x"))
    for _ in range(2):
        connect(context).close()
    assert capsys.readouterr().err.count("is not encrypted") == times
