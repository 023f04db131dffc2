"""When the registry is started, and what is said where it cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import registry


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "docker-registry"
    program.write_text("#!/bin/sh\necho cannot do that >&2\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    return program


@pytest.fixture
def missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, True),
        ({"TOUCHSTONE_REGISTRY": "auto"}, True),
        ({"TOUCHSTONE_REGISTRY": "1"}, True),
        ({"TOUCHSTONE_REGISTRY": "0"}, False),
        ({"TOUCHSTONE_REGISTRY_HOST": "registry.test"}, False),
    ],
)
def test_it_is_started_where_it_is_installed(installed: Path, environ: dict[str, str], expected: bool) -> None:
    assert registry.wanted(environ) is expected


def test_without_it_nothing_is_started_unless_asked_for(missing: None) -> None:
    assert registry.wanted({}) is False
    with pytest.raises(registry.RegistryError, match="apt-get install"):
        registry.wanted({"TOUCHSTONE_REGISTRY": "1"})


def test_a_setting_that_means_nothing_is_told(installed: Path) -> None:
    with pytest.raises(registry.RegistryError, match="one of auto, 1 and 0"):
        registry.wanted({"TOUCHSTONE_REGISTRY": "yes"})


def test_one_that_ends_at_once_shows_its_log(installed: Path, tmp_path: Path) -> None:
    with pytest.raises(registry.RegistryError, match=r"(?s)status 3.*cannot do that") as caught:
        registry.start(tmp_path / "none.json", port=1, log=tmp_path / "registry.log")
    assert "registry.log" in str(caught.value)
