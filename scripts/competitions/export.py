"""torch → ONNX in the form that `model` submissions take: input `x`, output `y`, a free batch axis."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch


def export_onnx(network: torch.nn.Module, path: Path, *, shape: tuple[int, ...]) -> None:
    """Write one self-contained ONNX file, opset 17. `shape` is one item without the batch axis."""
    with warnings.catch_warnings():
        # The TorchScript exporter needs no further package and is announced to go; the file is what counts.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            network, (torch.zeros(1, *shape),), str(path), dynamo=False, opset_version=17,
            input_names=["x"], output_names=["y"], dynamic_axes={"x": {0: "n"}, "y": {0: "n"}},
        )  # fmt: skip
