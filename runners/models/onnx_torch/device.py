"""Where torch computes: a CUDA device where one is visible, else the processor, with the same answers up to rounding.

Attacks are NumPy on the judge's side and know nothing of it: they ask, and only what is asked runs on the device.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy.typing as npt
import torch

Array = npt.NDArray[Any]

#: What may be asked for by name.
CHOICES = ("auto", "cpu", "cuda")
#: Set to one of `CHOICES` where the command line says nothing.
VARIABLE = "TOUCHSTONE_DEVICE"


def chosen_device(wanted: str | None = None) -> torch.device:
    """The device for a name; `auto`, or nothing said, is CUDA where torch sees a device, else the processor.

    Raises:
        ValueError: the name is unknown, or `cuda` is asked for and torch sees none.
    """
    name = wanted or os.environ.get(VARIABLE) or "auto"
    if name not in CHOICES:
        raise ValueError(f"the device {name!r} is unknown; known: {', '.join(CHOICES)}")
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise ValueError("a CUDA device is asked for, and torch sees none")
    device = torch.device("cuda" if there and name != "cpu" else "cpu")
    if device.type == "cuda":
        settle()
    return device


def settle() -> None:
    """Let CUDA give the same answer each time, and that of the processor up to rounding: it is slower for it.

    Products of matrices and convolutions in whole float32, never TF32; algorithms that add in a fixed order. Where
    torch has no such algorithm for an operator it warns, and goes on.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when the first product is computed
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    torch.set_deterministic_debug_mode("warn")


def free_memory(device: torch.device, otherwise: int) -> int:
    """Bytes that values may take: what is free on a CUDA device, else the sandbox's own limit."""
    return int(torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else otherwise


def moved(array: Array, device: torch.device) -> torch.Tensor:
    """A tensor of the device with the array's content; on the processor it is the array's own memory."""
    return torch.from_numpy(array).to(device)


def brought(tensor: torch.Tensor) -> Array:
    """The content of a tensor of any device as an array of this process."""
    array: Array = tensor.detach().cpu().numpy()
    return array


@contextmanager
def made_on(device: torch.device) -> Iterator[None]:
    """Tensors that operators make, shapes and constants, are made on the device; on the processor nothing changes."""
    if device.type == "cpu":
        yield
        return
    with torch.device(device):
        yield
