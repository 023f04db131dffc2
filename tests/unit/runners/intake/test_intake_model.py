"""ONNX files: what they take and give is compared with the competition before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from runners.intake.model import check_model
from runners.intake.report import IntakeReport
from runners.spec.models import InputSpec, TaskSpec

TASK = TaskSpec(kind="multiclass", classes=("a", "b", "c"))
INPUT = InputSpec(kind="array", shape=(4,))


def _model(
    *,
    shape: list[Any] | None = None,
    dtype: int = TensorProto.FLOAT,
    out: list[Any] | None = None,
    weights: tuple[int, int] = (4, 3),
    domain: str = "",
    inputs: int = 1,
) -> Any:
    names = [f"x{i}" if i else "x" for i in range(inputs)]
    values = [helper.make_tensor_value_info(name, dtype, shape or ["n", 4]) for name in names]
    output = helper.make_tensor_value_info("y", dtype, out or ["n", 3])
    weight = numpy_helper.from_array(np.zeros(weights, dtype=np.float32), "w")
    node = helper.make_node("MatMul", ["x", "w"], ["y"], domain=domain)
    graph = helper.make_graph([node], "g", values, [output], [weight])
    opsets = [helper.make_opsetid("", 20)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def _check(path: Path, model: Any) -> IntakeReport:
    path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    return check_model(path, task=TASK, input_spec=INPUT)


def test_a_fitting_model_is_accepted(tmp_path: Path) -> None:
    report = _check(tmp_path / "m.onnx", _model())
    assert [defect.text() for defect in report.defects] == []
    assert report.facts["parameters"] == 12
    assert report.facts["inputs"] == ["x: float [n, 4]"]
    assert report.facts["outputs"] == ["y: float [n, 3]"]


@pytest.mark.parametrize(
    ("model", "code", "message"),
    [
        (_model(shape=["n", 5], weights=(5, 3)), "input_shape", "has the shape [n, 5], expected [batch, 4]"),
        (_model(shape=["n", 2, 4], out=["n", 2, 3]), "input_shape", "[n, 2, 4], expected [batch, 4]"),
        (_model(shape=[1, 4], out=[1, 3]), "fixed_batch", "exactly 1 items at once: [1, 4]"),
        (_model(dtype=TensorProto.DOUBLE), "input_dtype", "is double, expected float (float32)"),
        (_model(dtype=TensorProto.INT64), "output_dtype", "is int64, expected float [batch, 3]"),
        (_model(out=["n", 2], weights=(4, 2)), "output_shape", "has the shape [n, 2], expected [batch, 3]"),
        (_model(inputs=2), "inputs", "must take one input, it takes 2"),
        (_model(domain="my.ops"), "custom_operators", "my.ops.MatMul"),
    ],
)
def test_a_model_for_something_else_is_refused(tmp_path: Path, model: Any, code: str, message: str) -> None:
    report = _check(tmp_path / "m.onnx", model)
    found = [defect for defect in report.defects if defect.code == code]
    assert len(found) == 1, [defect.text() for defect in report.defects]
    assert message in found[0].message
    assert found[0].hint


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.9, 0.99])
def test_a_truncated_file_is_refused(tmp_path: Path, share: float) -> None:
    raw = _model().SerializeToString()
    report = _check(tmp_path / "m.onnx", raw[: int(len(raw) * share)])
    assert [defect.code for defect in report.defects] == ["truncated"]


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"hello world, this is text", "truncated"),
        (b"\x89HDF\r\n\x1a\n", "not_onnx"),
        (b"PK\x03\x04 archive/data.pkl", "not_onnx"),
        (b"\x80\x04\x95", "not_onnx"),
        (bytes(100), "truncated"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, raw: bytes, code: str) -> None:
    assert [defect.code for defect in _check(tmp_path / "m.onnx", raw).defects] == [code]


def test_tensors_in_other_files_are_refused_and_not_opened(tmp_path: Path) -> None:
    model = _model()
    onnx.external_data_helper.set_external_data(model.graph.initializer[0], "/etc/passwd")
    model.graph.initializer[0].ClearField("raw_data")
    report = _check(tmp_path / "m.onnx", model)
    assert [defect.code for defect in report.defects] == ["external_data"]


def test_tensors_hidden_in_subgraphs_are_found(tmp_path: Path) -> None:
    tensor = numpy_helper.from_array(np.zeros(1, dtype=np.float32), "inner")
    onnx.external_data_helper.set_external_data(tensor, "inner.bin")
    tensor.ClearField("raw_data")
    branch = helper.make_graph([helper.make_node("Constant", [], ["c"], value=tensor)], "b", [], [])
    model = _model()
    model.graph.node.append(helper.make_node("If", ["x"], [], then_branch=branch, else_branch=branch))
    report = _check(tmp_path / "m.onnx", model)
    assert "external_data" in {defect.code for defect in report.defects}


def test_a_graph_that_breaks_onnx_is_refused(tmp_path: Path) -> None:
    model = _model()
    model.graph.node[0].input[1] = "nowhere"
    report = _check(tmp_path / "m.onnx", model)
    assert [defect.code for defect in report.defects] == ["invalid_onnx"]
    assert "nowhere" in report.defects[0].message
