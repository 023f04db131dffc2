"""Operators that move data: shapes, slices, constants, casts."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from runners.models.onnx_torch.registry import Attributes, Inputs, Tensor, given, integers, need, operator

#: onnx.TensorProto.DataType
_DTYPES = {
    1: torch.float32, 2: torch.uint8, 3: torch.int8, 5: torch.int16, 6: torch.int32, 7: torch.int64, 9: torch.bool,
    10: torch.float16, 11: torch.float64, 16: torch.bfloat16,
}  # fmt: skip


@operator("Flatten")
def _flatten(inputs: Inputs, attributes: Attributes, _opset: int) -> Tensor:
    x = need(inputs)
    axis = attributes.get("axis", 1)
    axis = axis + x.dim() if axis < 0 else axis
    rows = 1
    for size in x.shape[:axis]:
        rows *= size
    return x.reshape(rows, -1) if x.numel() else x.reshape(rows, 0)


@operator("Reshape")
def _reshape(inputs: Inputs, attributes: Attributes, _opset: int) -> Tensor:
    x = need(inputs)
    shape = integers(inputs, 1, attributes, "shape") or []
    if not attributes.get("allowzero", 0):
        shape = [x.shape[axis] if size == 0 else size for axis, size in enumerate(shape)]
    return x.reshape(shape)


@operator("Transpose")
def _transpose(inputs: Inputs, attributes: Attributes, _opset: int) -> Tensor:
    x = need(inputs)
    return x.permute(attributes.get("perm") or list(reversed(range(x.dim()))))


@operator("Squeeze")
def _squeeze(inputs: Inputs, attributes: Attributes, _opset: int) -> Tensor:
    x = need(inputs)
    axes = integers(inputs, 1, attributes, "axes")
    return x.squeeze() if axes is None else x.squeeze(tuple(axes))


@operator("Unsqueeze")
def _unsqueeze(inputs: Inputs, attributes: Attributes, _opset: int) -> Tensor:
    x = need(inputs)
    axes = integers(inputs, 1, attributes, "axes") or []
    for axis in sorted(axis % (x.dim() + len(axes)) for axis in axes):
        x = x.unsqueeze(axis)
    return x


@operator("Concat")
def _concat(inputs: Inputs, attributes: Attributes, _opset: int) -> Tensor:
    return torch.cat([need(inputs, index) for index in range(len(inputs))], dim=attributes["axis"])


@operator("Slice")
def _slice(inputs: Inputs, attributes: Attributes, _opset: int) -> Tensor:
    x = need(inputs)
    starts = integers(inputs, 1, attributes, "starts") or []
    ends = integers(inputs, 2, attributes, "ends") or []
    axes = integers(inputs, 3, attributes, "axes") or list(range(len(starts)))
    steps = integers(inputs, 4, attributes, "steps") or [1] * len(starts)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        picked = range(x.shape[axis])[start:end:step]
        if step > 0:
            whole = [slice(None)] * x.dim()
            whole[axis] = slice(picked.start, picked.stop, step)
            x = x[tuple(whole)]
        else:  # torch has no negative steps
            x = x.index_select(axis, torch.tensor(list(picked), dtype=torch.int64))
    return x


@operator("Gather")
def _gather(inputs: Inputs, attributes: Attributes, _opset: int) -> Tensor:
    x, index = need(inputs), need(inputs, 1).long()
    axis = attributes.get("axis", 0) % x.dim()
    index = torch.where(index < 0, index + x.shape[axis], index)
    picked = x.index_select(axis, index.reshape(-1))
    return picked.reshape([*x.shape[:axis], *index.shape, *x.shape[axis + 1 :]])


@operator("GatherElements")
def _gather_elements(inputs: Inputs, attributes: Attributes, _opset: int) -> Tensor:
    x, index = need(inputs), need(inputs, 1).long()
    axis = attributes.get("axis", 0)
    return x.gather(axis, torch.where(index < 0, index + x.shape[axis], index))


@operator("Split")
def _split(inputs: Inputs, attributes: Attributes, _opset: int) -> tuple[Tensor, ...]:
    x = need(inputs)
    axis = attributes.get("axis", 0)
    sizes = integers(inputs, 1, attributes, "split")
    if sizes is None:
        count = attributes["outputs"]
        step = -(-x.shape[axis] // count)
        return tuple(torch.split(x, step, dim=axis))
    return tuple(torch.split(x, sizes, dim=axis))


@operator("Pad")
def _pad(inputs: Inputs, attributes: Attributes, _opset: int) -> Tensor:
    x = need(inputs)
    pads = integers(inputs, 1, attributes, "pads") or []
    axes = integers(inputs, 3, {}, "") or list(range(x.dim()))
    axes = [axis % x.dim() for axis in axes]
    filler = given(inputs, 2)
    value = float(filler.item()) if filler is not None and filler.numel() else float(attributes.get("value", 0.0))
    sides = {axis: (pads[i], pads[i + len(axes)]) for i, axis in enumerate(axes)}
    flat = [size for axis in reversed(range(x.dim())) for size in sides.get(axis, (0, 0))]
    mode = attributes.get("mode", "constant")
    if mode == "constant":
        return F.pad(x, flat, value=value)
    kinds = {"reflect": "reflect", "edge": "replicate", "wrap": "circular"}
    while len(flat) > 2 and flat[-2:] == [0, 0]:  # torch pads the last axes only in these modes
        flat = flat[:-2]
    return F.pad(x, flat, mode=kinds[mode])


@operator("Expand")
def _expand(inputs: Inputs, _attributes: Attributes, _opset: int) -> Tensor:
    x = need(inputs)
    shape = torch.broadcast_shapes(x.shape, [int(v) for v in need(inputs, 1).tolist()])
    return x.expand(shape)


@operator("Tile")
def _tile(inputs: Inputs, _attributes: Attributes, _opset: int) -> Tensor:
    return need(inputs).repeat([int(v) for v in need(inputs, 1).tolist()])


@operator("Shape")
def _shape(inputs: Inputs, attributes: Attributes, _opset: int) -> Tensor:
    sizes = list(need(inputs).shape)
    return torch.tensor(sizes[attributes.get("start", 0) : attributes.get("end")], dtype=torch.int64)


@operator("Size")
def _size(inputs: Inputs, _attributes: Attributes, _opset: int) -> Tensor:
    return torch.tensor(need(inputs).numel(), dtype=torch.int64)


@operator("Constant")
def _constant(_inputs: Inputs, attributes: Attributes, _opset: int) -> Any:
    for name, dtype in {"value_float": torch.float32, "value_int": torch.int64}.items():
        for key in (name, name + "s"):
            if key in attributes:
                return torch.tensor(attributes[key], dtype=dtype)
    if "value" not in attributes:
        raise ValueError("only numeric constants are supported")
    return attributes["value"]


@operator("ConstantOfShape")
def _constant_of_shape(inputs: Inputs, attributes: Attributes, _opset: int) -> Tensor:
    shape = [int(v) for v in need(inputs).tolist()]
    value = attributes.get("value")
    if value is None:
        return torch.zeros(shape)
    return torch.full(shape, value.reshape(-1)[0].item(), dtype=value.dtype)


@operator("Range")
def _range(inputs: Inputs, _attributes: Attributes, _opset: int) -> Tensor:
    start, limit, step = (need(inputs, index) for index in range(3))
    return torch.arange(start.item(), limit.item(), step.item(), dtype=start.dtype)


@operator("Cast")
def _cast(inputs: Inputs, attributes: Attributes, _opset: int) -> Tensor:
    if attributes["to"] not in _DTYPES:
        raise ValueError(f"cast to ONNX type {attributes['to']} is not supported")
    return need(inputs).to(_DTYPES[attributes["to"]])


@operator("CastLike")
def _cast_like(inputs: Inputs, _attributes: Attributes, _opset: int) -> Tensor:
    return need(inputs).to(need(inputs, 1).dtype)


@operator("Dropout")
def _dropout(inputs: Inputs, _attributes: Attributes, _opset: int) -> tuple[Tensor, Tensor]:
    training = given(inputs, 2)
    if training is not None and bool(training.item()):
        raise ValueError("training_mode is true: export the model in evaluation mode")
    x = need(inputs)
    return x, torch.ones_like(x, dtype=torch.bool)


@operator("DepthToSpace")
def _depth_to_space(inputs: Inputs, attributes: Attributes, _opset: int) -> Tensor:
    x, block = need(inputs), attributes["blocksize"]
    if attributes.get("mode", "DCR") == "CRD":
        return F.pixel_shuffle(x, block)
    n, c, h, w = x.shape
    parts = x.reshape(n, block, block, c // block**2, h, w).permute(0, 3, 4, 1, 5, 2)
    return parts.reshape(n, c // block**2, h * block, w * block)


@operator("Trilu")
def _trilu(inputs: Inputs, attributes: Attributes, _opset: int) -> Tensor:
    k = given(inputs, 1)
    function = torch.triu if attributes.get("upper", 1) else torch.tril
    return function(need(inputs), int(k.item()) if k is not None else 0)
