"""Dense and convolution layers, pooling, normalisation, resizing."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F

from runners.models.onnx_torch.registry import Attributes, Inputs, Tensor, given, need, operator

_CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
_MAX_POOLS = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}


@operator("Gemm")
def _gemm(inputs: Inputs, attributes: Attributes, _opset: int) -> Tensor:
    a, b, c = need(inputs), need(inputs, 1), given(inputs, 2)
    a = a.t() if attributes.get("transA", 0) else a
    b = b.t() if attributes.get("transB", 0) else b
    result = attributes.get("alpha", 1.0) * (a @ b)
    return result if c is None else result + attributes.get("beta", 1.0) * c


class _Window:
    """Kernel, strides, dilations and padding of a sliding window over the spatial axes of x."""

    def __init__(self, x: Tensor, attributes: Attributes, kernel: list[int]) -> None:
        self.spatial = len(kernel)
        self.kernel = kernel
        self.strides = list(attributes.get("strides") or [1] * self.spatial)
        self.dilations = list(attributes.get("dilations") or [1] * self.spatial)
        pads = list(attributes.get("pads") or [0] * 2 * self.spatial)
        self.before, self.after = pads[: self.spatial], pads[self.spatial :]
        mode = attributes.get("auto_pad", "NOTSET")
        if mode.startswith("SAME"):
            self._same(list(x.shape[2:]), upper=mode == "SAME_UPPER")
        elif mode == "VALID":
            self.before, self.after = [0] * self.spatial, [0] * self.spatial

    def _same(self, sizes: list[int], *, upper: bool) -> None:
        for axis, size in enumerate(sizes):
            reach = (self.kernel[axis] - 1) * self.dilations[axis] + 1
            total = max(0, (math.ceil(size / self.strides[axis]) - 1) * self.strides[axis] + reach - size)
            small, large = total // 2, total - total // 2
            self.before[axis], self.after[axis] = (small, large) if upper else (large, small)

    def extend_for_ceil(self, sizes: list[int]) -> None:
        """Grow the padding at the end so that a window that begins inside is complete (ceil_mode)."""
        for axis, size in enumerate(sizes):
            reach = (self.kernel[axis] - 1) * self.dilations[axis] + 1
            stride = self.strides[axis]
            room = size + self.before[axis] + self.after[axis] - reach
            count = math.ceil(room / stride)
            if count * stride >= size + self.before[axis]:  # a window must begin inside the input or its padding
                count -= 1
            self.after[axis] += max(0, count * stride - room)

    def pad(self, x: Tensor, value: float) -> Tensor:
        """x with padding applied; pads differ between sides, which torch's layers cannot do."""
        if not any(self.before) and not any(self.after):
            return x
        pairs = [pad for axis in reversed(range(self.spatial)) for pad in (self.before[axis], self.after[axis])]
        return F.pad(x, pairs, value=value)


@operator("Conv")
def _conv(inputs: Inputs, attributes: Attributes, _opset: int) -> Tensor:
    x, weight = need(inputs), need(inputs, 1)
    window = _Window(x, attributes, list(weight.shape[2:]))
    function = _CONVOLUTIONS[window.spatial]
    padding: Any = window.before
    if window.before != window.after:
        x, padding = window.pad(x, 0.0), 0
    return function(x, weight, given(inputs, 2), window.strides, padding, window.dilations, attributes.get("group", 1))


@operator("ConvTranspose")
def _conv_transpose(inputs: Inputs, attributes: Attributes, _opset: int) -> Tensor:
    x, weight = need(inputs), need(inputs, 1)
    if attributes.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID") or attributes.get("output_shape"):
        raise ValueError("auto_pad SAME_* and output_shape are not supported")
    window = _Window(x, attributes, list(weight.shape[2:]))
    extra = list(attributes.get("output_padding") or [0] * window.spatial)
    # Padding of a transposed convolution cuts off its result: cut by hand, since sides may differ.
    whole = _TRANSPOSED[window.spatial](
        x, weight, given(inputs, 2), window.strides, 0, extra if _larger(window, extra) else 0,
        attributes.get("group", 1), window.dilations,
    )  # fmt: skip
    if not _larger(window, extra) and any(extra):
        raise ValueError("output_padding must be smaller than stride or dilation")
    for axis in range(window.spatial):
        length = whole.shape[axis + 2] - window.before[axis] - window.after[axis]
        whole = whole.narrow(axis + 2, window.before[axis], length)
    return whole


def _larger(window: _Window, extra: list[int]) -> bool:
    pairs = zip(extra, window.strides, window.dilations, strict=True)
    return all(pad < max(stride, dilation) for pad, stride, dilation in pairs)


@operator("MaxPool")
def _max_pool(inputs: Inputs, attributes: Attributes, _opset: int) -> Tensor:
    x = need(inputs)
    window = _Window(x, attributes, list(attributes["kernel_shape"]))
    if attributes.get("ceil_mode", 0):
        window.extend_for_ceil(list(x.shape[2:]))
    x = window.pad(x, -math.inf)
    return _MAX_POOLS[window.spatial](x, window.kernel, window.strides, 0, window.dilations)


