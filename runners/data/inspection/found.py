"""What the readers of inputs hand on: facts, hashes of items, and how first items look."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from runners.spec.defects import Defect

Hashes = npt.NDArray[np.uint64]

#: First items that are shown.
SHOWN = 10
#: Longest text of a cell, an id or a value that a report holds.
TEXT = 80
#: Distinct values listed of a column; of more only their number is told.
VALUES = 50


@dataclass
class FoundInputs:
    """Inputs of a split. `hashes` are of the bytes of each item, in the order of `ids`.

    `kind` is tabular, image or array; `shape` that of most items; `missing` counts items with gaps or numbers that
    are not finite.
    """

    kind: str
    ids: list[str] = field(default_factory=list)
    hashes: Hashes = field(default_factory=lambda: np.empty(0, np.uint64))
    shape: tuple[int, ...] = ()
    dtype: str = ""
    low: float | None = None
    high: float | None = None
    missing: int = 0
    columns: list[dict[str, Any]] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    pictures: list[dict[str, str]] = field(default_factory=list)
    defects: list[Defect] = field(default_factory=list)

    def note(self, code: str, message: str, file: str, hint: str = "") -> None:
        """Add a defect of the file."""
        self.defects.append(Defect(code, message, file=file, hint=hint))

    def widen(self, low: float, high: float) -> None:
        """Take smallest and largest of another part."""
        self.low = low if self.low is None else min(self.low, low)
        self.high = high if self.high is None else max(self.high, high)

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "kind": self.kind, "n": len(self.ids), "shape": list(self.shape), "dtype": self.dtype,
            "range": [self.low, self.high], "missing": self.missing, "columns": self.columns, "rows": self.rows,
            "pictures": self.pictures,
        }  # fmt: skip


def hash_of(*parts: bytes) -> int:
    """A number that equal bytes share. 64 bits: enough for equality within some millions of items."""
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        digest.update(part)
    return int.from_bytes(digest.digest(), "little")


def short(value: object) -> str:
    """A cell, an id or a value as a report shows it."""
    text = "" if value is None else str(value)
    text = text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "\ufffd")
    return text if len(text) <= TEXT else text[: TEXT - 1] + "…"
