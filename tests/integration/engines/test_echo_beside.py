"""An echo beside a submission in a real sandbox: what it costs, whom it is charged to; and items of other sizes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from runners.context import MetricContext
from runners.engines.base import Engine
from runners.engines.bubblewrap import BubblewrapEngine
from runners.measure import measure
from runners.models.base import NoEcho, SizeRefused
from runners.models.echo import open_echo
from runners.models.opening import open_model
from runners.models.served import ServedModel
from runners.spec.models import InputSpec, ResourceSpec, SizesSpec, TaskSpec

INPUT = InputSpec(kind="array", shape=(8, 2), sizes=SizesSpec(axes=(0,), least=4, most=512))
TASK = TaskSpec(kind="multiclass", classes=("a", "b", "c"))
RESOURCES = ResourceSpec(memory=2**29, start=20.0)
#: Attention over the positions of an item: every position with every other.
ATTENTION = """
import numpy as np, time
from touchstone_client import serve
def predict(x):
    if x.shape[1] > 400: raise ValueError("at most 400 tokens")
    wide = np.repeat(x, 32, axis=2)
    for _ in range(4): wide = np.tanh(wide @ wide.transpose(0, 2, 1) @ wide / x.shape[1])
    time.sleep(0.004)
    return np.full((len(x), 3), 1 / 3)
serve(predict)
"""


@pytest.fixture(params=["bubblewrap", pytest.param("docker", marks=pytest.mark.docker)])
def engine(request: pytest.FixtureRequest) -> Engine:
    return BubblewrapEngine() if request.param == "bubblewrap" else request.getfixturevalue("docker_engine")


@pytest.fixture
def served(engine: Engine, run_name: str, tmp_path: Path) -> Iterator[ServedModel]:
    folder = tmp_path / "submission"
    folder.mkdir()
    (folder / "main.py").write_text(ATTENTION)
    with open_model(
        engine, kind="code", folder=folder, input=INPUT, task=TASK, resources=RESOURCES, run=run_name, attempt=1,
        workdir=tmp_path, deadline=time.monotonic() + 60, reserve=30.0,
    ) as model:  # fmt: skip
        yield model


def test_an_echo_is_asked_beside_the_submission_and_charged_to_nobody(
    engine: Engine, served: ServedModel, run_name: str, tmp_path: Path
) -> None:
    left, began = served.remaining(), time.monotonic()
    x = np.random.default_rng(0).random((40, 8, 2)).astype(np.float32)
    own = {"input": INPUT, "task": TASK, "resources": RESOURCES, "run": run_name, "attempt": 1, "workdir": tmp_path}
    ctx = MetricContext(
        task=TASK, ids=np.arange(40).astype(object), labels=np.zeros(40, np.int64), input=INPUT, inputs=x,
        model=served, echo=lambda: open_echo(engine, served, **own), remaining=served.remaining,
    )  # fmt: skip
    peak = served.peak_memory()
    found = {r.key: r for r in measure("efficiency.latency", "l", {"repeats": 40, "batch_sizes": [1, 8]}, ctx)}

    assert found["l.net"].state == "ok", found["l.net"].reason
    assert found["l.net"].value > 4  # it sleeps so long
    assert 0 < found["l.overhead"].value < found["l.net"].value
    assert found["l"].value == pytest.approx(found["l.net"].value + found["l.overhead"].value)
    assert served.queries == 9 * 50
    # What the echo took was given back, and what the submission took was not.
    charged, took = left - served.remaining(), time.monotonic() - began
    assert charged < took - 0.05
    assert charged > 40 * 2 * 0.004
    assert served.reserve < 30.0
    assert not list(tmp_path.glob("echo-*"))
    if peak is not None:
        assert (served.peak_memory() or 0) < peak + 64 * 2**20  # another interpreter would take as much by itself


def test_an_echo_ends_with_its_time(engine: Engine, served: ServedModel, run_name: str, tmp_path: Path) -> None:
    own = {"input": INPUT, "task": TASK, "resources": RESOURCES, "run": run_name, "attempt": 1, "workdir": tmp_path}
    served.reserve = 0.0
    with pytest.raises(NoEcho, match="all of the time"), open_echo(engine, served, **own):
        pass
    served.reserve = 3.0
    with open_echo(engine, served, **own) as echo:
        assert echo.predict(np.zeros((2, 8, 2), np.float32)).shape == (2, 3)
        time.sleep(3.1)
        with pytest.raises(NoEcho, match="did not answer"):
            echo.predict(np.zeros((2, 8, 2), np.float32))
    assert served.predict(np.zeros((1, 8, 2), np.float32)).shape == (1, 3)


def test_items_of_other_sizes(served: ServedModel) -> None:
    assert served.predict(np.zeros((3, 300, 2), np.float32)).shape == (3, 3)
    with pytest.raises(SizeRefused, match=r"\[512, 2\] were refused: .*at most 400 tokens"):
        served.predict(np.zeros((1, 512, 2), np.float32))
    with pytest.raises(ValueError, match="expected"):
        served.predict(np.zeros((1, 513, 2), np.float32))
    assert served.predict(np.zeros((20, 8, 2), np.float32)).shape == (20, 3)  # it goes on as if nothing had been


def test_attention_is_seen_to_grow_with_the_context(served: ServedModel) -> None:
    """What the machine does meanwhile decides whether it can be told; a wrong answer it must not be."""
    x = np.random.default_rng(0).random((10, 8, 2)).astype(np.float32)
    ctx = MetricContext(
        task=TASK, ids=np.arange(10).astype(object), labels=np.zeros(10, np.int64), input=INPUT, inputs=x,
        model=served, remaining=served.remaining,
    )  # fmt: skip
    (found,) = measure("efficiency.time_complexity", "t", {"over": "input", "seconds": 10, "repeats": 5}, ctx)
    assert "at most 400 tokens" in found.details["refused"]["512"]
    assert found.value is None or found.high is None or found.high > 1.0
    assert max(point["n"] for point in found.details["points"]) <= 400
