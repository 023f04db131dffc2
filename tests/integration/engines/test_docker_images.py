"""What only an engine with images can do: load archives, start foreign images, guard names."""

from __future__ import annotations

import io
import json
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import touchstone_client
from runners.contract import Verdict
from runners.engines.base import Job, Limits
from runners.engines.docker import BASE_IMAGE, DockerEngine
from runners.errors import ParticipantFault, RetryableError, UserError
from runners.models.opening import open_model
from runners.spec.models import InputSpec, ResourceSpec, TaskSpec
from tests.conftest import need

pytestmark = pytest.mark.docker

TEMPLATES = Path(touchstone_client.__file__).parent / "templates"
LIMITS = Limits(memory=2**27, cpus=1.0, seconds=20, tmp=2**20)
INPUT = InputSpec(kind="array", shape=(3,))
TASK = TaskSpec(kind="binary", classes=("a", "b"))


class Images:
    """Builds images on the base image and removes them after the test."""

    def __init__(self, engine: DockerEngine) -> None:
        self._client = engine.client
        self._made: list[str] = []

    def build(self, dockerfile: str, files: dict[str, bytes], tag: str) -> str:
        spool = io.BytesIO()
        with tarfile.open(fileobj=spool, mode="w") as archive:
            for name, content in {"Dockerfile": dockerfile.encode(), **files}.items():
                info = tarfile.TarInfo(name)
                info.size, info.mode = len(content), 0o644
                archive.addfile(info, io.BytesIO(content))
        spool.seek(0)
        for message in self._client.build(fileobj=spool, custom_context=True, tag=tag, rm=True, decode=True):
            assert "error" not in message, message
        self._made.append(tag)
        return tag

    def save(self, tag: str, target: Path) -> Path:
        with target.open("wb") as file:
            for chunk in self._client.get_image(tag):
                file.write(chunk)
        return target

    def forget(self, image: str) -> None:
        self._client.remove_image(image, force=True)
        self._made = [made for made in self._made if made != image]

    def close(self) -> None:
        for image in self._made:
            self._client.remove_image(image, force=True)


@pytest.fixture
def images(docker_engine: DockerEngine) -> Iterator[Images]:
    need(docker_engine.has_image(BASE_IMAGE), f"the image {BASE_IMAGE} (`make image-base`)", switch="REQUIRE_DOCKER")
    made = Images(docker_engine)
    yield made
    made.close()


def test_the_container_template_is_loaded_by_id_and_answers(
    docker_engine: DockerEngine, images: Images, run_name: str, tmp_path: Path
) -> None:
    weights = io.BytesIO()
    np.savez(weights, weight=np.ones((3, 2)), bias=np.zeros(2))
    files = {"main.py": (TEMPLATES / "common" / "main.py").read_bytes(), "weights.npz": weights.getvalue()}
    own = f"{(TEMPLATES / 'container' / 'Dockerfile').read_text()}\nLABEL a={run_name}\n"  # an image of nobody else
    tag = images.build(own, files, f"{run_name}:1")
    archive = images.save(tag, tmp_path / "image.tar")
    before = docker_engine.client.inspect_image(tag)["Id"]
    images.forget(tag)
    image = docker_engine.load_image(archive, limit=2**33)
    try:
        assert image == before
        assert docker_engine.has_image(image)
        assert not docker_engine.has_image(tag)
        with open_model(
            docker_engine, kind="container", image=image, input=INPUT, task=TASK, resources=ResourceSpec(),
            run=run_name, attempt=1, workdir=tmp_path, deadline=time.monotonic() + 60,
        ) as model:  # fmt: skip
            found = model.predict(np.ones((5, 3), np.float32))
        assert found.shape == (5, 2)
        assert model.logs() == b""
    finally:
        docker_engine.client.remove_image(image, force=True)


