"""Compose takes the files, together as the guide says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.stack import ROOT
from tests.conftest import need

_GIVEN = {
    "TOUCHSTONE_HOME": "/srv/place", "TOUCHSTONE_BASE_URL": "http://127.0.0.1:8000", "TOUCHSTONE_DOCKER_GID": "998",
    "TOUCHSTONE_ALLOWED_HOSTS": "127.0.0.1", "TOUCHSTONE_QUEUE_LISTEN": "127.0.0.1:6379",
    "TOUCHSTONE_URL": "https://eval.test", "TOUCHSTONE_NODE_NAME": "gpu-1", "TOUCHSTONE_GPUS": "GPU-1",
    "TOUCHSTONE_STREAMS": "7",
}  # fmt: skip
_DEVICES = [{"driver": "nvidia", "count": "all", "capabilities": ["gpu", "utility"]}]


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    file = tmp_path / "settings.env"
    file.write_text("".join(f"{name}={value}\n" for name, value in _GIVEN.items()))
    return file


def _config(settings: Path, *files: str) -> dict[str, dict[str, Any]]:
    """The services as Compose understands them."""
    plugin = subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0
    need(plugin or shutil.which("docker-compose") is not None, "Compose", switch="REQUIRE_DOCKER")
    named = [part for file in files for part in ("-f", str(ROOT / "docker" / file))]
    argv = [*(("docker", "compose") if plugin else ("docker-compose",)), "--env-file", str(settings), *named, "config"]
    env = {name: value for name, value in os.environ.items() if not name.startswith(("TOUCHSTONE_", "COMPOSE_"))}
    done = subprocess.run(argv, capture_output=True, text=True, env=env, timeout=120)
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, Any]] = yaml.safe_load(done.stdout)["services"]
    return found


def _devices(service: dict[str, Any]) -> list[dict[str, Any]]:
    """v2 says -1 for all."""
    found = service.get("deploy", {}).get("resources", {}).get("reservations", {}).get("devices", [])
    return [{**device, "count": "all" if device["count"] in (-1, "all") else device["count"]} for device in found]


def test_all_files_together(settings: Path) -> None:
    services = _config(settings, "compose.yml", "compose.queue.yml", "compose.gpu.yml")

    node = services["node-1"]
    assert _devices(node) == _DEVICES
    assert node["environment"]["TOUCHSTONE_GPUS"] == "GPU-1"
    assert node["environment"]["TOUCHSTONE_QUEUES"] == "cpu,gpu"
    assert "--queues=cpu,gpu" in node["command"]
    assert node["cap_drop"] == ["ALL"]
    assert "/srv/place/nodes/gpus" in json.dumps(node["volumes"])
    assert "/srv/place/nodes/node-1" in json.dumps(node["volumes"])
    assert _devices(services["node-2"]) == []
    assert services["node-2"]["environment"]["TOUCHSTONE_GPUS"] == "none"


def test_without_the_file_no_node_has_a_device(settings: Path) -> None:
    services = _config(settings, "compose.yml")

    assert [name for name, service in services.items() if _devices(service)] == []
    assert {services[name]["environment"]["TOUCHSTONE_GPUS"] for name in ("node-1", "node-2")} == {"none"}


def test_a_setting_that_is_given_is_passed_and_one_that_is_not_is_not_made_up(settings: Path) -> None:
    environment = _config(settings, "compose.yml")["web"]["environment"]

    assert environment["TOUCHSTONE_STREAMS"] == "7"
    assert environment.get("TOUCHSTONE_HSTS_SECONDS") is None


def test_a_node_of_its_own_with_devices(settings: Path) -> None:
    node = _config(settings, "compose.node.yml", "compose.node.gpu.yml")["node"]

    assert _devices(node) == _DEVICES
    assert node["environment"]["TOUCHSTONE_GPUS"] == "GPU-1"
