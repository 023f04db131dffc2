"""Every setting that the code reads reaches the containers of a deployment, and is told in the guide."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from scripts.stack import ROOT

_DOCKER = ROOT / "docker"
_COMPOSE = sorted(_DOCKER.glob("compose*.yml"))
_READ = re.compile(r"""env(?:iron)?(?:\.(?:str|int|float|bool|list|db_url|get))?[(\[]\s*"([A-Z0-9_]+)\"""")
_NODE_READ = re.compile(r"""(?:environ(?:\.get)?[(\[]|_number\(environ, |setting\()"(TOUCHSTONE_[A-Z0-9_]+)\"""")
_NAME = re.compile(r"`((?:TOUCHSTONE|COMPOSE)_[A-Z0-9_]+|DATABASE_URL|DJANGO_SETTINGS_MODULE)`")
#: Read by the server, and not an operator's to set under Compose.
_NOT_PASSED = {
    "TOUCHSTONE_VAR": "for one machine; the image has a place for what stands there",
    "TOUCHSTONE_DEBUG": "profile dev only",
    "TOUCHSTONE_CACHE_URL": "the deployment has a Redis",
    "TOUCHSTONE_SSL_REDIRECT": "health checks, nodes and the registry speak http inside; the proxy redirects",
}
#: Read by a node that is not in a container of ours, or set by an engine for what it starts.
_NOT_A_NODES = {
    "TOUCHSTONE_SOCKET": "set in a sandbox, by the engine",
    "TOUCHSTONE_BRIDGE": "for those who build the bridge elsewhere; the image has it built",
}


def _without_file(names: set[str]) -> set[str]:
    return {name.removesuffix("_FILE") for name in names}


def _compose(name: str) -> dict[str, dict[str, dict[str, object]]]:
    found: dict[str, dict[str, dict[str, object]]] = yaml.safe_load((_DOCKER / name).read_text())
    return found


def _passed(service: str, *, file: str = "compose.yml") -> set[str]:
    return _without_file(set(_compose(file)["services"][service]["environment"]))


def _matches(pattern: re.Pattern[str], files: list[Path]) -> set[str]:
    return {name for file in files for name in pattern.findall(file.read_text())}


def _server_reads() -> set[str]:
    place = ROOT / "platform" / "touchstone" / "config"
    files = [*(place / "settings").glob("*.py"), place / "celery.py"]
    found = {name for name in _matches(_READ, files) if name.startswith("TOUCHSTONE_") or name == "DATABASE_URL"}
    assert {"DATABASE_URL", "TOUCHSTONE_STREAMS", "TOUCHSTONE_HSTS_SECONDS", "TOUCHSTONE_REMOTE_CONTROL"} <= found
    return found


def _node_reads() -> set[str]:
    found = _matches(_NODE_READ, sorted((ROOT / "runners").rglob("*.py")))
    assert {"TOUCHSTONE_SLOTS", "TOUCHSTONE_CPUS", "TOUCHSTONE_GPUS", "TOUCHSTONE_IMAGE_CACHE_SIZE"} <= found
    return found | {"TOUCHSTONE_DOCKER_RUNTIME"}


def _variables(files: list[Path]) -> set[str]:
    return _matches(re.compile(r"\$\{([A-Z0-9_]+)"), files)


def _told() -> set[str]:
    """Names in the first column of the guide's tables of settings."""
    rows = [line.split("|")[1] for line in (ROOT / "docs" / "operating.md").read_text().splitlines() if line[:1] == "|"]
    return {name for row in rows for name in _NAME.findall(row)}


@pytest.mark.parametrize("service", ["web", "scheduler", "setup"])
def test_what_the_server_reads_reaches_its_containers(service: str) -> None:
    assert _server_reads() - _NOT_PASSED.keys() - _passed(service) == set()


@pytest.mark.parametrize(
    ("service", "file"), [("node-1", "compose.yml"), ("node-2", "compose.yml"), ("node", "compose.node.yml")]
)
def test_what_a_node_reads_reaches_its_container(service: str, file: str) -> None:
    assert _node_reads() - _NOT_A_NODES.keys() - _passed(service, file=file) == set()


def test_the_guide_tells_every_setting() -> None:
    wanted = _server_reads() | _node_reads() | _variables(_COMPOSE) | _passed("web")

    assert wanted - _told() - {"TOUCHSTONE_SOCKET", "TMPDIR"} == set()


def test_the_guide_tells_no_setting_that_is_not_there() -> None:
    deploys = sorted(_DOCKER.glob("*.py"))
    there = _server_reads() | _node_reads() | _variables(_COMPOSE) | _passed("web")
    there |= _matches(re.compile(r"\b((?:TOUCHSTONE|COMPOSE)_[A-Z0-9_]+)\b"), deploys)

    assert _told() - there == set()


def test_the_page_on_nodes_tells_what_reaches_the_server() -> None:
    text = (ROOT / "docs" / "nodes.md").read_text().partition("## Settings of the server")[2]
    told = set(_NAME.findall(text))

    assert "TOUCHSTONE_STREAMS" in told
    assert told - _passed("web") == set()


def test_the_page_on_the_registry_tells_what_reaches_server_and_nodes() -> None:
    rows = [line.split("|")[1] for line in (ROOT / "docs" / "registry.md").read_text().splitlines() if line[:1] == "|"]
    told = {name for row in rows for name in _NAME.findall(row)} - {"TOUCHSTONE_REGISTRY", "TOUCHSTONE_REGISTRY_PORT"}

    assert "TOUCHSTONE_REGISTRY_QUOTA" in told
    assert told - _passed("web") - _passed("node-1") == set()
