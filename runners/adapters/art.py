"""ART's evasion attacks on a submission. ART is imported only where one of them runs.

What of ART 1.20.1 is mended here: HopSkipJump hands float64 items to a float32 model under numpy 2; random starts come
from unseeded generators; Square takes no plain black box; DeepFool multiplies its steps by the width of the value
range, so that ART gets items scaled to [0, 1].
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from runners.attacks.geometry import Inputs, Ints, Norm, ValueRange, ask, into_ball, logits, probabilities, where_found
from runners.errors import ScorerFault
from runners.models.base import Model

_NORMS: dict[Norm, float] = {"linf": np.inf, "l2": 2}
#: Attacks whose examples belong into the ball; the others look for the nearest ones.
_BOUNDED = frozenset({"fgsm", "pgd", "square", "universal"})
#: ART's Square draws places below height - side, and its l2 tiles need two rows and columns each.
_LEAST_SIDE: dict[Norm, int] = {"linf": 2, "l2": 10}
#: Steps of the DeepFool inside the universal perturbation.
_DEEPFOOL_STEPS = 50
_UNIT = (0.0, 1.0)


def generate(
    name: str,
    model: Model,
    x: Inputs,
    y: Ints,
    *,
    norm: Norm,
    eps: float,
    value_range: ValueRange,
    rng: np.random.Generator,
    options: Mapping[str, Any],
) -> Inputs:
    """Run ART's attack of our name with ART's own `options`: the items, changed where an example was found.

    `start` among the options is an example for each item (the item itself without one): from there a decision-based
    attack walks on, and items without one are not attacked.

    Raises:
        ScorerFault: ART has no such attack for items of this shape.
    """
    if x.shape[0] == 0:
        return x.copy()
    low, width = value_range[0], value_range[1] - value_range[0]
    given = dict(options)
    start = given.pop("start", None)
    if "eps_step" in given:
        given["eps_step"] /= width
    chosen = np.arange(x.shape[0])
    if start is not None:
        chosen = np.flatnonzero((start != x).reshape(x.shape[0], -1).any(axis=1))
        given["start"] = _scaled(start[chosen], value_range)
    out = x.copy()
    if chosen.size:
        with _seeded(rng), _quiet():
            job = _Job(model, _scaled(x[chosen], value_range), y[chosen], norm, eps / width, value_range)
            found = np.nan_to_num(_BUILDERS[name](job, given).astype(np.float64))
        out[chosen] = np.clip(low + found * width, *value_range).astype(np.float32)
    if name in _BOUNDED:
        out = into_ball(out.astype(np.float64), x, np.full(x.shape[0], eps), norm, value_range)
    return where_found(x, out, ask(model, out) != y)


def _scaled(x: Inputs, value_range: ValueRange) -> Inputs:
    low, high = value_range
    return ((x.astype(np.float64) - low) / (high - low)).astype(np.float32)


@contextmanager
def _seeded(rng: np.random.Generator) -> Iterator[None]:
    """ART draws from the generators of the whole process: seeded here, and put back afterwards."""
    import torch

    before, python = np.random.get_state(), random.getstate()
    try:
        with torch.random.fork_rng(devices=[]):
            seed = int(rng.integers(2**32))
            np.random.seed(seed)
            random.seed(seed)
            torch.manual_seed(seed)
            yield
    finally:
        np.random.set_state(before)
        random.setstate(python)


@contextmanager
def _quiet() -> Iterator[None]:
    """ART warns about its own imports and numbers; none of it is about the submission."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


