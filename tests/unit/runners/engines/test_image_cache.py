"""Which participants' images a node keeps: the ones used last, up to a size, and nobody else's."""

from __future__ import annotations

import contextlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import APIError

from runners.contract import ImagePull
from runners.engines import _docker_pull, _image_cache
from runners.errors import RetryableError, UserError

GIB = 2**30


def image_id(name: str) -> str:
    return f"sha256:{name.encode().hex():0>64}"


def _refuse(status: int, text: str = "") -> APIError:
    return APIError(text or "refused", response=SimpleNamespace(status_code=status, reason=""), explanation=text)  # type: ignore[arg-type]


class FakeDocker:
    """Images by id: {layers: [(digest, size)], tags, digests}; `busy` are in use; `registry` is what a pull brings."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.images: dict[str, dict[str, Any]] = {}
        self.busy: set[str] = set()
        self.registry: dict[str, str] = {}
        self.says: list[dict[str, Any]] = []
        self.asked: list[tuple[str, str, Any]] = []

    def put(
        self, name: str, *layers: tuple[str, int], tags: tuple[str, ...] = (), digests: tuple[str, ...] = ()
    ) -> str:
        self.images[image_id(name)] = {"layers": layers, "tags": list(tags), "digests": list(digests)}
        return image_id(name)

    def info(self) -> dict[str, Any]:
        return {"DockerRootDir": str(self.root)}

    def _find(self, name: str) -> str:
        for key, held in self.images.items():
            if name == key or name in held["digests"]:
                return key
        raise _refuse(404)

    def inspect_image(self, name: str) -> dict[str, Any]:
        key = self._find(name)
        held = self.images[key]
        return {
            "Id": key, "RepoTags": held["tags"], "RepoDigests": held["digests"],
            "Size": sum(size for _, size in held["layers"]), "RootFS": {"Layers": [d for d, _ in held["layers"]]},
        }  # fmt: skip

    def history(self, name: str) -> list[dict[str, Any]]:
        steps = [{"Size": size} for _, size in self.images[name]["layers"]]
        return [{"Size": 0}, *reversed(steps), {"Size": 0}]

    def remove_image(self, name: str, *, noprune: bool) -> None:
        key = self._find(name)
        held = self.images[key]
        if key in self.busy:
            raise _refuse(409, "image is being used")
        if name in held["digests"] and len(held["digests"]) > 1:
            held["digests"].remove(name)
        elif name == key and len(held["digests"]) > 1:
            raise _refuse(409, "image is referenced in multiple repositories")
        else:
            del self.images[key]

    def pull(self, repository: str, *, tag: str, auth_config: Any, stream: bool, decode: bool) -> Any:
        self.asked.append((repository, tag, auth_config))
        if (repository, tag) != ("", "") and f"{repository}@{tag}" in self.registry:
            self.images[self.registry[f"{repository}@{tag}"]]["digests"].append(f"{repository}@{tag}")
        return iter(self.says)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TOUCHSTONE_NODE_DIR", str(tmp_path / "node"))
    monkeypatch.setenv("TOUCHSTONE_IMAGE_CACHE_SIZE", "10GiB")
    monkeypatch.setattr(_image_cache, "ROOM", 0)
    return tmp_path / "node" / "images"


@pytest.fixture
def docker(tmp_path: Path) -> Any:
    return FakeDocker(tmp_path)


def use(docker: Any, folder: Path, image: str, *, ago: float) -> None:
    _image_cache.note_used(docker, image)
    mark = folder / image.removeprefix("sha256:")
    os.utime(mark, (mark.stat().st_atime, mark.stat().st_mtime - ago))


def test_the_one_used_longest_ago_goes_first(docker: Any, folder: Path) -> None:
    images = [docker.put(name, (name, 4 * GIB)) for name in "abc"]
    for image, ago in zip(images, (500, 900, 300), strict=True):
        use(docker, folder, image, ago=ago)

    assert _image_cache.make_room(docker) == [images[1]]
    assert list(docker.images) == [images[0], images[2]]
    assert _image_cache.make_room(docker) == []


def test_a_shared_layer_counts_once(docker: Any, folder: Path) -> None:
    images = [docker.put(f"i{n}", ("base", 8 * GIB), (f"own{n}", GIB // 2)) for n in range(4)]
    for n, image in enumerate(images):
        use(docker, folder, image, ago=1000 - n)

    assert _image_cache.make_room(docker) == []
    use(docker, folder, docker.put("other", ("other", GIB)), ago=200)
    assert _image_cache.make_room(docker) == images[:2]


def test_an_equal_layer_on_another_base_is_another(docker: Any, folder: Path) -> None:
    first = docker.put("a", ("base1", 4 * GIB), ("same", 4 * GIB))
    second = docker.put("b", ("base2", GIB), ("same", 4 * GIB))
    use(docker, folder, first, ago=900)
    use(docker, folder, second, ago=800)

    assert _image_cache.make_room(docker) == [first]


def test_what_has_a_name_is_in_use_or_is_not_ours_stays(docker: Any, folder: Path) -> None:
    named = docker.put("named", ("n", 20 * GIB), tags=("mine:1",))
    busy = docker.put("busy", ("b", 20 * GIB))
    foreign = docker.put("foreign", ("f", 20 * GIB))
    docker.busy.add(busy)
    use(docker, folder, named, ago=900)
    use(docker, folder, busy, ago=800)

    assert _image_cache.make_room(docker) == []
    assert set(docker.images) == {named, busy, foreign}


def test_an_image_that_is_about_to_start_stays(docker: Any, folder: Path) -> None:
    fresh, idle = docker.put("fresh", ("a", 20 * GIB)), docker.put("idle", ("b", 20 * GIB))
    _image_cache.note_used(docker, fresh)

    _image_cache.used(docker, idle)

    assert list(docker.images) == [fresh]


def test_a_full_disk_keeps_nothing(docker: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = docker.put("a", ("a", 1))
    use(docker, folder, image, ago=500)
    assert _image_cache.make_room(docker) == []
    monkeypatch.setattr(_image_cache, "ROOM", 2**62)

    assert _image_cache.make_room(docker) == [image]
    assert [path.name for path in folder.iterdir()] == [".lock"]


def test_an_image_known_by_several_digests_goes_altogether(docker: Any, folder: Path) -> None:
    image = docker.put("a", ("a", 20 * GIB), digests=("r/a@sha256:1", "r/b@sha256:1"))
    use(docker, folder, image, ago=500)

    assert _image_cache.make_room(docker) == [image]
    assert docker.images == {}


def test_an_image_somebody_removed_is_forgotten(docker: Any, folder: Path) -> None:
    image = docker.put("a", ("a", 20 * GIB))
    use(docker, folder, image, ago=500)
    docker.images.clear()

    assert _image_cache.make_room(docker) == []
    assert [path.name for path in folder.iterdir()] == [".lock"]


def test_empty_layers_are_weighed_as_a_whole(docker: Any, folder: Path) -> None:
    image = docker.put("a", ("a", 11 * GIB), ("empty", 0))
    use(docker, folder, image, ago=500)

    assert _image_cache.make_room(docker) == [image]


def test_an_image_that_is_noted_is_not_swept_meanwhile(
    docker: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = docker.put("a", ("a", 20 * GIB))
    use(docker, folder, image, ago=500)
    utime, sweeper = os.utime, threading.Thread(target=_image_cache.make_room, args=(docker,))

    def late(mark: Path) -> None:
        sweeper.start()
        sweeper.join(0.3)
        utime(mark)

    monkeypatch.setattr(_image_cache.os, "utime", late)
    _image_cache.note_used(docker, image)
    sweeper.join()

    assert list(docker.images) == [image], "it was used just now"
    assert (folder / image.removeprefix("sha256:")).exists()


def test_two_threads_note_the_same_image(docker: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image, both = docker.put("a", ("a", GIB)), threading.Barrier(2)
    replace = Path.replace

    def together(self: Path, target: Path) -> Path:
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(0.3)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", together)
    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(_image_cache.note_used, docker, image) for _ in range(2)]:
            done.result()

    assert {path.name for path in folder.iterdir()} == {".lock", image.removeprefix("sha256:")}


@pytest.mark.parametrize(("text", "expected"), [("", 40 * GIB), ("1GiB", GIB), ("500", 500)])
def test_the_size_is_a_setting(monkeypatch: pytest.MonkeyPatch, text: str, expected: int) -> None:
    monkeypatch.setenv("TOUCHSTONE_IMAGE_CACHE_SIZE", text)
    assert _image_cache.cache_size() == expected


DIGEST = f"sha256:{'a' * 64}"
PULL = ImagePull(reference=f"registry.test:5000/c/alice/m@{DIGEST}", username="node", password="key")


def test_a_pull_is_by_digest_with_its_own_key_and_made_once(docker: Any, folder: Path) -> None:
    image = docker.put("a", ("a", 5))
    docker.registry[PULL.reference] = image
    docker.says = [{"status": "Already exists", "id": "x"}]
    said: list[dict[str, Any]] = []

    found = [_docker_pull.pull(docker, PULL, limit=10, said=said.append) for _ in range(3)]

    assert found == [image] * 3
    assert docker.asked == [
        ("registry.test:5000/c/alice/m", DIGEST, {"username": "node", "password": "key"}),
    ]
    assert said == docker.says
    assert (folder / image.removeprefix("sha256:")).exists()


def test_an_image_above_the_limit_is_refused_and_goes(docker: Any) -> None:
    docker.registry[PULL.reference] = docker.put("a", ("a", 50))

    with pytest.raises(UserError, match="50 bytes unpacked; 10 are allowed") as caught:
        _docker_pull.pull(docker, PULL, limit=10)

    assert caught.value.code == "image_too_large"
    assert docker.images == {}


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("filesystem layer verification failed for digest sha256:1", UserError),
        ("layers from manifest don't match image configuration", UserError),
        ("no matching manifest for linux/amd64 in the manifest list entries", UserError),
        ("failed to register layer: ApplyLayer exit status 1: breakout attempt detected", UserError),
        ("failed to register layer: write /x: no space left on device", RetryableError),
        ("manifest unknown", RetryableError),
        ("unauthorized: this key is not valid", RetryableError),
        ("Get http://registry.test/v2/: dial tcp: connection refused", RetryableError),
    ],
)
@pytest.mark.parametrize("how", ["stream", "answer"])
def test_whose_fault_a_failed_pull_is(
    docker: Any, monkeypatch: pytest.MonkeyPatch, said: str, kind: type[Exception], how: str
) -> None:
    docker.says = [{"error": said}]
    if how == "answer":

        def refuse(*_: Any, **__: Any) -> Any:
            raise _refuse(500, said)

        monkeypatch.setattr(docker, "pull", refuse)

    with pytest.raises(kind, match=said[:20]):
        _docker_pull.pull(docker, PULL, limit=10)


def test_another_image_than_the_one_named_is_not_run(docker: Any) -> None:
    with pytest.raises(RetryableError, match="another image"):
        _docker_pull.pull(docker, PULL, limit=10)
