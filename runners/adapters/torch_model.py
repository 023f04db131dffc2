"""A submission as a torch module, for libraries that differentiate torch modules themselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from runners.attacks.geometry import BATCH_BYTES, ValueRange, logits, probabilities
from runners.attacks.gradient import ask_gradient
from runners.models.base import Loss, Model, can_pull

Array = npt.NDArray[Any]
#: Logits below this stand for classes without any chance: finite, so that differences of them are.
_LOWEST = -700.0
#: How far a wanted derivative may be from a known one to count as the same: its direction, relative, or all of it.
_SAME, _ROUNDING = 1e-4, 1e-6
#: A known derivative below this is too flat to be scaled up.
_FLAT = 1e-3


class AskedModule(torch.nn.Module):  # type: ignore[misc] # torch is not read by mypy
    """Asks `model` for logits and gradients; takes items scaled to [0, 1], in any shape with the batch in front.

    Items go to the model in the shape `item` and in its own `value_range`. Where a gradient will be wanted, the first
    question is a gradient itself, so that a forward and a backward pass cost one question: of the cross-entropy, or
    of the margin inside `expecting`, if that is what the loss is made of. What that does not give is asked for in one
    question where the model `pulls`, else as margins.
    `forwards` counts calls of the module, `items` the items in them.
    """

    def __init__(self, model: Model, item: tuple[int, ...], value_range: ValueRange) -> None:
        super().__init__()
        self._model, self._item = model, item
        self._low, self._width = value_range[0], value_range[1] - value_range[0]
        self._expected: tuple[Array, Loss] | None = None
        self.forwards = 0
        self.items = 0
        self.pulls = can_pull(model)

    @contextmanager
    def expecting(self, y: Any, loss: Loss) -> Iterator[None]:
        """The rows asked for are of the labels `y`, and their loss is about this one."""
        before = self._expected
        self._expected = (np.asarray(y, dtype=np.int64), loss)
        try:
            yield
        finally:
            self._expected = before

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits, float32 (n, classes)."""
        self.forwards += 1
        self.items += x.shape[0]
        if not (x.requires_grad and torch.is_grad_enabled()):
            return torch.from_numpy(_decided(self.plain(self.native(x)))).to(x.device)
        answer: torch.Tensor = _Answer.apply(x, self)
        return answer

    def native(self, x: torch.Tensor) -> Array:
        """The items as the model takes them."""
        array: Array = x.detach().cpu().numpy().reshape(-1, *self._item)
        if (self._low, self._width) == (0.0, 1.0):
            return array.astype(np.float32)
        return np.asarray(self._low + array.astype(np.float64) * self._width, dtype=np.float32)

    def plain(self, x: Array) -> Array:
        """Logits of items as the model takes them, by a question for probabilities."""
        return np.maximum(logits(probabilities(self._model, x)), _LOWEST)

    def expected(self, n: int) -> tuple[Array, Loss] | None:
        return self._expected if self._expected is not None and self._expected[0].size == n else None

    def learn(self, wanted: Array, z: Array) -> None:
        """The next margin asked for is of the logit that counted most in this loss, beside the largest.

        A targeted loss is about another class than the label: after its first step that costs no question of its own.
        """
        expected = self.expected(z.shape[0])
        if expected is None or expected[1] != "margin":
            return
        weight = np.abs(wanted)
        weight[np.arange(z.shape[0]), z.argmax(axis=1)] = 0.0
        self._expected = (np.where(weight.any(axis=1), weight.argmax(axis=1), expected[0]), "margin")

    def pull(self, x: Array, weights: Array) -> Array:
        """The gradient of the weighted logits, in the units of the scaled items; only where the model `pulls`."""
        model: Any = self._model
        step = max(1, BATCH_BYTES // max(1, x[0].nbytes))
        with torch.enable_grad():
            parts = [model.pull(x[i : i + step], weights[i : i + step]).gradient for i in range(0, len(x), step)]
        return np.concatenate(parts) * np.float32(self._width)

    def ask(self, x: Array, y: Array, loss: Loss) -> tuple[Array, Array]:
        """Logits, and the gradient of the loss in the units of the scaled items."""
        with torch.enable_grad():  # a model of this process may be of torch itself, and here it is switched off
            answer = ask_gradient(self._model, x, y, loss)
        return np.maximum(answer.logits, _LOWEST), answer.gradient * np.float32(self._width)


class _Answer(torch.autograd.Function):  # type: ignore[misc]
    """Logits, whose backward pass asks the model for the gradients of its own losses and combines them."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, module: AskedModule) -> torch.Tensor:
        native = module.native(x)
        known = None
        hint = module.expected(native.shape[0])
        if hint is not None:
            y, loss = hint
            z, gradient = module.ask(native, y, loss)
            known = (_derivative(z, y, loss), gradient)
        else:
            z = module.plain(native)
        ctx.module, ctx.native, ctx.z, ctx.known, ctx.shape = module, native, z, known, x.shape
        return torch.from_numpy(_decided(z)).to(x.device)

    @staticmethod
    def backward(ctx: Any, *wanted: torch.Tensor) -> tuple[torch.Tensor, None]:
        weights = wanted[0].detach().cpu().numpy().astype(np.float64)
        gradient = _pull(ctx.module, ctx.native, ctx.z, ctx.known, weights)
        ctx.module.learn(weights, ctx.z)
        return torch.from_numpy(gradient.reshape(ctx.shape)).to(wanted[0].device), None


def _decided(z: Array) -> npt.NDArray[np.float32]:
    """Logits in float32, where the model's own class is above all others also where it is one of several equals.

    Libraries count a tie as an example, and some fail on what they then find: the judge does not.
    """
    answer = z.astype(np.float32)
    if np.count_nonzero(answer == answer.max(axis=1, keepdims=True)) > z.shape[0]:
        rows, top = np.arange(z.shape[0]), z.argmax(axis=1)
        others = answer.copy()
        others[rows, top] = -np.inf
        tied = np.flatnonzero(others.max(axis=1) >= answer[rows, top])
        answer[tied, top[tied]] = np.nextafter(others[tied].max(axis=1), np.float32(np.inf))
    return answer


def _derivative(z: Array, y: Array, loss: Loss) -> Array:
    """Of the loss with respect to the logits, (n, classes)."""
    rows, out = np.arange(y.size), np.zeros(z.shape)
    if loss == "cross_entropy":
        out = np.exp(z - z.max(axis=1, keepdims=True))
        out /= out.sum(axis=1, keepdims=True)
    else:
        others = z.copy()
        others[rows, y] = -np.inf
        out[rows, others.argmax(axis=1)] = 1.0
    out[rows, y] -= 1.0
    return np.asarray(out)


def _along(wanted: Array, direction: Array) -> tuple[Array, Array]:
    """The multiple of each row of `direction` that is nearest to `wanted`, and whether it is all of it."""
    squares = (direction**2).sum(axis=1)
    factor = (wanted * direction).sum(axis=1) / np.where(squares > 0, squares, 1.0)
    left = np.abs(wanted - factor[:, None] * direction).max(axis=1)
    return factor, left <= np.maximum(_SAME * np.abs(wanted).max(axis=1), np.finfo(np.float64).tiny)


def _pull(module: AskedModule, x: Array, z: Array, known: tuple[Array, Array] | None, wanted: Array) -> Array:
    """The gradient of the sum of `wanted` times logits, float32 in the shape of x.

    Every loss of the field depends on differences of logits only, and each of these is a difference of margins
    against the largest logit. A single logit is answered relative to the largest: its differences are exact.
    """
    out = np.zeros(x.shape, dtype=np.float32)
    left = wanted.copy()
    if known is not None:
        factor, whole = _along(wanted, known[0])
        # A sure model's derivative is lost in float32, but the model's own gradient need not be.
        equal = np.abs(wanted - known[0]).max(axis=1) <= _ROUNDING
        factor, whole = np.where(equal, 1.0, factor), whole | equal
        out[whole] += _rows(factor[whole], x) * known[1][whole]
        left[whole] = 0.0
    if module.pulls:
        rows = np.flatnonzero(left.any(axis=1))
        if rows.size:
            out[rows] += module.pull(x[rows], left[rows])
        return out
    rows = np.flatnonzero((left != 0).sum(axis=1) > 2)
    if rows.size:
        _cross_entropies(module, x, z, left, rows, out)
    _margins(module, x, z, known, left, out)
    return out


def _rows(values: Array, x: Array) -> Array:
    return values.astype(np.float32).reshape((-1,) + (1,) * (x.ndim - 1))


def _cross_entropies(module: AskedModule, x: Array, z: Array, left: Array, rows: Array, out: Array) -> None:
    """Answer rows that are a cross-entropy's derivative by one question each."""
    label = left[rows].argmin(axis=1)
    factor, whole = _along(left[rows], _derivative(z[rows], label, "cross_entropy"))
    rows, label, factor = rows[whole], label[whole], factor[whole]
    if rows.size:
        out[rows] += _rows(factor, x) * module.ask(x[rows], label, "cross_entropy")[1]
        left[rows] = 0.0


def _margins(
    module: AskedModule, x: Array, z: Array, known: tuple[Array, Array] | None, left: Array, out: Array
) -> None:
    """Answer what is left as differences between each class and the largest; all questions in one round trip."""
    everything = np.arange(x.shape[0])
    top = z.argmax(axis=1)
    left[everything, top] = 0.0
    if known is not None:
        # A known difference of two logits, one of them the largest, saves its question.
        size = known[0][everything, top]
        rows = np.flatnonzero(((known[0] != 0).sum(axis=1) == 2) & (np.abs(size) > _FLAT))
        pair = known[0][rows].copy()
        pair[np.arange(rows.size), top[rows]] = 0.0
        label = np.abs(pair).argmax(axis=1)
        factor = -left[rows, label] / size[rows]
        out[rows] += _rows(factor, x) * known[1][rows]
        left[rows, label] = 0.0
    rows, label = np.nonzero(left)
    if rows.size:
        gradient = module.ask(x[rows], label.astype(np.int64), "margin")[1]
        np.add.at(out, rows, _rows(-left[rows, label], x) * gradient)
