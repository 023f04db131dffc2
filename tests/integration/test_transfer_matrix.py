"""Transferred examples through the whole stack: surrogates of the organiser, and a matrix between submissions."""

from __future__ import annotations

import io
import json
import time
import zipfile
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import pytest
from livekit import Live, ended, push, scores
from onnx import TensorProto, helper, numpy_helper

from runners.metrics.robustness.crafting import craft, order_of
from runners.spec.models import TaskSpec
from tests.factories.runner_models import NetModel, digits, model_context

ITEMS = 80
ATTACK = {"attack": "pgd", "eps": 0.1, "onward": 5, "steps": 5, "restarts": 0, "bisections": 0}
CLASSES = [f"d{k}" for k in range(10)]
PIXELS = [f"p{k}" for k in range(64)]


def _onnx(model: NetModel) -> bytes:
    """The network as an ONNX file."""
    nodes, weights, last = [], [], "x"
    for k, (w, b) in enumerate(zip(model.weights, model.biases, strict=True)):
        weights += [numpy_helper.from_array(np.asarray(a, np.float32), f"{n}{k}") for n, a in (("w", w), ("b", b))]
        nodes.append(helper.make_node("Gemm", [last, f"w{k}", f"b{k}"], [f"z{k}"]))
        last = f"z{k}"
        if k + 1 < len(model.weights):
            nodes.append(helper.make_node("Relu", [last], [f"h{k}"]))
            last = f"h{k}"
    nodes.append(helper.make_node("Softmax", [last], ["y"], axis=1))
    graph = helper.make_graph(
        nodes, "net", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 10])], weights,
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(made)
    return made.SerializeToString()


def _linear(x: np.ndarray, y: np.ndarray) -> NetModel:
    """Least squares on the digits: one layer."""
    solved = np.linalg.lstsq(np.column_stack([x, np.ones(len(x))]), 5.0 * np.eye(10)[y], rcond=1e-3)[0]
    return NetModel([solved[:-1]], [solved[-1]])


@pytest.fixture(scope="module")
def world() -> tuple[dict[str, NetModel], np.ndarray, np.ndarray]:
    """Two linear models of other data each, a network, and items that none has seen."""
    net, x, y = digits()
    half = (len(x) - ITEMS) // 2
    models = {"first": _linear(x[:half], y[:half]), "second": _linear(x[half:-ITEMS], y[half:-ITEMS]), "net": net}
    return models, x[-ITEMS:].astype(np.float32), y[-ITEMS:]


def _bundle(folder: Path, x: np.ndarray, y: np.ndarray, surrogate: bytes) -> Path:
    transfer = {"use": "robustness.transfer", "as": "moved", "surrogates": ["near"], **ATTACK}
    spec = {
        "touchstone": 1, "slug": f"digits-{time.time_ns():x}", "title": "Digits",
        "task": {"kind": "multiclass", "classes": CLASSES},
        "input": {"kind": "tabular", "shape": [64], "features": PIXELS, "range": [0, 1]},
        "data": {"test": {"path": "data/test", "visibility": "hidden"}}, "surrogates": {"near": "models/near.onnx"},
        "submission": {"kinds": ["model", "code"], "resources": {"memory": "512MiB", "time": "60s", "start": "60s"}},
        "phases": [{"slug": "open", "split": "test", "opens": "2026-01-01T00:00Z"}],
        "metrics": [{"use": "performance.accuracy"}, transfer],
        "leaderboards": [{"slug": "main", "rank_by": "moved.accuracy[source=near]"}],
    }  # fmt: skip
    (folder / "data" / "test").mkdir(parents=True)
    (folder / "models").mkdir()
    (folder / "models" / "near.onnx").write_bytes(surrogate)
    (folder / "competition.yml").write_text(json.dumps(spec))
    rows = [",".join([f"i{k}", *map(str, row)]) for k, row in enumerate(x.tolist())]
    (folder / "data" / "test" / "inputs.csv").write_text("\n".join([",".join(["id", *PIXELS]), *rows]) + "\n")
    labels = [f"i{k},{CLASSES[label]}" for k, label in enumerate(y)]
    (folder / "data" / "test" / "labels.csv").write_text("\n".join(["id,label", *labels]) + "\n")
    return folder


def _code(model: NetModel) -> bytes:
    """A one-layer model as a `code` submission: its weights are nobody's to differentiate."""
    buffer = io.BytesIO()
    weights = io.BytesIO()
    np.savez(weights, w=model.weights[0], b=model.biases[0])
    main = (
        "import numpy as np\nfrom touchstone_client import serve\nf = np.load('weights.npz')\n\n\ndef predict(x):\n"
        "    z = x.astype('f8') @ f['w'] + f['b']\n    e = np.exp(z - z.max(axis=1, keepdims=True))\n"
        "    return e / e.sum(axis=1, keepdims=True)\n\n\nserve(predict)\n"
    )
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("main.py", main)
        archive.writestr("weights.npz", weights.getvalue())
    return buffer.getvalue()


