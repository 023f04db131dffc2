"""Images of servers that listen on TCP, without Python or anything else of ours in them."""

from __future__ import annotations

import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from runners.contract import Verdict
from runners.engines.docker import DockerEngine
from runners.errors import ParticipantFault
from runners.models.opening import open_model
from runners.models.served import ServedModel
from runners.spec.models import InputSpec, ResourceSpec, TaskSpec
from tests.conftest import need

pytestmark = pytest.mark.docker
SOURCE = Path(__file__).with_name("tiny_server.c")
INPUT = InputSpec(kind="array", shape=(3,), range=(-10.0, 10.0))
TASK = TaskSpec(kind="multiclass", classes=("a", "b"))
Open = Callable[..., ServedModel]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the server and nothing else."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    need(compiler is not None, "a C compiler", switch="REQUIRE_DOCKER")
    folder = tmp_path_factory.mktemp("tiny")
    subprocess.run([str(compiler), "-static", "-O2", "-o", str(folder / "server"), str(SOURCE)], check=True)
    return folder


@pytest.fixture
def opened(docker_engine: DockerEngine, tiny: Path, tmp_path: Path, run_name: str) -> Iterator[Open]:
    """Open a container of an image of a Dockerfile's last lines, built from nothing."""
    with ExitStack() as stack:

        def run(*lines: str) -> ServedModel:
            tag = f"touchstone-test/{uuid.uuid4().hex[:12]}:1"
            text = "\n".join(["FROM scratch", "COPY server /server", *lines])
            argv = ["docker", "build", "--quiet", "--network", "none", "--tag", tag, "--file", "-", str(tiny)]
            image = subprocess.run(argv, input=text, capture_output=True, text=True, check=True).stdout.strip()
            stack.callback(subprocess.run, ["docker", "image", "rm", "--force", tag], check=True, capture_output=True)
            model = open_model(
                docker_engine, kind="container", image=image, input=INPUT, task=TASK,
                resources=ResourceSpec(memory=2**26, start=15.0), run=run_name, attempt=1, workdir=tmp_path,
                deadline=time.monotonic() + 40,
            )  # fmt: skip
            return stack.enter_context(model)

        yield run


def test_a_server_in_an_otherwise_empty_image_is_asked(opened: Open) -> None:
    model = opened('ENTRYPOINT ["/server"]', 'CMD ["8000"]', "LABEL org.touchstone.port=8000 org.touchstone.model=tiny")
    for _ in range(2):
        found = model.predict(np.zeros((40, 3), np.float32))
        np.testing.assert_array_equal(found, np.tile([0.25, 0.75], (40, 1)))
    assert model.queries == 80
    assert model.exit() is None


BROKEN = [
    (
        ("/server", "8000"),
        "org.touchstone.port=http",
        "org.touchstone.port is 'http', which is no port",
    ),
    (("/server", "8000"), "org.touchstone.port=8000 org.touchstone.model=a/b", "which is no name of a model"),
    (("/missing",), "org.touchstone.port=8000 org.touchstone.model=tiny", "exit code 127"),
    (("/server", "9000"), "org.touchstone.port=8000 org.touchstone.model=tiny", "not ready 15 s"),
    (("/server", "8000"), "org.touchstone.port=8000 org.touchstone.model=other", "answered status 404"),
]


@pytest.mark.parametrize(("command", "labels", "text"), BROKEN, ids=["port", "name", "command", "silent", "model"])
def test_what_is_wrong_is_told(opened: Open, command: tuple[str, ...], labels: str, text: str) -> None:
    with pytest.raises(ParticipantFault, match=text) as caught:
        opened(f"CMD [{', '.join(repr(word) for word in command)}]".replace("'", '"'), f"LABEL {labels}")
    assert caught.value.verdict in (Verdict.CRASH, Verdict.TIMEOUT, Verdict.INVALID_OUTPUT)
    assert caught.value.hint
