"""Small questions about Arrow columns that every reader of tables asks."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from runners.attributes import Attribute
from runners.spec.defects import shortened

Names = npt.NDArray[np.object_]


def objects(array: Any) -> Names:
    """An Arrow text column as an object array of str or None."""
    out: Names = np.empty(len(array), dtype=object)
    out[:] = array.to_pylist()
    return out


def ids_array(ids: Names) -> Any:
    """Ids as an Arrow text array."""
    return pa.array(ids, type=pa.string())


def text_or_none(array: Any) -> Names:
    """The same, with empty text as None (unknown)."""
    return objects(pc.if_else(pc.equal(array, ""), pa.scalar(None, pa.string()), array))


def coded(array: Any) -> Attribute:
    """An Arrow text column as the codes of an attribute; empty text is unknown. No string is made for an item."""
    found = array.dictionary_encode()
    names = [str(name) for name in found.dictionary.to_pylist()]
    codes = pc.fill_null(found.indices, -1).to_numpy(zero_copy_only=False)
    if "" in names:
        codes = np.where(codes == names.index(""), np.int32(-1), codes)
    return Attribute.numbered(names, codes)


def positions(values: Any, known: Any) -> npt.NDArray[np.int64]:
    """Index of each value in `known`, -1 where it is not there."""
    found = pc.fill_null(pc.index_in(values, value_set=known), -1)
    result: npt.NDArray[np.int64] = found.to_numpy(zero_copy_only=False).astype(np.int64)
    return result


def doubled(ids: Any) -> tuple[int, list[str]]:
    """How many distinct ids occur more than once, and all of them in order of first occurrence."""
    counts = pc.value_counts(pc.drop_null(ids))
    twice = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")
    return len(twice), [str(value) for value in twice.to_pylist()]


def examples(values: list[str]) -> str:
    """The first five of a list, in words."""
    return shortened(values, limit=5)


def plural(count: int, noun: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
