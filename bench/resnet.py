"""ResNet-18 (He et al. 2016, table 1, the column of 18 layers) with weights drawn at random, as an ONNX file."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import nn

CLASSES = 10
_OPSET = 18


class _Block(nn.Module):
    """Two 3x3 convolutions and the way around them."""

    def __init__(self, given: int, made: int, stride: int) -> None:
        super().__init__()
        self.way = nn.Sequential(
            nn.Conv2d(given, made, 3, stride, 1, bias=False), nn.BatchNorm2d(made), nn.ReLU(),
            nn.Conv2d(made, made, 3, 1, 1, bias=False), nn.BatchNorm2d(made),
        )  # fmt: skip
        same = given == made and stride == 1
        self.around = (
            nn.Identity()
            if same
            else nn.Sequential(nn.Conv2d(given, made, 1, stride, bias=False), nn.BatchNorm2d(made))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.way(x) + self.around(x))


def resnet18(classes: int = CLASSES) -> nn.Module:
    """The network for images of three channels, in inference mode: logits (n, classes)."""
    layers: list[nn.Module] = [
        nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1),
    ]  # fmt: skip
    given = 64
    for made in (64, 128, 256, 512):
        layers += [_Block(given, made, 1 if made == 64 else 2), _Block(made, made, 1)]
        given = made
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, classes)).eval()


def write(path: Path, *, size: int) -> None:
    """Write the network for images of `size` x `size` to an ONNX file that takes any number of them."""
    torch.manual_seed(0)
    network = resnet18()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's, about itself
        torch.onnx.export(
            network, (torch.zeros(2, 3, size, size),), str(path), input_names=["x"], output_names=["y"],
            opset_version=_OPSET, dynamic_axes={"x": {0: "n"}, "y": {0: "n"}}, dynamo=False,
        )  # fmt: skip
