"""Submissions in real sandboxes: honest ones are asked, broken and hostile ones get the right verdict."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from runners.contract import Verdict
from runners.engines.base import Engine
from runners.engines.bubblewrap import BubblewrapEngine
from runners.errors import ParticipantFault
from runners.models.base import can_pull
from runners.models.opening import open_model
from runners.models.served import ServedModel
from runners.spec.models import InputSpec, ResourceSpec, TaskSpec
from tests.conftest import need

Open = Callable[..., ServedModel]
INPUT = InputSpec(kind="array", shape=(3,), range=(-10.0, 10.0))
TASK = TaskSpec(kind="multiclass", classes=("a", "b", "c", "d"))
RNG = np.random.default_rng(3)
SERVE = "import numpy as np, os, sys, time\nfrom touchstone_client import serve\n"


@pytest.fixture(params=["bubblewrap", pytest.param("docker", marks=pytest.mark.docker)])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each engine at its best."""
    return BubblewrapEngine() if request.param == "bubblewrap" else request.getfixturevalue("docker_engine")


@pytest.fixture
def opened(engine: Engine, run_name: str, tmp_path: Path) -> Iterator[Open]:
    made: list[ServedModel] = []

    def run(
        content: str | bytes, *, seconds: float = 30.0, output: str = "probabilities", **resources: object
    ) -> ServedModel:
        folder = tmp_path / f"submission-{len(made)}"
        folder.mkdir()
        kind, name = ("code", "main.py") if isinstance(content, str) else ("model", "model.onnx")
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
        model = open_model(
            engine, kind=kind, folder=folder, input=INPUT.model_copy(update={"output": output}), task=TASK,
            resources=ResourceSpec(**{"memory": 2**29, "start": 20.0, **resources}), run=run_name, attempt=1,
            workdir=tmp_path, deadline=time.monotonic() + seconds,
        )  # fmt: skip
        made.append(model)
        return model

    yield run
    for model in made:
        model.close()


def _x(n: int) -> np.ndarray:
    return RNG.normal(size=(n, 3)).astype(np.float32)


def test_code_is_asked_in_batches_and_leaves_nothing(opened: Open, tmp_path: Path) -> None:
    code = SERVE + (
        "calls = []\n"
        "def predict(x):\n"
        "    calls.append(len(x)); print(len(x), x.dtype, flush=True)\n"
        "    y = np.abs(x[:, [0, 1, 2, 0]]) + 1; return y / y.sum(1, keepdims=True)\n"
        "serve(predict)"
    )
    with opened(code) as model:
        x = _x(600)
        found = model.predict(x)
        expected = np.abs(x[:, [0, 1, 2, 0]].astype(np.float64)) + 1
        np.testing.assert_allclose(found, expected / expected.sum(1, keepdims=True), rtol=1e-5)
        assert found.sum(1) == pytest.approx(np.ones(600), abs=1e-12)
        assert model.predict(x[:0]).shape == (0, 4)
        assert model.queries == 600
        assert model.access == {"queries"}
        assert model.offer == {}  # what code says of itself is not taken
        assert "model" in model.reasons["gradients"]
        with pytest.raises(NotImplementedError):
            model.gradient(x, np.zeros(600, np.int64))
        assert (model.peak_memory() or 0) > 2**20
        assert model.exit() is None
    asked = [line.split() for line in model.logs().splitlines()]
    sizes = [int(size) for size, _ in asked]
    assert {kind for _, kind in asked} == {b"float32"}
    assert (sum(sizes), len(sizes)) == (600, model.calls)
    assert sizes[0] == 16
    assert all(after <= 2 * before for before, after in pairwise(sizes))
    assert max(sizes) <= 256
    assert not list(tmp_path.glob("channel-*"))


def test_logits_become_probabilities(opened: Open) -> None:
    model = opened(SERVE + "serve(lambda x: x[:, [0, 1, 2, 0]] * 100)", output="logits")
    x = _x(5)
    z = x[:, [0, 1, 2, 0]].astype(np.float64) * 100
    expected = np.exp(z - z.max(1, keepdims=True))
    np.testing.assert_allclose(model.predict(x), expected / expected.sum(1, keepdims=True), atol=1e-4)


