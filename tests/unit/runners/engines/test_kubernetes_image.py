"""What the Kubernetes engine asks a registry before an image runs: against one that speaks the protocol."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from runners.contract import IMAGE_PULL, ImagePull
from runners.engines._kubernetes_settings import Settings
from runners.engines.kubernetes import KubernetesEngine
from runners.errors import ParticipantFault, RetryableError
from runners.spec.images import IMAGE_TYPES, INDEX_TYPES

REPOSITORY, KEY = "comp/ada/model", ("run", "secret")


class Registry:
    """Gives what was put into it to who shows a token, and a token to who shows the key. `open`: gives it to all."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.open = False
        handler = type("Handler", (_Handler,), {"registry": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def put(self, content: Any) -> dict[str, Any]:
        """A descriptor of it."""
        raw = json.dumps(content).encode()
        digest = f"sha256:{hashlib.sha256(raw).hexdigest()}"
        self.kept[digest] = raw
        return {"digest": digest, "size": len(raw)}

    def image(self, **settings: Any) -> dict[str, Any]:
        config = self.put({"architecture": "amd64", "os": "linux", "config": settings or None})
        return self.put({"schemaVersion": 2, "mediaType": IMAGE_TYPES[0], "config": config, "layers": []})

    def pull(self, part: dict[str, Any], *, key: tuple[str, str] = KEY) -> ImagePull:
        return ImagePull(
            reference=f"{self.host}/{REPOSITORY}@{part['digest']}", username=key[0], password=key[1]
        )  # fmt: skip

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    registry: Registry

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        said = self.headers.get("Authorization", "")
        if path == "/token":
            good = said == f"Basic {base64.b64encode(':'.join(KEY).encode()).decode()}"
            asked = f"service=images&scope=repository%3A{REPOSITORY.replace('/', '%2F')}%3Apull"
            self._answer(200 if good and query == asked else 401, b'{"token": "t"}')
        elif not self.registry.open and said != "Bearer t":
            realm = f'Bearer realm="http://{self.registry.host}/token",service="images"'
            self._answer(401, b"", {"WWW-Authenticate": realm})
        elif path == "/v2/":
            self._answer(200, b"{}")
        else:
            found = self.registry.kept.get(path.rpartition("/")[2]) if path.startswith(f"/v2/{REPOSITORY}/") else None
            self._answer(404 if found is None else 200, found or b"")

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def registry() -> Iterator[Registry]:
    made = Registry()
    yield made
    made.close()


@pytest.fixture
def engine() -> Iterator[KubernetesEngine]:
    given = {"URL": "http://127.0.0.1:1", "RUNTIME": "registry.test/runtime:1"}
    made = KubernetesEngine(Settings.read({f"TOUCHSTONE_KUBERNETES_{key}": value for key, value in given.items()}))
    yield made
    made.close()


@pytest.mark.parametrize("is_open", [False, True])
@pytest.mark.parametrize("settings", [{}, {"Volumes": None, "Labels": {"org.touchstone.model": "m"}}], ids=["", "full"])
def test_an_image_that_asks_for_nothing_is_taken(
    engine: KubernetesEngine, registry: Registry, settings: dict[str, Any], is_open: bool
) -> None:
    registry.open = is_open
    pull = registry.pull(registry.image(**settings), key=("", "") if is_open else KEY)
    assert engine.pull_image(pull, limit=1) == pull.reference


def test_an_image_with_volumes_is_refused(engine: KubernetesEngine, registry: Registry) -> None:
    """As by Docker's engine: they would be writable folders of the cluster's node."""
    with pytest.raises(ParticipantFault, match=r"declares volumes \(/data\)") as caught:
        engine.pull_image(registry.pull(registry.image(Volumes={"/data": {}})), limit=1)
    assert caught.value.code == "image_volumes"


def test_a_server_that_listens_is_no_fault_of_the_participant_s(engine: KubernetesEngine, registry: Registry) -> None:
    """It would never dial, and be charged the time it has to start."""
    with pytest.raises(RetryableError, match=r"org\.touchstone\.port.*docker engine") as caught:
        engine.pull_image(registry.pull(registry.image(Labels={"org.touchstone.port": "8000"})), limit=1)
    assert caught.value.code == "no_bridge"


def test_each_platform_of_an_image_is_looked_at(engine: KubernetesEngine, registry: Registry) -> None:
    """Which of them runs, the cluster decides."""
    parts = [registry.image(), registry.image(Volumes={"/data": {}})]
    listed = registry.put({"schemaVersion": 2, "mediaType": INDEX_TYPES[0], "manifests": parts})
    with pytest.raises(ParticipantFault, match="declares volumes"):
        engine.pull_image(registry.pull(listed), limit=1)
    listed = registry.put({"schemaVersion": 2, "mediaType": INDEX_TYPES[0], "manifests": parts[:1]})
    engine.pull_image(registry.pull(listed), limit=1)


NONSENSE: list[Any] = [[], {}, {"config": {}}, {"config": {"digest": f"sha256:{'0' * 64}"}}, {"manifests": [{}] * 33}]


@pytest.mark.parametrize("content", NONSENSE, ids=str)
def test_what_cannot_be_read_is_not_run(engine: KubernetesEngine, registry: Registry, content: Any) -> None:
    with pytest.raises(RetryableError, match="cannot read from the registry") as caught:
        engine.pull_image(registry.pull(registry.put(content)), limit=1)
    assert caught.value.code == IMAGE_PULL


def test_a_registry_that_is_away_or_knows_no_key_is_the_platform_s_fault(
    engine: KubernetesEngine, registry: Registry
) -> None:
    good = registry.image()
    forged = {"digest": f"sha256:{'1' * 64}"}
    registry.kept[forged["digest"]] = registry.kept[good["digest"]]
    away = ImagePull(reference=f"127.0.0.1:1/{REPOSITORY}@{good['digest']}")
    for pull in (registry.pull(good, key=("run", "wrong")), registry.pull(forged), away):
        with pytest.raises(RetryableError) as caught:
            engine.pull_image(pull, limit=1)
        assert caught.value.code == IMAGE_PULL
        assert "wrong" not in caught.value.message
