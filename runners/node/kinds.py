"""Which submissions a node can take, by what its engines can do."""

from __future__ import annotations

from runners.engines.base import Engine
from runners.spec.models import SubmissionKind


def kinds_of(engine: Engine | None) -> tuple[SubmissionKind, ...]:
    """Without an engine a node runs no foreign code: it scores prediction files only."""
    kinds = [SubmissionKind.PREDICTIONS]
    if engine is not None:
        kinds += [SubmissionKind.MODEL, SubmissionKind.CODE]
        if engine.takes_images:
            kinds.append(SubmissionKind.CONTAINER)
    return tuple(kinds)