def test_an_archive_cannot_take_the_name_of_our_image(
    docker_engine: DockerEngine, images: Images, run_name: str, tmp_path: Path
) -> None:
    tag = images.build(f"FROM {BASE_IMAGE}\nLABEL hostile=1\n", {}, f"{run_name}:1")
    archive, renamed = images.save(tag, tmp_path / "image.tar"), tmp_path / "renamed.tar"
    with tarfile.open(archive) as source, tarfile.open(renamed, "w") as target:
        for member in source:
            content = source.extractfile(member).read() if member.isfile() else b""  # type: ignore[union-attr]
            if member.name == "manifest.json":
                content = json.dumps([{**json.loads(content)[0], "RepoTags": [BASE_IMAGE]}]).encode()
                member.size = len(content)
            if member.name != "repositories":
                target.addfile(member, io.BytesIO(content) if member.isfile() else None)
    ours = docker_engine.client.inspect_image(BASE_IMAGE)["Id"]
    docker_engine.load_image(renamed, limit=2**33)
    assert docker_engine.client.inspect_image(BASE_IMAGE)["Id"] == ours


def test_an_image_above_the_limit_is_refused(
    docker_engine: DockerEngine, images: Images, run_name: str, tmp_path: Path
) -> None:
    tag = images.build(f"FROM {BASE_IMAGE}\nLABEL a={run_name}\n", {}, f"{run_name}:1")
    archive = images.save(tag, tmp_path / "i.tar")
    image = docker_engine.client.inspect_image(tag)["Id"]
    with pytest.raises(UserError, match="bytes unpacked") as caught:
        docker_engine.load_image(archive, limit=10**6)
    assert caught.value.code == "image_too_large"
    assert docker_engine.has_image(tag), "an image that was here before must stay"
    images.forget(tag)
    with pytest.raises(UserError, match="bytes unpacked"):
        docker_engine.load_image(archive, limit=10**6)
    assert not docker_engine.has_image(image)


def test_what_is_no_archive_is_refused(docker_engine: DockerEngine, tmp_path: Path) -> None:
    wrong = tmp_path / "image.tar"
    wrong.write_bytes(b"not a tar" * 1000)
    with pytest.raises(UserError, match=r"image\.tar"):
        docker_engine.load_image(wrong, limit=2**33)


@pytest.mark.parametrize(
    ("entry", "verdict"),
    [
        ('ENTRYPOINT ["/no/such/program"]', Verdict.CRASH),
        ('ENTRYPOINT ["/etc/passwd"]', Verdict.CRASH),
        ('USER nobody-we-know\nENTRYPOINT ["python"]', Verdict.CRASH),
        ('CMD ["python", "-c", "print(1)"]', Verdict.CRASH),
    ],
)
def test_an_image_that_does_not_start_is_its_owner_s_fault(
    docker_engine: DockerEngine, images: Images, run_name: str, tmp_path: Path, entry: str, verdict: Verdict
) -> None:
    tag = images.build(f"FROM {BASE_IMAGE}\n{entry}\n", {}, f"{run_name}:1")
    with pytest.raises(ParticipantFault) as caught:
        open_model(
            docker_engine, kind="container", image=tag, input=INPUT, task=TASK, resources=ResourceSpec(start=5),
            run=run_name, attempt=1, workdir=tmp_path, deadline=time.monotonic() + 20,
        )  # fmt: skip
    assert caught.value.verdict is verdict
    assert [name for name in docker_engine.reap([]) if run_name in name] == []


def test_an_image_that_is_not_here_is_the_platform_s_fault(docker_engine: DockerEngine, run_name: str) -> None:
    with pytest.raises(RetryableError, match="not on this node"):
        docker_engine.start(Job(run=run_name, attempt=1, limits=LIMITS, image="sha256:" + "0" * 64))


