"""A served submission that explains itself, asked over a real socket: what it offers, what is made of its answers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runners.channel.errors import ProtocolError
from runners.channel.listener import SOCKET_NAME, Listener
from runners.contract import Verdict
from runners.errors import ParticipantFault
from runners.models import _answers
from runners.models.base import Explains
from runners.models.served import ServedModel
from runners.spec.models import InputSpec, ResourceSpec, TaskSpec
from touchstone_client import _dial
from touchstone_client.serving import Application

TASK = TaskSpec(kind="binary", classes=("no", "yes"), positive="yes")
TABLE = InputSpec(kind="array", shape=(3,))
IMAGE = InputSpec(kind="image", shape=(3, 2, 4))


class Running:
    """A sandbox that only runs."""

    waited = 0.0
    samples_memory = False

    def poll(self) -> None:
        return None

    def wait(self, seconds: float) -> None:
        return None

    def kill(self) -> None:
        return None

    def close(self) -> None:
        return None

    def logs(self) -> bytes:
        return b""

    def peak_memory(self) -> None:
        return None


def halves(x: np.ndarray) -> np.ndarray:
    return np.full((len(x), 2), 0.5)


Serve = Callable[..., ServedModel]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    made: list[ServedModel] = []

    def run(handler: Any, spec: InputSpec = TABLE, *, trusted: bool = False) -> ServedModel:
        listener = Listener(tmp_path)
        path = str(listener.folder / SOCKET_NAME)
        threading.Thread(target=_dial.dial, args=(path, handler), kwargs={"again": 0.0}, daemon=True).start()
        model = ServedModel(
            Running(), listener, input=spec, task=TASK, resources=ResourceSpec(start=10.0),
            deadline=time.monotonic() + 20,
        )  # fmt: skip
        made.append(model)
        model.start(trusted=trusted)
        return model

    yield run
    for model in made:
        model.close()


def without_frames(application: Application) -> Any:
    """The same, over HTTP with binary tensors."""
    application._get["/v2"]["extensions"].remove("touchstone_framed")
    return application


@pytest.mark.parametrize("form", [lambda application: application, without_frames], ids=["frames", "http"])
def test_it_is_asked_for_the_class_and_only_when_it_is_wanted(serve: Serve, form: Callable[..., Any]) -> None:
    seen: list[np.ndarray] = []
    asked: list[int] = []

    def explain(x: np.ndarray, target: np.ndarray) -> np.ndarray:
        seen.append(target)
        return x * np.where(target == 1, 2.0, -2.0)[:, None]

    def predict(x: np.ndarray) -> np.ndarray:
        asked.append(len(x))
        return halves(x)

    model = serve(form(Application(predict, explain=explain)))
    x = np.random.default_rng(0).normal(size=(150, 3)).astype(np.float32)
    assert model.predict(x).shape == (150, 2)
    assert seen == []
    assert model.access == {"queries", "explanations"}
    assert isinstance(model, Explains)
    asked.clear()
    target = (np.arange(150) % 2).astype(np.int64)
    found = model.explain(x, target)
    np.testing.assert_allclose(found, x * np.where(target == 1, 2.0, -2.0)[:, None], rtol=1e-6)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(np.concatenate(seen), target)
    assert max(len(part) for part in seen) <= 64
    assert asked == []
    assert model.queries == 300
    assert model.explain(x[:0], target[:0]).shape == (0, 3)


@pytest.mark.parametrize(("pixels", "shape"), [(False, (5, 3, 2, 4)), (True, (5, 1, 2, 4))])
def test_pixels_of_an_image_may_have_one_number_for_all_channels(
    serve: Serve, pixels: bool, shape: tuple[int, ...]
) -> None:
    model = serve(Application(halves, explain=lambda x, _target: x.sum(axis=1) if pixels else x, pixels=pixels), IMAGE)
    x = np.random.default_rng(0).random((5, 3, 2, 4)).astype(np.float32)
    found = model.explain(x, np.zeros(5, np.int64))
    assert found.shape == shape
    np.testing.assert_allclose(found.sum(axis=1), x.sum(axis=1), rtol=1e-6)


@pytest.mark.parametrize(
    ("explain", "message"),
    [
        (lambda x, _target: x[:, :2], r"shape \[4, 2\], expected \[4, 3\]"),
        (lambda x, _target: x[:3], "shape"),
        (lambda x, _target: np.where(x > 0, np.nan, x), "not finite"),
        (lambda x, _target: np.full(x.shape, np.inf), "not finite"),
        # Sums of their squares overflow, and the metrics would leave out just those items.
        (lambda x, _target: np.full(x.shape, -1e200), "larger than 1e"),
        (lambda x, _target: np.ones((len(x), 10**6)), "too large"),
        (lambda x, _target: 1 / 0, "status 500"),
        (lambda x, _target: np.array([["a"] * 3] * len(x)), "status 500"),
    ],
)
def test_what_it_answers_is_checked(serve: Serve, explain: Any, message: str) -> None:
    model = serve(Application(halves, explain=explain))
    with pytest.raises(ParticipantFault, match=message) as caught:
        model.explain(np.ones((4, 3), np.float32), np.zeros(4, np.int64))
    assert caught.value.verdict in (Verdict.INVALID_OUTPUT, Verdict.OUTPUT_LIMIT, Verdict.CRASH)


def test_who_offers_none_says_why(serve: Serve) -> None:
    plain, platforms = serve(Application(halves)), serve(Application(halves, explain=lambda x, _t: x), trusted=True)
    for model, reason in ((plain, "attribution"), (platforms, "platform")):
        assert "explanations" not in model.access
        assert reason in model.reasons["explanations"]
        with pytest.raises(NotImplementedError, match=reason):
            model.explain(np.ones((4, 3), np.float32), np.zeros(4, np.int64))


@pytest.mark.parametrize(
    ("spec", "outputs", "shape"),
    [
        (IMAGE, [{"name": "y"}, {"name": "attribution", "shape": [-1, 2, 4]}], (2, 4)),
        (IMAGE, [{"name": "y"}, {"name": "attribution", "shape": [-1, 3, 2, 4]}], (3, 2, 4)),
        (IMAGE, [{"name": "y"}, {"name": "other"}, {"name": "attribution"}], (3, 2, 4)),
        (InputSpec(kind="array", shape=(5, 2)), [{"name": "y"}, {"name": "attribution", "shape": [-1, 5]}], (5, 2)),
        (TABLE, [{"name": "attribution", "shape": [-1, 3]}], None),
        (TABLE, [{"name": "y"}, "attribution"], None),
        (TABLE, None, None),
    ],
)
def test_what_the_metadata_offer(spec: InputSpec, outputs: Any, shape: tuple[int, ...] | None) -> None:
    """The first output is the answer itself, whatever its name."""
    assert _answers.attribution_shape({"outputs": outputs}, spec) == shape


def test_attributions_are_numbers() -> None:
    with pytest.raises(ProtocolError, match="not finite"):
        _answers.attributions(np.array([[1.0, np.nan]]), shape=(2,))
    assert _answers.attributions(np.ones((2, 5), np.float32), shape=(5,)).dtype == np.float64
