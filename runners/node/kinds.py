"""Which submissions a node can take, by what its engines can do."""

from __future__ import annotations

import os
from collections.abc import Mapping

from runners.engines.base import Engine
from runners.spec.models import SubmissionKind


def kinds_of(engine: Engine | None, environ: Mapping[str, str] = os.environ) -> tuple[SubmissionKind, ...]:
    """Without an engine a node runs no foreign code: it scores prediction files only.

    Endpoints are asked by nodes that may call out of their house: `TOUCHSTONE_ENDPOINTS=0` says that one may not.
    """
    kinds = [SubmissionKind.PREDICTIONS]
    if engine is not None:
        kinds += [SubmissionKind.MODEL, SubmissionKind.CODE]
        if environ.get("TOUCHSTONE_ENDPOINTS", "1") not in ("0", "false", "no"):
            kinds.append(SubmissionKind.ENDPOINT)
        if engine.takes_images:
            kinds.append(SubmissionKind.CONTAINER)
    return tuple(kinds)