def _moved(models: dict[str, NetModel], x: np.ndarray, y: np.ndarray, source: str, target: str) -> float:
    """Accuracy of one model on the examples of another, both in this process."""
    ctx = model_context(models[target], x, y, task=TaskSpec(kind="multiclass", classes=tuple(CLASSES)))
    order = order_of({**ATTACK, "norm": "linf", "items": None, "draw": 0})
    made = craft(ctx, models[source], order)
    return float((models[target].predict(made.x).argmax(axis=1) == y).mean())


def test_examples_move_between_submissions(live: Live, sandbox: str, tmp_path: Path, world: Any) -> None:
    models, x, y = world
    organiser = live.person("organiser", organise=True)
    slug = push(organiser, _bundle(tmp_path / "bundle", x, y, _onnx(models["first"]))).competition

    sent = {}
    for name, kind, data in [
        *((name, "model", _onnx(model)) for name, model in models.items()), ("copy", "code", _code(models["first"]))
    ]:  # fmt: skip
        client = live.person()
        client.join(slug, accept_terms=True, display_name=name)
        file = tmp_path / (f"{name}.onnx" if kind == "model" else f"{name}.zip")
        file.write_bytes(data)
        sent[name] = (client, client.submit(slug, "open", file, kind=kind))
    found = {}
    for name, (client, submission) in sent.items():
        done = ended(client, submission)
        assert done.status == "scored", done.explanation
        found[name] = scores(client, done)

    # The organiser's surrogate is the first model: to it, and to the code that is the same, it is white-box.
    for name, model in models.items():
        clean = float((model.predict(x).argmax(axis=1) == y).mean())
        assert found[name]["moved.clean_accuracy"] == pytest.approx(clean, abs=0.001), name
        assert found[name]["moved.accuracy[source=near]"] == pytest.approx(
            _moved(models, x, y, "first", name), abs=0.026
        ), name
    assert found["first"]["moved.accuracy[source=near]"] == found["first"]["moved.source_accuracy[source=near]"]
    assert found["first"]["moved.transfer_rate[source=near]"] == 1.0
    assert found["copy"]["moved.accuracy[source=near]"] == found["first"]["moved.accuracy[source=near]"]
    assert found["net"]["moved.accuracy[source=near]"] > found["first"]["moved.accuracy[source=near]"]
    board = [(row.participant, row.rank) for row in organiser.leaderboard(slug, "open", "main").rows]

    matrix = _asked(live, slug)
    names = [column["participant"] for column in matrix["columns"]]
    assert (matrix["state"], sorted(names)) == ("done", ["copy", "first", "net", "second"])
    assert [row["participant"] for row in matrix["rows"]] == [name for name in names if name != "copy"]
    for column in matrix["columns"]:
        target = "first" if column["participant"] == "copy" else column["participant"]
        for row, cell in zip(matrix["rows"], column["accuracy"], strict=True):
            assert (cell["state"], cell["reason"]) == ("ok", "")
            assert cell["value"] == pytest.approx(_moved(models, x, y, row["participant"], target), abs=0.026)
            assert cell["own"] == (row["submission"] == column["submission"])
            assert cell["low"] < cell["value"] < cell["high"] or cell["value"] in (0.0, 1.0)
            assert cell["value"] <= column["clean"]["value"]
        assert column["worst"]["value"] <= min(cell["value"] for cell in column["accuracy"])
    assert [(row.participant, row.rank) for row in organiser.leaderboard(slug, "open", "main").rows] == board
    assert {s.id for s in organiser.submissions(slug)} <= {submission.id for _, submission in sent.values()}


def _asked(live: Live, slug: str) -> dict[str, Any]:
    """A matrix of the best entries, when it is done."""
    headers = {"Authorization": f"Bearer {live.tokens['organiser']}"}
    with httpx.Client(base_url=live.stack.url, headers=headers, timeout=30) as client:
        path = f"/api/v1/competitions/{slug}/phases/open/transfer-matrices"
        asked = client.post(path, json={"parameters": ATTACK})
        assert asked.status_code == 201, asked.text
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            matrix: dict[str, Any] = client.get(f"/api/v1/transfer-matrices/{asked.json()['id']}").json()
            if matrix["state"] != "running":
                return matrix
            time.sleep(0.2)
    pytest.fail(f"the matrix is still running: {matrix['ended']} of {matrix['total']}")
