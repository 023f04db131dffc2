"""docker/deploy.py without an engine: settings, sizes, words for what fails."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import _sizes
import deploy
import pytest
from _deployment import DeployError, Deployment

_GIB = 2**30
_GIVEN = {
    "COMPOSE_PROJECT_NAME": "p", "TOUCHSTONE_LISTEN": "127.0.0.1:8000", "TOUCHSTONE_REGISTRY_LISTEN": "127.0.0.1:5000",
}  # fmt: skip


@pytest.fixture
def given(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "socket").touch()
    return _GIVEN | {"TOUCHSTONE_DOCKER_SOCKET": str(tmp_path / "socket")}


def _bytes(size: str) -> int:
    return int(size.removesuffix("MiB").removesuffix("m")) * 2**20


@pytest.mark.parametrize("total", [6, 8, 12, 16, 19, 20, 24, 32, 64, 256])
def test_limits_are_within_the_machine(total: int) -> None:
    nodes = _sizes.local_nodes(total * _GIB)
    found = {name: _bytes(size) for name, size in _sizes.limits(total * _GIB, nodes).items()}

    a_node = found.pop("TOUCHSTONE_NODE_MEMORY") + found.pop("TOUCHSTONE_MEMORY")
    assert sum(found.values()) + _GIB + nodes * a_node <= total * _GIB * 7 // 8
    assert total < 16 or a_node >= 4 * _GIB


def test_a_server_without_nodes_has_no_runs() -> None:
    assert "TOUCHSTONE_MEMORY" not in _sizes.limits(8 * _GIB, 0)


def test_settings_are_for_their_owner_and_what_is_given_counts(tmp_path: Path, given: dict[str, str]) -> None:
    deployment = Deployment(tmp_path / "home")
    deployment.write_settings(given | {"TOUCHSTONE_WEB_MEMORY": "9g", "TOUCHSTONE_LOCAL_NODES": "1"})

    assert stat.S_IMODE(deployment.settings_file.stat().st_mode) == 0o600
    assert deployment.settings["TOUCHSTONE_WEB_MEMORY"] == "9g"
    assert deployment.nodes == ("node-1",)
    assert deployment.settings["TOUCHSTONE_POSTGRES_MEMORY"].endswith("m")


def test_settings_that_others_could_read_are_closed(tmp_path: Path, given: dict[str, str]) -> None:
    file = tmp_path / "settings.env"
    file.write_text("A=b\n")
    file.chmod(0o644)
    Deployment(tmp_path).write_settings(given)

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text() == "A=b\n"


@pytest.mark.parametrize(("count", "nodes"), [("0", ()), ("1", ("node-1",)), ("2", ("node-1", "node-2"))])
def test_so_many_nodes_are_here(tmp_path: Path, count: str, nodes: tuple[str, ...]) -> None:
    (tmp_path / "settings.env").write_text(f"TOUCHSTONE_LOCAL_NODES={count}\n")

    assert Deployment(tmp_path).nodes == nodes


def test_a_number_of_nodes_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "settings.env").write_text("TOUCHSTONE_LOCAL_NODES=3\n")

    with pytest.raises(DeployError, match=r"TOUCHSTONE_LOCAL_NODES=3 .* 0 or 1 or 2"):
        _ = Deployment(tmp_path).nodes


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError(13, "Permission denied", "/srv/x"), "/srv/x: Permission denied. Run it as root"),
        (OSError(28, "No space left on device", "/b"), "/b: No space left on device. Make room"),
        (FileNotFoundError(2, "No such file or directory", "docker"), "Install Docker's client"),
        (BrokenPipeError(32, "Broken pipe"), "Broken pipe. Mend that"),
    ],
)
def test_what_the_system_refuses_is_said_in_words(
    error: OSError, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(deploy, "_perform", fail)
    monkeypatch.setattr(sys, "argv", ["deploy.py", "status"])

    assert deploy.main() == 1
    assert said in capsys.readouterr().err
