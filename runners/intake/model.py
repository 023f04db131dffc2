"""Intake of `model`: an ONNX file that takes the competition's input and gives one number a class.

The file is parsed as protobuf and never run. Tensors in other files, operators of other domains
than ONNX's own, and fixed batch sizes are refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import TensorProto

from runners.data.sniff import sniff
from runners.intake.report import IntakeReport
from runners.spec.defects import shortened
from runners.spec.models import InputSpec, TaskSpec

MAX_BYTES = 2**31 - 1
DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})
_EXPORT = "Export it again, for example with torch.onnx.export(..., dynamo=True), and compare sizes."
_FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE)
Dims = list[int | str | None]


def check_model(path: Path, *, task: TaskSpec, input_spec: InputSpec | None) -> IntakeReport:
    """Judge an ONNX file."""
    report = IntakeReport()
    size = path.stat().st_size
    kind = sniff(path)
    report.facts["bytes"] = size
    if size > MAX_BYTES:
        report.note(
            "too_large", f"the file has {size:,} bytes; an ONNX file has less than 2 GiB", hint="Use a smaller model."
        )
    elif kind not in ("binary", "text"):
        report.note("not_onnx", f"the file is not ONNX but {kind}", hint="Export the model to ONNX and send that file.")
    else:
        model = _load(path, report)
        if model is not None:
            _judge(model, task, input_spec, report)
    return report


def _load(path: Path, report: IntakeReport) -> Any | None:
    try:
        model = onnx.load_model_from_string(path.read_bytes())
    except DecodeError:
        report.note("truncated", "the file is truncated or not ONNX: it does not parse as protobuf", hint=_EXPORT)
        return None
    if not model.ir_version or not model.opset_import or not model.graph.node or not model.graph.output:
        report.note("truncated", "the file holds no whole ONNX graph: it is truncated or not ONNX", hint=_EXPORT)
        return None
    return model


def _judge(model: Any, task: TaskSpec, input_spec: InputSpec | None, report: IntakeReport) -> None:
    _facts(model, report)
    external = sorted({tensor.name for tensor in _tensors(model) if _is_external(tensor)})
    if external:
        text = f"{len(external)} tensors lie in other files: {shortened(external, limit=5)}"
        report.note("external_data", text, hint="Save the model as one file (save_as_external_data=False).")
    _domains(model, report)
    if report.ok:
        _check(model, report)
    _inputs(model, input_spec, report)
    _outputs(model, task, report)


def _check(model: Any, report: IntakeReport) -> None:
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        first = (str(error).splitlines() or ["it breaks ONNX's rules"])[0][:300]
        report.note("invalid_onnx", f"ONNX's own checker refuses the model: {first}", hint=_EXPORT)


def _facts(model: Any, report: IntakeReport) -> None:
    graph = model.graph
    report.facts |= {
        "ir_version": int(model.ir_version),
        "opsets": {opset.domain or "ai.onnx": int(opset.version) for opset in model.opset_import},
        "producer": f"{model.producer_name} {model.producer_version}".strip()[:100],
        "nodes": len(graph.node),
        "parameters": sum(_count(tensor.dims) for tensor in graph.initializer),
        "inputs": [_describe(value) for value in _real_inputs(graph)],
        "outputs": [_describe(value) for value in graph.output],
    }


def _count(dims: Any) -> int:
    product = 1
    for dim in dims:
        product *= int(dim)
    return product


def _is_external(tensor: Any) -> bool:
    return tensor.data_location == TensorProto.EXTERNAL or bool(tensor.external_data)


def _graphs(model: Any) -> Iterator[Any]:
    """The graph, its subgraphs and the bodies of functions, without recursion."""
    waiting: list[Any] = [model.graph, *model.functions]
    for training in model.training_info:
        waiting += [training.initialization, training.algorithm]
    while waiting:
        graph = waiting.pop()
        yield graph
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    waiting.append(attribute.g)
                waiting += attribute.graphs


def _tensors(model: Any) -> Iterator[Any]:
    for graph in _graphs(model):
        yield from getattr(graph, "initializer", ())
        for sparse in getattr(graph, "sparse_initializer", ()):
            yield from (sparse.values, sparse.indices)
        for node in graph.node:
            for attribute in node.attribute:
                yield from (attribute.t, *attribute.tensors)
                for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                    yield from (sparse.values, sparse.indices)


def _domains(model: Any, report: IntakeReport) -> None:
    own = {(function.domain, function.name) for function in model.functions}
    foreign = {
        f"{node.domain}.{node.op_type}"
        for graph in _graphs(model)
        for node in graph.node
        if node.domain not in DOMAINS and (node.domain, node.op_type) not in own
    }
    if foreign:
        text = f"the model uses operators that are not ONNX's own: {shortened(sorted(foreign), limit=5)}"
        report.note(
            "custom_operators", text, hint="Export with standard operators, or send the model as code or a container."
        )


def _real_inputs(graph: Any) -> list[Any]:
    stored = {tensor.name for tensor in graph.initializer}
    return [value for value in graph.input if value.name not in stored]


def _dims(value: Any) -> Dims | None:
    """The shape of an input or output; None where the file gives none."""
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    return [int(d.dim_value) if d.HasField("dim_value") else (d.dim_param or None) for d in tensor.shape.dim]


def _type_name(value: Any) -> str:
    if not value.type.HasField("tensor_type"):
        return str(value.type.WhichOneof("value") or "nothing").removesuffix("_type")
    number = value.type.tensor_type.elem_type
    known = number in TensorProto.DataType.values()
    return str(TensorProto.DataType.Name(number)).lower() if known else f"type {number}"


def _shape_text(dims: Dims | None) -> str:
    return "[" + ", ".join("?" if dim is None else str(dim) for dim in dims) + "]" if dims is not None else "no shape"


def _describe(value: Any) -> str:
    return f"{value.name}: {_type_name(value)} {_shape_text(_dims(value))}"[:200]


def _inputs(model: Any, spec: InputSpec | None, report: IntakeReport) -> None:
    values = _real_inputs(model.graph)
    if len(values) != 1:
        names = shortened([_describe(value) for value in values], limit=5) or "none"
        text = f"the model must take one input, it takes {len(values)}: {names}"
        report.note("inputs", text, "inputs", "Export it with the items as its only input.")
        return
    if spec is None:
        return
    value, dims = values[0], _dims(values[0])
    wanted: Dims = ["batch", *spec.shape]
    if not value.type.HasField("tensor_type") or value.type.tensor_type.elem_type != TensorProto.FLOAT:
        text = f"the input {value.name} is {_type_name(value)}, expected float (float32)"
        report.note("input_dtype", text, value.name, "Export it with float32 inputs.")
    if dims is None:
        return
    same = len(dims) == len(wanted) and all(
        not isinstance(found, int) or found == expected for found, expected in zip(dims[1:], spec.shape, strict=False)
    )
    if not same:
        text = f"the input {value.name} has the shape {_shape_text(dims)}, expected {_shape_text(wanted)}"
        report.note(
            "input_shape", text, value.name, "Export the model for the competition's input (see its data page)."
        )
    elif isinstance(dims[0], int):
        text = f"the input {value.name} takes exactly {dims[0]} items at once: {_shape_text(dims)}"
        report.note(
            "fixed_batch", text, value.name, "Export it with a dynamic first axis (dynamic_axes or dynamic_shapes)."
        )


def _outputs(model: Any, task: TaskSpec, report: IntakeReport) -> None:
    value = model.graph.output[0]
    wanted = _shape_text(["batch", len(task.classes)])
    if not value.type.HasField("tensor_type") or value.type.tensor_type.elem_type not in _FLOATS:
        text = f"the first output {value.name} is {_type_name(value)}, expected float {wanted}"
        hint = "The first output must be the scores; with skl2onnx drop the label output and set zipmap to False."
        report.note("output_dtype", text, value.name, hint)
        return
    dims = _dims(value)
    if dims is None:
        return
    last = dims[-1] if dims else None
    if len(dims) != 2 or (isinstance(last, int) and last != len(task.classes)):
        text = f"the first output {value.name} has the shape {_shape_text(dims)}, expected {wanted}"
        hint = f"Give one number for each of the {len(task.classes)} classes: {shortened(task.classes)}."
        report.note("output_shape", text, value.name, hint)
