"""A model behind a defence: a model itself, whose gradients pass through the defence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from runners.errors import ScorerFault, UserError
from runners.models.base import Access, Gradient, Loss, Model, Pulls, can_pull
from runners.registry import DefenceInfo, get_defence, parse_parameters


class DefendedModel:
    """Implements `runners.models.base.Model`: every input is changed by the defence before the model sees it.

    An attack on it is adaptive: it asks, and differentiates, the pipeline that defends. `queries` and `calls` are
    those of the model inside.
    """

    def __init__(
        self, model: Model, info: DefenceInfo, *, value_range: tuple[float, float], parameters: Mapping[str, Any]
    ) -> None:
        self.info = info
        self.parameters = dict(parameters)
        self.reasons: dict[str, str] = getattr(model, "reasons", {})
        self._model, self._range = model, value_range

    @property
    def access(self) -> frozenset[Access]:
        return self._model.access

    @access.setter
    def access(self, value: frozenset[Access]) -> None:
        raise AttributeError("a defended model gives the access of the model inside")

    @property
    def queries(self) -> int:
        return self._model.queries

    @queries.setter
    def queries(self, value: int) -> None:
        raise AttributeError("questions are counted by the model inside")

    @property
    def calls(self) -> int:
        return self._model.calls

    @calls.setter
    def calls(self, value: int) -> None:
        raise AttributeError("questions are counted by the model inside")

    def predict(self, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Class probabilities of the defended inputs, (n, classes)."""
        changed, _ = self.info.function(x, value_range=self._range, **self.parameters)
        return self._model.predict(changed)

    def gradient(
        self, x: npt.NDArray[np.float32], y: npt.NDArray[np.int64], *, loss: Loss = "cross_entropy"
    ) -> Gradient:
        """Loss of the defended x against y and its gradient with respect to x itself.

        Raises `NotImplementedError` unless the model inside gives gradients.
        """
        changed, back = self.info.function(x, value_range=self._range, **self.parameters)
        answer = self._model.gradient(changed, y, loss=loss)
        gradient = np.asarray(back(answer.gradient), dtype=np.float32)
        return Gradient(loss=answer.loss, gradient=gradient, logits=answer.logits)

    @property
    def pulls(self) -> bool:
        """Whether the model inside does."""
        return can_pull(self._model)

    def pull(self, x: npt.NDArray[np.float32], weights: npt.NDArray[np.float64]) -> Gradient:
        """Weighted logits of the defended x, and their gradient with respect to x itself; where `pulls`."""
        if not isinstance(self._model, Pulls):
            raise NotImplementedError("the model inside differentiates its own losses only")
        changed, back = self.info.function(x, value_range=self._range, **self.parameters)
        answer = self._model.pull(changed, weights)
        gradient = np.asarray(back(answer.gradient), dtype=np.float32)
        return Gradient(loss=answer.loss, gradient=gradient, logits=answer.logits)


def defended(
    model: Model, name: str, *, value_range: tuple[float, float], parameters: Mapping[str, Any] | None = None
) -> DefendedModel:
    """The model behind the defence of this name.

    Raises:
        ScorerFault: there is no such defence, or its parameters are wrong.
    """
    try:
        info = get_defence(name)
    except UserError as error:
        raise ScorerFault(error.message, hint=error.hint, code=error.code) from error
    typed = parse_parameters(info, parameters or {})
    return DefendedModel(model, info, value_range=value_range, parameters=typed)