GOOD = "y = np.full((len(x), 4), 0.25); "
#: name, body of predict on its third call, verdict, part of the message
BROKEN = [
    ("wrong-shape", "return y[:, :3]", Verdict.INVALID_OUTPUT, r"shape \[2, 3\], expected \[2, 4\]"),
    ("one-column", "return y[:, 0]", Verdict.INVALID_OUTPUT, r"shape \[2\]"),
    ("one-row-less", "return y[1:]", Verdict.INVALID_OUTPUT, r"shape \[1, 4\]"),
    ("nan", "y[1, 2] = np.nan; return y", Verdict.INVALID_OUTPUT, "item 5 is not finite"),
    ("infinite", "y[0, 0] = np.inf; return y", Verdict.INVALID_OUTPUT, "item 4 is not finite"),
    ("sum", "return y * 1.1", Verdict.INVALID_OUTPUT, "does not sum to 1"),
    ("negative", "y[:, 0] = -0.5; y[:, 1] = 1.0; return y", Verdict.INVALID_OUTPUT, "outside"),
    ("exception", "raise ValueError('secret of the input')", Verdict.CRASH, "status 500"),
    ("exit", "os._exit(7)", Verdict.CRASH, "exit code 7"),
    ("exit-zero", "os._exit(0)", Verdict.CRASH, "exit code 0"),
    ("signal", "os.kill(os.getpid(), 11)", Verdict.CRASH, "SIGSEGV"),
    ("memory", "a = np.ones(2**28); return y", Verdict.MEMORY, "512 MiB"),
    ("hang", "time.sleep(60)", Verdict.TIMEOUT, "did not finish"),
    ("huge", "return np.zeros((len(x), 10**6))", Verdict.OUTPUT_LIMIT, "too large"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "verdict", "message"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN])
def test_what_goes_wrong_half_way(opened: Open, body: str, verdict: Verdict, message: str) -> None:
    predict = f"n = 0\ndef predict(x):\n    global n; n += 1; {GOOD}\n    if n < 3: return y\n    {body}\n"
    seconds = 5.0 if verdict is Verdict.TIMEOUT else 40.0  # a busy host takes its time to refuse memory
    model = opened(f"{SERVE}{predict}serve(predict)", seconds=seconds)
    x = _x(2)
    model.predict(x)
    model.predict(x)
    with pytest.raises(ParticipantFault, match=message) as caught:
        model.predict(x)
    assert caught.value.verdict is verdict
    assert caught.value.hint
    assert "secret" not in caught.value.message


DIAL = "import socket; s = socket.socket(socket.AF_UNIX); s.connect(os.environ['TOUCHSTONE_SOCKET'])\n"
STORM = (
    "import socket\nkept = []\nwhile True:\n    s = socket.socket(socket.AF_UNIX); s.settimeout(0.1)\n"
    "    try: s.connect(os.environ['TOUCHSTONE_SOCKET']); kept.append(s)\n    except OSError: pass"
)
STILLBORN = [
    ("exits", "print('no weights here'); sys.exit(3)", Verdict.CRASH, "exit code 3", "no weights here"),
    ("imports", "import no_such_module", Verdict.CRASH, "exit code 1", "No module named 'no_such_module'"),
    ("never-dials", "print('loading'); time.sleep(60)", Verdict.TIMEOUT, "not ready 2 s", "loading"),
    ("memory", "a = np.ones(2**28)", Verdict.MEMORY, "512 MiB", ""),
    (
        "dials-and-hangs",
        DIAL + "time.sleep(60)",
        Verdict.TIMEOUT, "not ready", "",
    ),
    (
        "speaks-something-else",
        DIAL + "s.recv(9); s.sendall(b'SSH-2.0-x\\r\\n\\r\\n'); time.sleep(60)",
        Verdict.INVALID_OUTPUT, "does not begin with an HTTP status line", "",
    ),
    (
        "hangs-up",
        DIAL + "s.recv(9); s.close(); time.sleep(60)",
        Verdict.CRASH, "hung up while starting", "",
    ),
    ("exits-as-if-well", "sys.exit(0)", Verdict.CRASH, "exit code 0", "Its log is empty"),
    (
        "byte-by-byte",
        DIAL + "s.recv(99)\nfor b in b'HTTP/1.1 200 OK\\r\\nX: ' + b'a' * 9999: s.send(bytes([b])); time.sleep(0.05)",
        Verdict.TIMEOUT, "not ready", "",
    ),
    (
        "dials-again-and-again",
        STORM,
        Verdict.TIMEOUT, "not ready", "",
    ),
    (
        "endless-interim-answers",
        DIAL + "s.recv(99)\nwhile True: s.sendall(b'HTTP/1.1 102 Processing\\r\\n\\r\\n' * 1000)",
        Verdict.INVALID_OUTPUT, "no Content-Length", "",
    ),
    (
        "endless-trailer",
        DIAL + "s.recv(99); s.sendall(b'HTTP/1.1 200 OK\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n0\\r\\n')\n"
        "while True: s.sendall(b'A: b\\r\\n' * 1000)",
        Verdict.TIMEOUT, "not ready", "",
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "verdict", "message", "log"), [row[1:] for row in STILLBORN], ids=[row[0] for row in STILLBORN]
)
def test_what_goes_wrong_at_the_start(opened: Open, body: str, verdict: Verdict, message: str, log: str) -> None:
    with pytest.raises(ParticipantFault, match=message) as caught:
        opened(SERVE + body, start=15.0 if verdict is Verdict.MEMORY else 2.0)
    assert caught.value.verdict is verdict
    assert log in caught.value.hint


