"""Room for the inputs of a split: in memory where they are few, else in a file of which rows are read.

Inputs in a file are a `numpy.memmap` like any other array. What was read of it counts as memory of the process until
`release` gives it back; it never counts against a limit of memory, for the system may drop it whenever it likes.
"""

from __future__ import annotations

import errno
import mmap
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

Inputs = npt.NDArray[np.float32]

#: Inputs larger than this lie in a file.
IN_MEMORY = 64 * 2**20
#: Bytes of inputs that are read at once.
CHUNK = 8 * 2**20


class NoRoom(Exception):
    """The disk is too full for the inputs of a split: no fault of the split's."""


def make_room(shape: tuple[int, ...], scratch: Path | None) -> Inputs:
    """An array of float32 to be filled and then given to `sealed`.

    Args:
        scratch: a folder of the attempt's own on a disk; None: the system's folder for such files.

    Raises:
        NoRoom: the disk has no room for them.
    """
    size = int(np.prod(shape, dtype=np.int64)) * 4
    if size <= IN_MEMORY:
        return np.empty(shape, dtype=np.float32)
    # The file has no name: it goes with the last array that reads it, however the attempt ends.
    with tempfile.TemporaryFile(dir=scratch) as file:
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            raise NoRoom(f"no room on the disk for {size / 2**30:.1f} GiB of inputs") from error
        return np.memmap(file, dtype=np.float32, mode="r+", shape=shape)


def sealed(x: Inputs) -> Inputs:
    """The filled array; one in a file is given back, and cannot be changed any more."""
    if isinstance(x, np.memmap):
        release(x)
        x.flags.writeable = False
    return x


def in_order(x: Inputs, order: npt.NDArray[np.int64], scratch: Path | None) -> Inputs:
    """Rows of x in another order; the array itself where that is its own."""
    if order.size == x.shape[0] and bool((order == np.arange(order.size)).all()):
        return x
    if not isinstance(x, np.memmap):
        return x[order]
    out = make_room((order.size, *x.shape[1:]), scratch)
    for part in parts(out):
        out[part] = x[order[part]]
        release(x, out)
    return sealed(out)


def parts(x: Inputs) -> Iterator[slice]:
    """Slices of rows that are read at once."""
    step = max(1, CHUNK // max(1, x[:1].nbytes))
    return (slice(start, min(x.shape[0], start + step)) for start in range(0, x.shape[0], step))


def release(*arrays: Inputs) -> None:
    """Give back what was read or written of arrays in files; others stay as they are. No content changes."""
    for x in arrays:
        held = getattr(x, "_mmap", None)
        if isinstance(held, mmap.mmap):
            held.madvise(mmap.MADV_DONTNEED)  # of a file that is shared: nothing that was written is lost


def mean_item(x: Inputs) -> npt.NDArray[np.float64]:
    """The mean over items, of the shape of one, float64; read in parts."""
    if not isinstance(x, np.memmap):
        return np.asarray(x.mean(axis=0, dtype=np.float64))
    total = np.zeros(x.shape[1:])
    for part in parts(x):
        total += x[part].sum(axis=0, dtype=np.float64)
        release(x)
    total /= x.shape[0]
    return total
