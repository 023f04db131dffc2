"""A data split for a node: there, a split that is not sound is the organiser's fault and ends the run."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from runners.data.room import NoRoom
from runners.data.split import Split, examine_split
from runners.errors import RetryableError, ScorerFault
from runners.spec.models import AggregateSpec, AttributeSpec, InputSpec, TaskSpec


class SplitParts(Protocol):
    """What a split must fit: a `RunSpec` and a `CompetitionSpec` both have it."""

    @property
    def task(self) -> TaskSpec: ...
    @property
    def input(self) -> InputSpec | None: ...
    @property
    def attributes(self) -> dict[str, AttributeSpec]: ...
    @property
    def aggregate(self) -> AggregateSpec | None: ...


def load_split(folder: Path, spec: SplitParts, *, inputs: bool = True, scratch: Path | None = None) -> Split:
    """Read a split whose files have the names of their `FileRef`s.

    Args:
        inputs: False leaves the inputs unread (predictions are scored without them).
        scratch: a folder on a disk for inputs that are not held in memory; default the system's for such files.

    Raises:
        ScorerFault: the folder does not hold a sound split; the text lists what is wrong.
        RetryableError: the node's disk has no room for the inputs.
    """
    try:
        split, defects = examine_split(
            folder,
            task=spec.task,
            input_spec=spec.input,
            attributes=spec.attributes,
            aggregate=spec.aggregate,
            inputs=inputs,
            scratch=scratch,
        )
    except NoRoom as error:
        raise RetryableError(f"The node cannot load a split: {error}.", code="node_disk_full") from error
    if defects:
        lines = [defect.text() for defect in defects[:10]]
        raise ScorerFault(
            "The data split is not sound. " + " ".join(lines),
            hint="Only the organiser can mend it: check the competition folder and import it again.",
            code="bad_split",
        )
    return split