@dataclass(frozen=True)
class _Job:
    """What an attack is run on, scaled to [0, 1], and ART's estimators of it. `value_range` is the model's own."""

    model: Model
    x: Inputs
    y: Ints
    norm: Norm
    eps: float
    value_range: ValueRange

    @property
    def ball(self) -> dict[str, Any]:
        return {"norm": _NORMS[self.norm], "eps": self.eps}

    def _classes(self) -> int:
        return int(probabilities(self.model, self.x[:1]).shape[1])

    def black_box(self) -> Any:
        """Logits by questions. The cast keeps HopSkipJump's float64 arithmetic from the model."""
        from art.estimators.classification import BlackBoxClassifierNeuralNetwork

        low, high = self.value_range

        def predict(points: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
            asked = (low + np.clip(points.astype(np.float64), 0.0, 1.0) * (high - low)).astype(np.float32)
            return logits(probabilities(self.model, asked)).astype(np.float32)

        shape = self.x.shape[1:]
        return BlackBoxClassifierNeuralNetwork(predict, shape, self._classes(), clip_values=_UNIT)

    def white_box(self) -> Any:
        """A torch module that asks for logits and gradients."""
        import torch
        from art.estimators.classification import PyTorchClassifier

        from runners.adapters.torch_model import AskedModule

        shape = self.x.shape[1:]
        module = torch.nn.Sequential(AskedModule(self.model, shape, self.value_range))
        return PyTorchClassifier(
            module, torch.nn.CrossEntropyLoss(), shape, self._classes(), clip_values=_UNIT, device_type="cpu"
        )

    def run(self, attack: Any, **more: Any) -> Any:
        return attack.generate(x=self.x, y=self.y, **more)


def _fgsm(job: _Job, options: dict[str, Any]) -> Any:
    from art.attacks.evasion import FastGradientMethod

    return job.run(FastGradientMethod(job.white_box(), **job.ball, batch_size=len(job.x), **options))


def _pgd(job: _Job, options: dict[str, Any]) -> Any:
    from art.attacks.evasion import ProjectedGradientDescent

    return job.run(
        ProjectedGradientDescent(job.white_box(), **job.ball, batch_size=len(job.x), verbose=False, **options)
    )


def _square(job: _Job, options: dict[str, Any]) -> Any:
    from art.attacks.evasion import SquareAttack

    least = _LEAST_SIDE[job.norm]
    if job.x.ndim != 4 or min(job.x.shape[2:]) < least:
        raise ScorerFault(
            f"ART's Square in {job.norm} takes images of at least {least} x {least}, "
            f"not items of shape {list(job.x.shape[1:])}.",
            hint="Ours takes items of any shape: leave `engine` out.",
        )
    return job.run(SquareAttack(job.black_box(), **job.ball, batch_size=len(job.x), verbose=False, **options))


def _hop_skip_jump(job: _Job, options: dict[str, Any]) -> Any:
    from art.attacks.evasion import HopSkipJump

    start = options.pop("start")
    return job.run(HopSkipJump(job.black_box(), norm=_NORMS[job.norm], verbose=False, **options), x_adv_init=start)


def _boundary(job: _Job, options: dict[str, Any]) -> Any:
    from art.attacks.evasion import BoundaryAttack

    start = options.pop("start")
    return job.run(BoundaryAttack(job.black_box(), targeted=False, verbose=False, **options), x_adv_init=start)


def _universal(job: _Job, options: dict[str, Any]) -> Any:
    from art.attacks.evasion import UniversalPerturbation

    attack = UniversalPerturbation(
        job.white_box(), attacker="deepfool", attacker_params={"verbose": False, "max_iter": _DEEPFOOL_STEPS},
        delta=1e-9, **job.ball, batch_size=len(job.x), verbose=False, **options,
    )  # fmt: skip
    return job.run(attack)


def _deepfool(job: _Job, options: dict[str, Any]) -> Any:
    from art.attacks.evasion import DeepFool

    return job.run(DeepFool(job.white_box(), batch_size=len(job.x), verbose=False, **options))


def _carlini_wagner(job: _Job, options: dict[str, Any]) -> Any:
    from art.attacks.evasion import CarliniL2Method

    return job.run(CarliniL2Method(job.white_box(), batch_size=len(job.x), verbose=False, **options))


_BUILDERS: dict[str, Callable[[_Job, dict[str, Any]], Any]] = {
    "fgsm": _fgsm,
    "pgd": _pgd,
    "square": _square,
    "hop_skip_jump": _hop_skip_jump,
    "boundary": _boundary,
    "universal": _universal,
    "deepfool": _deepfool,
    "carlini_wagner": _carlini_wagner,
}
