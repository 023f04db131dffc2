"""Data splits: a folder of inputs, labels, attributes and clusters, all keyed by item id.

Arrays and tables are loaded when a split is read: `runners.data.sniff` and what checks zips and images need neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runners.spec.files import SplitFile, part_of, split_digest, split_files

if TYPE_CHECKING:
    from runners.data.load import SplitParts, load_split
    from runners.data.split import Split, examine_split

__all__ = [
    "Split",
    "SplitFile",
    "SplitParts",
    "examine_split",
    "load_split",
    "part_of",
    "split_digest",
    "split_files",
]


def __getattr__(name: str) -> Any:
    if name in ("SplitParts", "load_split"):
        from runners.data import load

        return getattr(load, name)
    if name in ("Split", "examine_split"):
        from runners.data import split

        return getattr(split, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
