"""AutoAttack's parts by pyautoattack, the packaged form of the authors' code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from runners.attacks.geometry import BATCH_BYTES, Inputs, Ints, Norm, ValueRange
from runners.models.base import Loss, Model

Part = Literal["apgd-ce", "apgd-dlr", "apgd-t", "fab", "fab-t", "square"]
_NORMS = {"linf": "Linf", "l2": "L2"}


@dataclass(frozen=True)
class Settings:
    """`steps` of APGD and FAB, `queries` of Square, `samples` of each gradient of a randomised model."""

    norm: Norm
    eps: float
    value_range: ValueRange
    seed: int
    steps: int = 100
    queries: int = 5000
    samples: int = 1


@contextmanager
def _alone(seed: int) -> Iterator[None]:
    """pyautoattack seeds torch for the whole process: here it is put back afterwards."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def evaluate(
    model: Model, x: Inputs, y: Ints, parts: list[Part], settings: Settings, classes: int
) -> tuple[Inputs, Any]:
    """Each part in turn on the items that hold out: examples, and the module that was asked (it counts its calls).

    Images are (n, channels, height, width). `apgd-t` and `fab-t` try the nine most likely other classes, or as many as
    there are.
    """
    import torch
    from pyautoattack import AutoAttack

    from runners.adapters.torch_model import AskedModule

    low, high = settings.value_range
    module = AskedModule(model, x.shape[1:], settings.value_range)
    scaled = ((x.astype(np.float64) - low) / (high - low)).astype(np.float32)
    scaled = scaled if x.ndim == 4 else scaled.reshape(x.shape[0], 1, 1, -1)
    with _alone(settings.seed):
        attack = AutoAttack(
            module, attacks=parts, device="cpu", eps=settings.eps / (high - low), norm=_NORMS[settings.norm],
            seed=settings.seed, version="custom",
        )  # fmt: skip
        _configure(attack, module, settings, classes)
        batch = max(1, BATCH_BYTES // max(1, x[0].nbytes))
        found, _ = attack.run_standard_evaluation(torch.from_numpy(scaled), torch.from_numpy(y), batch_size=batch)
    out = low + found.numpy().astype(np.float64).reshape(x.shape) * (high - low)
    changed = (found.numpy() != scaled).reshape(x.shape[0], -1).any(axis=1)
    out[~changed] = x[~changed]
    return out.astype(np.float32), module


def _configure(attack: Any, module: Any, settings: Settings, classes: int) -> None:
    """The counts of the standard version, and for each part which loss the module has to expect."""
    targets = min(9, classes - 1)
    for part in (attack.apgd, attack.apgd_targeted):
        part.n_restarts, part.eot_iter = 1, settings.samples
        _steps(part, settings.steps)
    attack.fab.n_restarts, attack.fab.n_iter = 1, settings.steps
    attack.fab.n_target_classes = attack.apgd_targeted.n_target_classes = targets
    attack.square.n_queries = settings.queries
    if settings.samples > 1:
        attack.version = "rand"  # otherwise it warns that the model is randomised, which is why there are samples
    _expect(attack.apgd, module, lambda: "cross_entropy" if attack.apgd.loss == "ce" else "margin")
    if not module.pulls:  # one that does answers any difference of logits in the question after the first
        for part in (attack.apgd_targeted, attack.fab):
            _expect(part, module, lambda: "margin")


def _steps(part: Any, steps: int) -> None:
    """The number of steps, with the checkpoints that its constructor derives from it."""
    part.n_iter = part.n_iter_orig = steps
    part.n_iter_2 = max(int(0.22 * steps), 1)
    part.n_iter_min = max(int(0.06 * steps), 1)
    part.size_decr = max(int(0.03 * steps), 1)


def _expect(part: Any, module: Any, loss: Callable[[], Loss]) -> None:
    """Tell the module the labels of each of the part's runs."""
    run = part.attack_single_run

    def told(x: Any, y: Any = None, *rest: Any, **named: Any) -> Any:
        with module.expecting(y.cpu().numpy(), loss()):
            return run(x, y, *rest, **named)

    part.attack_single_run = told
