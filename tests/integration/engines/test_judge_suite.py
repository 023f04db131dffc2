"""Every hostile or broken submission of tests/judge_suite on every engine, through the judge itself."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from docker.errors import ImageNotFound
from judge_cases import ENGINES, Case, EngineName, load_cases
from judge_rounds import Round
from judge_verdicts import problems, usable
from judge_world import World, sources

from runners.engines import _limits
from runners.engines.base import Engine
from runners.engines.bubblewrap import BubblewrapEngine
from runners.engines.docker import BASE_IMAGE, DockerEngine

CASES = load_cases()
_DOCKER = ("runc", "runsc")
PAIRS = [
    pytest.param(engine, slug, id=f"{engine}-{slug}", marks=[pytest.mark.docker] if engine in _DOCKER else [])
    for engine in ENGINES
    for slug in CASES
]
Rounds = Callable[[EngineName], Round]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("judge-suite")
    for parent in (folder.parent, folder):
        parent.chmod(0o755)
    made = World(folder)
    os.environ["TOUCHSTONE_NODE_TOKEN"] = made.secret  # as a node has it: no sandbox may see it
    yield made
    del os.environ["TOUCHSTONE_NODE_TOKEN"]
    made.close()


@pytest.fixture(scope="module")
def images(request: pytest.FixtureRequest) -> Iterator[Callable[[Case], str]]:
    """Builds the image of a container case on first use; at the end its name goes, and with the last name the image."""
    made: dict[str, str] = {}
    engine = DockerEngine()

    def build(case: Case) -> str:
        if case.slug not in made:
            made[case.slug] = _build(engine, case, _tag(case))
        return made[case.slug]

    yield build
    for slug in made:
        # By its own name and without force: another case, or another run of the suite, may have come to the same image.
        with suppress(ImageNotFound):
            engine.client.remove_image(_tag(CASES[slug]))
    engine.close()


def _tag(case: Case) -> str:
    return f"judge-suite-{case.slug}:{os.getpid()}"


def _build(engine: DockerEngine, case: Case, tag: str) -> str:
    spool = io.BytesIO()
    with tarfile.open(fileobj=spool, mode="w") as archive:
        for name, content in {**sources(case), "targets.json": b"{}"}.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o644
            archive.addfile(info, io.BytesIO(content))
    spool.seek(0)
    for message in engine.client.build(fileobj=spool, custom_context=True, tag=tag, rm=True, forcerm=True, decode=True):
        if "error" in message:
            raise RuntimeError(f"{case.slug}: {message['error']}")
    return str(engine.client.inspect_image(tag)["Id"])


@pytest.fixture(scope="module")
def rounds(request: pytest.FixtureRequest, world: World, images: Callable[[Case], str]) -> Iterator[Rounds]:
    """One round an engine; its cases begin when the first of them is asked for."""
    node, _limits.NODE = _limits.NODE, f"test-{os.getpid()}"
    made: dict[EngineName, Round] = {}

    def get(name: EngineName) -> Round:
        if name not in made:
            make = _engine(request, name)
            engine = make()
            report = engine.self_test()  # no bomb goes off on an engine whose limits do not hold
            if hasattr(engine, "close"):
                engine.close()
            assert report.ok, report
            made[name] = Round(name, world, world.folder / name, make, images)
            made[name].submit(_wanted(request.session, name))
        return made[name]

    yield get
    for round_ in made.values():
        round_.close()
    _limits.NODE = node


def _wanted(session: pytest.Session, name: EngineName) -> list[Case]:
    """The cases of one engine that this session runs: with `-k` they are few."""
    given = [item.callspec.params for item in session.items if getattr(item, "originalname", "") == "test_case"]  # type: ignore[attr-defined]
    return [CASES[one["slug"]] for one in given if one["engine_name"] == name]


def _engine(request: pytest.FixtureRequest, name: EngineName) -> Callable[[], Engine]:
    if name == "bubblewrap":
        return BubblewrapEngine
    docker: DockerEngine = request.getfixturevalue("docker_engine")
    assert docker.has_image(BASE_IMAGE)
    if name not in docker.client.info()["Runtimes"]:
        text = f"the Docker daemon has no runtime {name!r}; docker/daemon.json shows how it gets one"
        if os.environ.get("CI") or os.environ.get("REQUIRE_DOCKER"):
            pytest.fail(text, pytrace=False)
        pytest.skip(text)
    if name == "runsc":
        return lambda: DockerEngine(runtime=BASE_IMAGE, runtime_name="runsc")
    return lambda: DockerEngine(runtime=BASE_IMAGE, runtime_name="runc")


@pytest.mark.parametrize(("engine_name", "slug"), PAIRS)
def test_case(rounds: Rounds, engine_name: EngineName, slug: str) -> None:
    case, current = CASES[slug], rounds(engine_name)
    outcome = current.outcome(case)
    found = problems(case, engine_name, outcome, secret=current.world.secret)
    result = outcome.result
    assert found == [], f"{result.verdict} {result.code}: {result.message}\n{result.hint}\n{result.log[-3000:]}"


@pytest.mark.parametrize(
    "engine_name", [pytest.param(name, marks=[pytest.mark.docker] if name in _DOCKER else []) for name in ENGINES]
)
def test_the_node_is_usable_after_all_of_them(rounds: Rounds, engine_name: EngineName) -> None:
    current = rounds(engine_name)
    assert usable(current.honest()) == []
    assert current.neighbour.ended() == ""
    assert current.world.services.hits == []
