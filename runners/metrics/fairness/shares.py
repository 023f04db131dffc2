"""The rates that group metrics compare: each a share of one set of cells in another of the table `[y, yhat]`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
#: Cells `(y, yhat)` of the table.
TN, FP, FN, TP = (0, 0), (0, 1), (1, 0), (1, 1)
Cells = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Share:
    """`part` over `whole`, both sums of cells. `empty` says what is lacking where `whole` has no item.

    `proportion` is False for an odds-like ratio whose part is not within its whole.
    """

    title: str
    part: Cells
    whole: Cells
    empty: str
    proportion: bool = True

    def counts(self, tables: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """(part, whole) of tables `[..., y, yhat]`."""
        return _sum(tables, self.part), _sum(tables, self.whole)

    def of(self, tables: npt.NDArray[Any]) -> FloatArray:
        """The share in each table `[..., y, yhat]`; NaN where there is nothing to divide by."""
        part, whole = self.counts(tables)
        out = np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=np.asarray(whole) > 0)
        return np.asarray(out, dtype=np.float64)

    def trials(self, y: npt.NDArray[np.bool_], yhat: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Which items count in the whole, (n,)."""
        return _among(self.whole, y, yhat)

    def hits(self, y: npt.NDArray[np.bool_], yhat: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Which items count in the part, (n,)."""
        return _among(self.part, y, yhat)


def _sum(tables: npt.NDArray[Any], cells: Cells) -> npt.NDArray[Any]:
    total = tables[(..., *cells[0])].copy()
    for cell in cells[1:]:
        total = total + tables[(..., *cell)]
    return np.asarray(total)


def _among(cells: Cells, y: npt.NDArray[np.bool_], yhat: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    member = np.zeros((2, 2), dtype=bool)
    for cell in cells:
        member[cell] = True
    return np.asarray(member[y.astype(np.intp), yhat.astype(np.intp)])


_ALL: Cells = (TN, FP, FN, TP)
_NOBODY = "has no item"
_NO_TRUE = "has no item whose true outcome is the one in question"
_NO_FALSE = "has only items whose true outcome is the one in question"
_NO_CALLED = "has no item that is predicted to have the outcome in question"
_ALL_CALLED = "has only items that are predicted to have the outcome in question"

#: By the field's name. "The outcome in question" is the favourable one, or the positive one where a metric says so.
SHARES: Mapping[str, Share] = MappingProxyType(
    {
        "base_rate": Share("base rate", (FN, TP), _ALL, _NOBODY),
        "selection_rate": Share("selection rate", (FP, TP), _ALL, _NOBODY),
        "true_positive_rate": Share("true positive rate", (TP,), (FN, TP), _NO_TRUE),
        "false_negative_rate": Share("false negative rate", (FN,), (FN, TP), _NO_TRUE),
        "false_positive_rate": Share("false positive rate", (FP,), (TN, FP), _NO_FALSE),
        "true_negative_rate": Share("true negative rate", (TN,), (TN, FP), _NO_FALSE),
        "positive_predictive_value": Share("positive predictive value", (TP,), (FP, TP), _NO_CALLED),
        "false_discovery_rate": Share("false discovery rate", (FP,), (FP, TP), _NO_CALLED),
        "negative_predictive_value": Share("negative predictive value", (TN,), (TN, FN), _ALL_CALLED),
        "false_omission_rate": Share("false omission rate", (FN,), (TN, FN), _ALL_CALLED),
        "accuracy": Share("accuracy", (TN, TP), _ALL, _NOBODY),
        "error_rate": Share("error rate", (FP, FN), _ALL, _NOBODY),
        "treatment_equality": Share(
            "false negatives over false positives", (FN,), (FP,), "has no false positive", proportion=False
        ),
    }
)
