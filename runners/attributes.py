"""An attribute of a split's items: its values once, and for each item a small integer that says which it has.

Names are looked up when a split is read, never again: what counts items reads the integers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Names = npt.NDArray[np.object_]
Codes = npt.NDArray[np.integer[Any]]
Bools = npt.NDArray[np.bool_]

#: Names looked up at once.
_CHUNK = 1 << 16


@dataclass(frozen=True, eq=False)
class Attribute:
    """Reads like the array of strings and None that it stands for, and cannot be written to.

    `names`: the values, sorted, each once; some may occur in no item. `codes`: (n,), int8, int16 or int32, the index
    of each item's value in `names`, -1 where it is unknown.

    Raises:
        ValueError: the names are not sorted or stand twice, or a code names none of them.
    """

    names: tuple[str, ...]
    codes: Codes

    def __post_init__(self) -> None:
        if any(a >= b for a, b in zip(self.names, self.names[1:], strict=False)):
            raise ValueError("the names of an attribute are sorted and each stands once")
        if self.codes.size and not -1 <= int(self.codes.min()) <= int(self.codes.max()) < len(self.names):
            raise ValueError(f"the codes of an attribute of {len(self.names)} values are -1..{len(self.names) - 1}")

    @classmethod
    def of(cls, values: Attribute | Sequence[object] | npt.NDArray[Any]) -> Attribute:
        """From one value an item. None and the empty string are unknown; what is no text is written as text."""
        if isinstance(values, Attribute):
            return values
        coder, found = _Coder(), np.empty(len(values), dtype=np.int32)
        for start in range(0, len(values), _CHUNK):
            part = values[start : start + _CHUNK]
            items = part.tolist() if isinstance(part, np.ndarray) else part
            found[start : start + _CHUNK] = np.fromiter(map(coder.__getitem__, items), np.int32, count=len(part))
        return cls.numbered(tuple(coder.names), found)

    @classmethod
    def numbered(cls, names: Sequence[str], codes: Codes) -> Attribute:
        """From names in any order, each once, and the index of each item's own, -1 where unknown. Copies `codes`."""
        order = sorted(range(len(names)), key=names.__getitem__)
        place = np.full(len(names) + 1, -1, dtype=_narrow(len(names)))
        place[order] = np.arange(len(names))
        return cls(tuple(names[i] for i in order), place[codes])  # -1 picks the -1 at the end

    @property
    def shape(self) -> tuple[int]:
        return (self.codes.shape[0],)

    @property
    def known(self) -> Bools:
        """Which items have a value."""
        return np.asarray(self.codes >= 0)

    def sizes(self) -> dict[str, int]:
        """Items of each value that occurs, in order of name."""
        counts = np.bincount(self.codes[self.codes >= 0], minlength=len(self.names))
        return {name: int(size) for name, size in zip(self.names, counts.tolist(), strict=True) if size}

    def tolist(self) -> list[str | None]:
        table = (*self.names, None)
        return [table[code] for code in self.codes.tolist()]

    def __len__(self) -> int:
        return int(self.codes.shape[0])

    def __iter__(self) -> Iterator[str | None]:
        return iter(self.tolist())

    def __getitem__(self, rows: Any) -> Any:
        """The value of one row; of several an `Attribute` with the same names."""
        codes = self.codes[rows]
        if isinstance(codes, np.ndarray):
            return Attribute(self.names, codes)
        return (*self.names, None)[int(codes)]

    def __eq__(self, value: object) -> Bools:  # type: ignore[override]
        """Which items have this value, (n,), as of an array of strings."""
        return np.asarray(self.codes == (self.names.index(value) if value in self.names else -2))

    def __ne__(self, value: object) -> Bools:  # type: ignore[override]
        return ~(self == value)

    __hash__ = None  # type: ignore[assignment]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """An object array of strings and None."""
        if copy is False:
            raise ValueError("an attribute holds no array of its values")
        table: Names = np.empty(len(self.names) + 1, dtype=object)
        table[:] = (*self.names, None)
        return np.asarray(table[self.codes], dtype=dtype)


class _Coder(dict[object, int]):
    """Values as integers in the order they are met, -1 for an unknown one: a dictionary that learns."""

    def __init__(self) -> None:
        super().__init__()
        self.names: dict[str, int] = {}

    def __missing__(self, value: object) -> int:
        code = -1 if value is None or value == "" else self.names.setdefault(str(value), len(self.names))
        self[value] = code
        return code


def _narrow(size: int) -> type[np.signedinteger[Any]]:
    return np.int8 if size <= 1 << 7 else np.int16 if size <= 1 << 15 else np.int32