def test_a_run_s_name_is_a_lock(docker_engine: DockerEngine, run_name: str) -> None:
    argv = ("python3", "-c", "import time; time.sleep(60)")
    first = docker_engine.start(Job(run=run_name, attempt=1, limits=LIMITS, argv=argv))
    with pytest.raises(RetryableError, match=r"attempt 1 .* still running"):
        docker_engine.start(Job(run=run_name, attempt=1, limits=LIMITS, argv=argv))
    second = docker_engine.start(Job(run=run_name, attempt=2, limits=LIMITS, argv=argv))
    try:
        assert first.poll() is not None  # a newer attempt takes the older one's place
        with pytest.raises(RetryableError, match="attempt 2"):
            docker_engine.start(Job(run=run_name, attempt=1, limits=LIMITS, argv=argv))
        assert second.poll() is None
    finally:
        first.close()
        second.close()


def test_an_image_cannot_have_the_host_s_disk(docker_engine: DockerEngine, images: Images, run_name: str) -> None:
    """A declared volume would be a writable folder of the host without a limit."""
    tag = images.build(f'FROM {BASE_IMAGE}\nVOLUME ["/data"]\nCMD ["python"]\n', {}, f"{run_name}:1")
    with pytest.raises(ParticipantFault, match=r"declares volumes \(/data\)") as caught:
        docker_engine.start(Job(run=run_name, attempt=1, limits=LIMITS, image=tag))
    assert "VOLUME" in caught.value.hint


def test_an_image_s_health_check_is_not_run(docker_engine: DockerEngine, images: Images, run_name: str) -> None:
    """The daemon would start it as often as the image asks, outside the sandbox's share of the processor."""
    dockerfile = f'FROM {BASE_IMAGE}\nHEALTHCHECK --interval=100ms CMD touch /tmp/checked\nCMD ["sleep", "60"]\n'
    tag = images.build(dockerfile, {}, f"{run_name}:1")
    code = "import os, time; time.sleep(1.5); print(os.path.exists('/tmp/checked'))"
    job = Job(run=run_name, attempt=1, limits=LIMITS, image=tag, argv=("python", "-c", code))
    sandbox = docker_engine.start(job)
    try:
        assert sandbox.wait(20) is not None
        assert sandbox.logs().strip() == b"False"
    finally:
        sandbox.close()


@pytest.mark.parametrize("how", ["kill", "remove"])
def test_a_container_ended_by_somebody_else_is_lost(docker_engine: DockerEngine, run_name: str, how: str) -> None:
    sandbox = docker_engine.start(Job(run=run_name, attempt=1, limits=LIMITS, argv=("sleep", "60")))
    try:
        assert sandbox.poll() is None
        if how == "kill":
            docker_engine.client.kill(f"touchstone-{run_name}")
        else:
            docker_engine.client.remove_container(f"touchstone-{run_name}", force=True)
        ended = sandbox.wait(10)
        assert ended is not None
        assert ended.lost
    finally:
        sandbox.close()


def test_an_image_that_was_used_goes_where_there_is_no_room(
    docker_engine: DockerEngine, images: Images, run_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else each container submission would stay on the node's disk for ever."""
    tag = images.build(f"FROM {BASE_IMAGE}\nLABEL a={run_name}\n", {}, f"{run_name}:1")
    archive = images.save(tag, tmp_path / "i.tar")
    monkeypatch.setattr("runners.engines._image_cache.ROOM", 2**60)
    named = docker_engine.client.inspect_image(tag)["Id"]
    docker_engine.image_used(named)
    assert docker_engine.has_image(tag), "an image with a name is somebody's own"
    images.forget(tag)
    image = docker_engine.load_image(archive, limit=2**33)
    sandbox = docker_engine.start(Job(run=run_name, attempt=1, limits=LIMITS, image=image, argv=("sleep", "60")))
    try:
        docker_engine.image_used(image)
        assert docker_engine.has_image(image), "another run uses it"
    finally:
        sandbox.close()
    monkeypatch.setattr("runners.engines._image_cache.ROOM", 0)
    docker_engine.image_used(image)
    assert docker_engine.has_image(image), "it is kept while there is room"
    monkeypatch.setattr("runners.engines._image_cache.ROOM", 2**60)
    docker_engine.image_used(image)
    assert not docker_engine.has_image(image)
    docker_engine.image_used(image)
