"""Attributions: how much each number of an input speaks for the class that is explained."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import JsonValue

from runners.attacks.geometry import Bools, Floats, Inputs, Ints, logits, margin, probabilities
from runners.attacks.gradient import ask_gradient
from runners.models.base import Explains, Loss, Model
from runners.registry import Access

Method = Literal["saliency", "gradient_x_input", "integrated_gradients", "occlusion"]
#: Whose maps are looked at: the submission's own where it offers them, else the platform's `method`; its own and no
#: others; the platform's, always.
Source = Literal["offered", "submission", "platform"]
#: What made a map: a method of the platform, or the submission.
Maker = Method | Literal["submission"]

#: Most bytes of changed inputs that are held at once.
_BYTES = 32 * 2**20


@dataclass(frozen=True)
class Explainer:
    """A method and its settings. What is explained is minus the loss: the margin of a class, or its log-probability.

    The submission's own maps have no settings, and explain what it says they do.
    `steps`: points on the path of integrated gradients. `windows`: the most windows that occlusion hides in turn.
    `image`: items are (channels, height, width), and a pixel is hidden in all channels at once.
    """

    method: Maker
    loss: Loss
    steps: int
    windows: int
    image: bool

    def explain(self, model: Model, x: Inputs, base: Inputs, target: Ints) -> Floats:
        """Attributions (n, *shape), float64, in the units of what is explained (saliency: of it per unit of input).

        Positive speaks for `target` (n,); saliency has no sign. `base` (n, *shape): inputs that tell nothing. A
        submission may give an image's pixels one number for all channels: (n, 1, height, width).
        """
        if self.method == "submission":
            if not isinstance(model, Explains):
                raise RuntimeError("only a model with the access `explanations` explains itself")
            return model.explain(x, target)
        if self.method == "occlusion":
            return self._occlusion(model, x, base, target)
        if self.method == "integrated_gradients":
            return self._integrated(model, x, base, target)
        slope = -ask_gradient(model, x, target, self.loss).gradient.astype(np.float64)
        return np.abs(slope) if self.method == "saliency" else slope * (x - base.astype(np.float64))

    def told(self) -> dict[str, JsonValue]:
        """For `details`: what made the maps."""
        if self.method == "submission":
            return {"source": "submission", "inner_passes": "unknown: a question may cost it any number of passes"}
        return {"source": self.method}

    def _integrated(self, model: Model, x: Inputs, base: Inputs, target: Ints) -> Floats:
        """Midpoint rule on the straight path: the attributions sum to the difference between its ends, nearly."""
        way = x - base.astype(np.float64)
        total = np.zeros(x.shape)

        def point(k: int) -> Inputs:
            return (base + (k + 0.5) / self.steps * way).astype(np.float32)

        for part in _parts(self.steps, x.nbytes):
            asked = np.concatenate([point(k) for k in part])
            found = ask_gradient(model, asked, np.tile(target, len(part)), self.loss).gradient
            total -= found.reshape(len(part), *x.shape).sum(axis=0, dtype=np.float64)
        return total / self.steps * way

    def _occlusion(self, model: Model, x: Inputs, base: Inputs, target: Ints) -> Floats:
        """What the explained number loses when a window is replaced by the baseline, spread over the window."""
        windows = hidden_windows(x.shape[1:], self.windows, image=self.image)
        whole = self.value(probabilities(model, x), target)
        answers = ask_steps(model, lambda k: np.where(windows[k], base, x), len(windows))
        total = np.zeros(x.shape)
        for window, answer in zip(windows, answers, strict=True):
            share = (whole - self.value(answer, target)) / window.sum()
            total += share.reshape((-1,) + (1,) * (x.ndim - 1)) * window
        return total

    def value(self, answer: Floats, target: Ints) -> Floats:
        """What is explained, from answers (n, classes): log-probabilities stand for logits, (n,)."""
        z = logits(answer)
        return -margin(z, target) if self.loss == "margin" else z[np.arange(target.size), target]


def ask_steps(model: Model, make: Callable[[int], Inputs], count: int) -> Floats:
    """Answers (count, n, classes) to `make(0)` … `make(count - 1)`, (n, *shape) each; many of them in one question."""
    found = []
    size = make(0).nbytes
    for part in _parts(count, size):
        asked = np.concatenate([make(k) for k in part])
        answer = probabilities(model, asked)
        found.append(answer.reshape(len(part), -1, answer.shape[1]))
    return np.concatenate(found)


def _parts(count: int, size: int) -> Iterator[range]:
    step = max(1, _BYTES // max(1, size))
    return (range(start, min(count, start + step)) for start in range(0, count, step))


def hidden_windows(shape: tuple[int, ...], most: int, *, image: bool) -> Bools:
    """At most `most` windows that cover an item once, (windows, *shape): squares of an image, else runs of numbers."""
    if image:
        height, width = shape[1:]
        side = 1
        while -(-height // side) * -(-width // side) > most:
            side += 1
        rows, columns = np.arange(height) // side, np.arange(width) // side
        place = np.broadcast_to(rows[:, None] * (columns[-1] + 1) + columns, shape)
    else:
        size = int(np.prod(shape))
        place = (np.arange(size) // -(-size // most)).reshape(shape)
    number = np.arange(int(place.max()) + 1).reshape((-1,) + (1,) * len(shape))
    return np.asarray(place == number)


def per_unit(attribution: Floats, *, image: bool) -> Floats:
    """Attributions (n, *shape) as (n, units): a pixel's channels are summed, everything else stands alone."""
    if image:
        attribution = attribution.sum(axis=1)
    return attribution.reshape(attribution.shape[0], -1)


def questions(parameters: Mapping[str, Any], method: Method | None = None) -> int:
    """The most questions that one explanation takes; the submission's own takes one."""
    if parameters["source"] == "submission" and method is None:
        return 1
    each = {
        "saliency": 1, "gradient_x_input": 1,
        "integrated_gradients": parameters["steps"], "occlusion": parameters["windows"] + 1,
    }  # fmt: skip
    return int(each[method or parameters["method"]])


def gradients(parameters: Mapping[str, Any], method: Method | None = None) -> int:
    """The questions among them that are for a gradient."""
    own = parameters["source"] == "submission" and method is None
    return 0 if own or access(method or parameters["method"]) == "queries" else questions(parameters, method)


def access(method: Method) -> Access:
    """What a method asks the model through."""
    return "queries" if method == "occlusion" else "gradients"


def asked_through(parameters: Mapping[str, Any]) -> Access:
    """What a metric of one explanation asks the model through, at the most."""
    return "explanations" if parameters["source"] == "submission" else access(parameters["method"])