def _onnx(*nodes: onnx.NodeProto, batch: object = "n", **constants: np.ndarray) -> bytes:
    graph = helper.make_graph(
        list(nodes), "g", [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [batch, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 4])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


W, B = RNG.normal(size=(3, 4)).astype(np.float32), RNG.normal(size=4).astype(np.float32)
LINEAR = helper.make_node("Gemm", ["pixels", "w", "b"], ["z"])
SOFTMAX = helper.make_node("Softmax", ["z"], ["y"], axis=-1)


def _softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


@pytest.mark.parametrize("batch", ["n", 1, 4])
def test_a_model_gives_answers_and_gradients(opened: Open, engine: Engine, batch: object) -> None:
    _needs_runtime(engine)
    model = opened(_onnx(LINEAR, SOFTMAX, w=W, b=B, batch=batch), memory=2**30)
    x, y = _x(70), RNG.integers(0, 4, 70)
    z = x.astype(np.float64) @ W + B
    p = _softmax(z)
    np.testing.assert_allclose(model.predict(x), p, atol=1e-6)
    assert model.access == {"queries", "gradients"}
    assert (model.offer["parameters"], model.offer["flops"], model.offer["uncounted"]) == (16, 24, "")
    found = model.gradient(x, y)
    np.testing.assert_allclose(found.loss, -np.log(p[np.arange(70), y]), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.gradient, (p - np.eye(4)[y]) @ W.T, atol=1e-5)
    np.testing.assert_allclose(_softmax(found.logits), p, atol=1e-6)
    margin = model.gradient(x, y, loss="margin")
    others = np.where(np.eye(4)[y] > 0, -np.inf, z)
    np.testing.assert_allclose(margin.loss, others.max(1) - z[np.arange(70), y], atol=1e-5)
    np.testing.assert_allclose(margin.gradient, (W[:, others.argmax(1)] - W[:, y]).T, atol=1e-5)
    weights = np.random.default_rng(3).normal(size=(len(x), 4))
    weights -= weights.mean(axis=1, keepdims=True)  # of log-probabilities: what all logits share is gone
    pulled = model.pull(x, weights)
    assert can_pull(model)
    np.testing.assert_allclose(pulled.loss, (weights * found.logits).sum(1), atol=1e-6)
    np.testing.assert_allclose(pulled.gradient, weights @ W.T, atol=1e-5)


def test_a_saturated_model_keeps_its_gradient(opened: Open, engine: Engine) -> None:
    _needs_runtime(engine)
    model = opened(_onnx(LINEAR, SOFTMAX, w=W * 1000, b=B), memory=2**30)
    x = _x(8)
    worst = model.predict(x).argmin(1)
    assert np.abs(model.gradient(x, worst).gradient).max(1).min() > 1.0


def test_an_answer_cannot_carry_hidden_inputs_into_the_verdict(opened: Open) -> None:
    """What was asked may be hidden: the text of a verdict is shown where a log may not be."""
    code = SERVE + (
        "import touchstone_client._oip as oip\nn = 0\n"
        "def predict(x):\n"
        "    global n; n += 1\n"
        "    if n > 1: oip.NAMES[np.dtype('float64')] = 'hidden:' + str(x[0, 0])\n"
        "    return np.full((len(x), 4), 0.25)\n"
        "serve(predict)"
    )
    model = opened(code)
    x = np.full((2, 3), 4.25, np.float32)
    model.predict(x)
    with pytest.raises(ParticipantFault, match="unknown datatype") as caught:
        model.predict(np.concatenate([x, x]))  # another shape: a head that was sent once is not made anew
    assert caught.value.verdict is Verdict.INVALID_OUTPUT
    assert "4.25" not in caught.value.message + caught.value.hint
    assert b"hidden:4.25" in model.logs()


def test_a_graph_that_asks_for_all_memory_is_told_as_memory(opened: Open, engine: Engine) -> None:
    _needs_runtime(engine)
    nodes = (
        helper.make_node("ConstantOfShape", ["shape"], ["huge"]),
        helper.make_node("ReduceMean", ["huge"], ["m"], keepdims=0),
        helper.make_node("Add", ["b", "m"], ["bias"]),
        helper.make_node("Gemm", ["pixels", "w", "bias"], ["z"]),
        SOFTMAX,
    )
    model = _onnx(*nodes, w=W, b=B, shape=np.array([10**5, 10**5]))
    with pytest.raises(ParticipantFault) as caught:
        opened(model, memory=2**30).predict(_x(2))
    assert caught.value.verdict is Verdict.MEMORY


def test_a_batch_that_is_refused_memory_is_asked_again_in_parts(opened: Open) -> None:
    code = SERVE + (
        "def predict(x):\n"
        "    if len(x) > 5: raise MemoryError('no room for %d' % len(x))\n"
        "    return np.full((len(x), 4), 0.25)\n"
        "serve(predict)"
    )
    model = opened(code)
    assert model.predict(_x(50)).shape == (50, 4)
    assert (model.queries, model.calls) == (50, 13)
    assert model.exit() is None


def test_growing_batches_stay_within_the_memory_limit(opened: Open) -> None:
    """Twelve MiB an item: 16 items fit in 512 MiB, 64 do not."""
    code = SERVE + (
        "def predict(x):\n    a = np.ones((len(x), 12 * 2**17)); return np.full((len(x), 4), 0.25)\nserve(predict)"
    )
    model = opened(code)
    model.predict(_x(300))
    assert model.exit() is None
    assert (model.peak_memory() or 0) < 2**29


def test_an_operator_without_gradient_leaves_queries(opened: Open, engine: Engine) -> None:
    _needs_runtime(engine)
    nodes = (helper.make_node("Gemm", ["pixels", "w", "b"], ["z"]), helper.make_node("Hardmax", ["z"], ["y"], axis=-1))
    model = opened(_onnx(*nodes, w=W, b=B), memory=2**30)
    assert model.access == {"queries"}
    assert "Hardmax" in model.reasons["gradients"]
    x = _x(5)
    np.testing.assert_array_equal(model.predict(x).argmax(1), (x @ W + B).argmax(1))


def test_a_truncated_model_is_the_participant_s_crash(opened: Open, engine: Engine) -> None:
    _needs_runtime(engine)
    with pytest.raises(ParticipantFault) as caught:
        opened(_onnx(LINEAR, SOFTMAX, w=W, b=B)[:-40], memory=2**30)
    assert caught.value.verdict is Verdict.CRASH
    assert "Error" in caught.value.hint


def test_the_run_s_time_is_over_before_it_starts(opened: Open) -> None:
    with pytest.raises(ParticipantFault, match="over before") as caught:
        opened(SERVE, seconds=-1.0)
    assert caught.value.verdict is Verdict.TIMEOUT


def test_a_refused_allocation_is_memory_without_cgroups(run_name: str, tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(SERVE + "serve(lambda x: np.ones((2**28, 4)))")
    with open_model(
        BubblewrapEngine(cgroups=False), kind="code", folder=tmp_path, input=INPUT, task=TASK,
        resources=ResourceSpec(memory=2**29), run=run_name, attempt=1, workdir=tmp_path, deadline=time.monotonic() + 20,
    ) as model, pytest.raises(ParticipantFault) as caught:  # fmt: skip
        model.predict(_x(1))
    assert caught.value.verdict is Verdict.MEMORY


def _needs_runtime(engine: Engine) -> None:
    if engine.name == "docker":
        need(engine.has_image("touchstone/runtime:1"), "the image touchstone/runtime:1", switch="REQUIRE_DOCKER")
