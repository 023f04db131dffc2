"""An ONNX graph carried out by torch, operator by operator, so that gradients of the input can be had.

Runs inside a sandbox: it imports torch, NumPy and onnx, and nothing else of the platform.
"""

from __future__ import annotations

from runners.models.onnx_torch.flops import Uncounted, flops, parameters
from runners.models.onnx_torch.graph import TorchGraph, UnsupportedGraph

__all__ = ["TorchGraph", "Uncounted", "UnsupportedGraph", "flops", "parameters"]
