"""The deployment's own modules: those of docker/, and those that go into the web image."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.stack import ROOT

_PLACES = [str(ROOT / "docker"), str(ROOT / "docker" / "image")]
sys.path[:0] = _PLACES
import _restore  # noqa: E402, F401
import deploy  # noqa: E402, F401
import prepare  # noqa: E402

del sys.path[: len(_PLACES)]


@pytest.fixture
def secrets_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a deployment; its files keep their owner, for not every test runs as root."""
    monkeypatch.setattr(prepare.os, "chown", lambda *_: None)
    return tmp_path / "home"
