"""Data splits: a folder of inputs, labels, attributes and clusters, all keyed by item id."""

from runners.data.load import SplitParts, load_split
from runners.data.split import Split, examine_split
from runners.spec.files import SplitFile, part_of, split_digest, split_files

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
