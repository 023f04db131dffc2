"""A progress bar on stderr where a person looks, else one line a stage."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from touchstone_client.cli import output
from touchstone_client.transfer import Progress, Stage


@contextmanager
def bar(name: str) -> Iterator[Progress]:
    """A callback for transfers; the bar is gone when the block ends."""
    name = output.printable(name)  # the server's, maybe
    if not sys.stderr.isatty():
        yield _lines(name)
        return
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=output.console(stderr=True), transient=True) as bars:
        task = bars.add_task(name, total=None)

        def show(stage: Stage, done: int, size: int) -> None:
            bars.update(task, description=f"{stage} {name}", completed=done, total=size or None)

        yield show


def _lines(name: str) -> Progress:
    told: set[Stage] = set()

    def show(stage: Stage, done: int, size: int) -> None:
        if stage not in told:
            told.add(stage)
            output.talk(f"{stage} {name} ({megabytes(size)})" if size else f"{stage} {name}")

    return show


def megabytes(size: int) -> str:
    """`size` bytes as people read them."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError("unreachable")
