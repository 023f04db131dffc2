"""One real PostgreSQL for the whole test run, and a throw-away environment.

Started before Django reads its settings. With xdist the controller starts it and the workers get
its address through the environment; pytest-django then gives each worker a database of its own.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from django.conf import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from scripts.services import ServiceError, Services
from tests.factories.s3 import Store, store_serve

_TESTS = Path(__file__).parent
_STARTED = pytest.StashKey[tuple[Services, Path]]()


def _environment(folder: Path) -> dict[str, str]:
    return {
        "TOUCHSTONE_VAR": str(folder / "var"),
        "TOUCHSTONE_STORAGE": str(folder / "storage"),
        "TOUCHSTONE_NODE_DIR": str(folder / "node"),
        "TOUCHSTONE_SECRET_KEY": "tests-only-" + "0" * 50,
        "TOUCHSTONE_ALLOWED_HOSTS": "testserver,localhost,127.0.0.1",
        "TOUCHSTONE_BASE_URL": "http://testserver",
    }


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Before pytest-django's own (last) turn, which sets Django up if its settings are loaded by then."""
    if "TOUCHSTONE_TEST_FOLDER" not in os.environ:  # else this is a worker of xdist: the controller has done it
        folder = Path(tempfile.mkdtemp(prefix="touchstone-tests-"))
        folder.chmod(0o711)  # as root, PostgreSQL runs under its own user and passes through
        os.environ["TOUCHSTONE_TEST_FOLDER"] = str(folder)
        os.environ.update(_environment(folder))
        _start_postgres(config, folder)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "touchstone.config.settings.test")
    if not settings.INSTALLED_APPS:  # reading one setting loads them all
        pytest.exit("the settings of the tests name no app", returncode=3)


def _start_postgres(config: pytest.Config, folder: Path) -> None:
    services = Services(folder / "services", durable=False, want=("postgres",))
    config.stash[_STARTED] = (services, folder)
    try:
        services.start()
    except ServiceError as error:
        shutil.rmtree(folder, ignore_errors=True)
        pytest.exit(f"The tests need PostgreSQL: {error}", returncode=3)
    os.environ.update(services.environment)


def pytest_unconfigure(config: pytest.Config) -> None:
    started = config.stash.get(_STARTED, None)
    if started is not None:
        services, folder = started
        services.stop()
        shutil.rmtree(folder, ignore_errors=True)
        del os.environ["TOUCHSTONE_TEST_FOLDER"]


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a real Redis that lives as long as the test session."""
    named = os.environ.get("TOUCHSTONE_BROKER_URL")
    if named:
        yield named
        return
    with Services(tmp_path_factory.mktemp("redis"), durable=False, want=("redis",)) as services:
        yield services.environment["TOUCHSTONE_BROKER_URL"]


@pytest.fixture(scope="session")
def s3_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A real S3-compatible store that lives as long as the test session."""
    with store_serve(tmp_path_factory.mktemp("s3")) as store:
        yield store


def need(present: bool, what: str, *, switch: str) -> None:
    """Skip with a reason where `what` is missing; fail where `switch` (or CI) says it must be there."""
    if present:
        return
    if os.environ.get("CI") or os.environ.get(switch):
        pytest.fail(f"{what} is missing, and {switch}=1 (or CI) says that it must be there", pytrace=False)
    pytest.skip(f"{what} is missing; `make test` as root on Debian installs it")


@cache
def _docker_answers() -> bool:
    if shutil.which("docker") is None:
        return False
    asked = subprocess.run(["docker", "version", "--format", "{{.Server.Version}}"], capture_output=True, timeout=60)
    return asked.returncode == 0


@pytest.fixture(scope="session")
def docker_engine() -> str:
    """Path of the docker client, where an engine answers."""
    need(_docker_answers(), "a Docker engine", switch="REQUIRE_DOCKER")
    return str(shutil.which("docker"))


@pytest.fixture(scope="session")
def docker_registry() -> str:
    """Path of Debian's `docker-registry`."""
    found = shutil.which("docker-registry")
    need(found is not None, "docker-registry", switch="REQUIRE_DOCKER")
    return str(found)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of Chromium."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    need(found is not None, "Chromium", switch="REQUIRE_BROWSER")
    return str(found)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> _Groups | None:
    return _Groups(config, log) if config.getvalue("dist") == "loadgroup" else None


class _Groups(LoadScopeScheduling):
    """What shares servers or sandboxes stays on one worker of xdist, and a file's tests do.

    They are begun in the order of collection: what starts servers and browsers first, and unit tests fill both workers
    at the end, so that none waits for the other. (xdist's own groups are a mark in the name of a test, which pytest 9.2
    does not let it write.)
    """

    def __init__(self, config: pytest.Config, log: Producer) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid.partition("::")[0])


@cache
def group_of(path: str) -> str:
    """The group of a test file: engines of one machine, the stack that `live` is, or the file alone."""
    file = _TESTS.parent / path
    parts = Path(path).parts
    if parts[:2] == ("tests", "integration") and len(parts) > 3:
        return "engines"
    if parts[:2] == ("tests", "integration") and re.search(r"\blive: Live\b", file.read_text()):
        return "live"
    return path