@operator("AveragePool")
def _average_pool(inputs: Inputs, attributes: Attributes, _opset: int) -> Tensor:
    x = need(inputs)
    window = _Window(x, attributes, list(attributes["kernel_shape"]))
    counted = bool(attributes.get("count_include_pad", 0))
    ones = torch.ones((1, 1, *x.shape[2:]), dtype=x.dtype)
    if counted:
        ones = window.pad(ones, 1.0)
        x = window.pad(x, 0.0)
        window.before, window.after = [0] * window.spatial, [0] * window.spatial
    if attributes.get("ceil_mode", 0):
        window.extend_for_ceil(list(x.shape[2:]))
    return _sums(window.pad(x, 0.0), window) / _sums(window.pad(ones, 0.0), window)


def _sums(x: Tensor, window: _Window) -> Tensor:
    """Sums over windows as a convolution with ones, one channel at a time; it also knows dilations."""
    kernel = torch.ones((1, 1, *window.kernel), dtype=x.dtype)
    flat = x.reshape(-1, 1, *x.shape[2:])
    sums = _CONVOLUTIONS[window.spatial](flat, kernel, None, window.strides, 0, window.dilations)
    return sums.reshape(x.shape[0], x.shape[1], *sums.shape[2:])


@operator("GlobalAveragePool")
def _global_average(inputs: Inputs, _attributes: Attributes, _opset: int) -> Tensor:
    x = need(inputs)
    return x.mean(dim=tuple(range(2, x.dim())), keepdim=True)


@operator("GlobalMaxPool")
def _global_max(inputs: Inputs, _attributes: Attributes, _opset: int) -> Tensor:
    x = need(inputs)
    return x.amax(dim=tuple(range(2, x.dim())), keepdim=True)


@operator("BatchNormalization")
def _batch_normalization(inputs: Inputs, attributes: Attributes, _opset: int) -> Tensor:
    if attributes.get("training_mode", 0):
        raise ValueError("training_mode=1: export the model in evaluation mode")
    scale, bias, mean, variance = (need(inputs, index) for index in range(1, 5))
    return F.batch_norm(need(inputs), mean, variance, scale, bias, eps=attributes.get("epsilon", 1e-5))


@operator("LayerNormalization")
def _layer_normalization(inputs: Inputs, attributes: Attributes, _opset: int) -> Tensor:
    x = need(inputs)
    axis = attributes.get("axis", -1) % x.dim()
    return F.layer_norm(x, list(x.shape[axis:]), need(inputs, 1), given(inputs, 2), attributes.get("epsilon", 1e-5))


@operator("InstanceNormalization")
def _instance_normalization(inputs: Inputs, attributes: Attributes, _opset: int) -> Tensor:
    return F.instance_norm(
        need(inputs), weight=need(inputs, 1), bias=need(inputs, 2), eps=attributes.get("epsilon", 1e-5)
    )


@operator("LRN")
def _lrn(inputs: Inputs, attributes: Attributes, _opset: int) -> Tensor:
    alpha, beta, bias = attributes.get("alpha", 1e-4), attributes.get("beta", 0.75), attributes.get("bias", 1.0)
    return F.local_response_norm(need(inputs), attributes["size"], alpha, beta, bias)


@operator("Resize", "Upsample")
def _resize(inputs: Inputs, attributes: Attributes, opset: int) -> Tensor:
    x = need(inputs)
    old = attributes["operator"] == "Upsample" or opset < 11
    scales, sizes = given(inputs, 1 if old else 2), given(inputs, 3)
    if sizes is not None and sizes.numel():
        size = [int(v) for v in sizes.tolist()]
    elif scales is not None and scales.numel():
        size = [math.floor(n * float(f)) for n, f in zip(x.shape, scales.tolist(), strict=True)]
    else:
        raise ValueError("neither scales nor sizes are given")
    if size[:2] != list(x.shape[:2]) or attributes.get("axes"):
        raise ValueError("only the spatial axes can be resized")
    return _interpolate(x, size[2:], attributes, old=old)


def _interpolate(x: Tensor, size: list[int], attributes: Attributes, *, old: bool) -> Tensor:
    mode = attributes.get("mode", "nearest")
    place = attributes.get("coordinate_transformation_mode", "asymmetric" if old else "half_pixel")
    if mode == "nearest":
        exact = place == "asymmetric" and (old or attributes.get("nearest_mode") == "floor")
        if not exact and any(new % n for new, n in zip(size, x.shape[2:], strict=True)):
            raise ValueError(f"nearest with {place} by a factor that is not whole is not supported")
        return F.interpolate(x, size=size, mode="nearest")
    if mode != "linear" or place not in ("half_pixel", "pytorch_half_pixel", "align_corners"):
        raise ValueError(f"mode {mode} with {place} is not supported")
    kind = {3: "linear", 4: "bilinear", 5: "trilinear"}[x.dim()]
    return F.interpolate(x, size=size, mode=kind, align_corners=place == "align_corners")
