"""The intake check of a pushed image: in a process of its own, which reads it from the registry as a stream."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from runners.spec.images import PUSHED
from touchstone.evaluations.intake import IntakeReport, intake_check
from touchstone.registry.names import reference_parse
from touchstone.registry.offer import platform_token, registry_url
from touchstone.submissions.models import Submission


def pushed_check(*, submission: Submission, seconds: float) -> IntakeReport | None:
    """What is to be said against a submission's pushed image; None for an image of a node's engine."""
    reference = reference_parse(image=submission.image)
    if reference is None:
        return None
    asked = {
        "url": registry_url(),
        "repository": reference.repository,
        "digest": reference.digest,
        "token": platform_token(repository=reference.repository),
    }
    with tempfile.TemporaryDirectory(prefix="touchstone-pushed-") as folder:
        path = Path(folder) / PUSHED
        path.write_text(json.dumps(asked), encoding="utf-8")
        spec = submission.phase.competition.spec
        return intake_check(kind="container", file=path, name=PUSHED, spec=spec, ids=None, seconds=seconds)
