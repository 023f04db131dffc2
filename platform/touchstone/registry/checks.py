"""The intake check of a pushed image: in a process of its own, which reads it from the registry as a stream.

What it found is kept with the image, so that the same image by the same rules is not read twice.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

from runners.spec.images import PUSHED
from touchstone.evaluations.intake import IntakeReport, intake_check
from touchstone.evaluations.services.checks import check_seconds
from touchstone.registry.models import PushedImage
from touchstone.registry.names import Reference, reference_parse
from touchstone.registry.offer import TOKEN_SECONDS, platform_token, registry_url
from touchstone.submissions.models import Submission

#: To be raised when the check looks at more or at less: what was found before then counts no more.
_RULES = 1
#: What another push mends: it is looked at again.
_PASSING = "missing_part"


def pushed_check(*, submission: Submission) -> IntakeReport | None:
    """What is to be said against a submission's pushed image; None for an image of a node's engine."""
    reference = reference_parse(image=submission.image)
    if reference is None:
        return None
    image = _image(submission, reference)
    known = _known(submission, image)
    if known is not None:
        return known
    # A layer is unpacked and hashed as well, so what it unpacks to counts, not what it is packed.
    spec = submission.phase.competition.spec
    size = min((image.size if image else 0) * 4, int(spec["submission"]["resources"]["image"]))
    seconds = check_seconds(size=size)
    token = platform_token(repository=reference.repository, seconds=max(TOKEN_SECONDS, int(seconds) + 60))
    asked = {
        "url": registry_url(), "repository": reference.repository, "digest": reference.digest, "token": token,
    }  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="touchstone-pushed-") as folder:
        path = Path(folder) / PUSHED
        path.write_text(json.dumps(asked), encoding="utf-8")
        report = intake_check(kind="container", file=path, name=PUSHED, spec=spec, ids=None, seconds=seconds)
    if image is not None and not any(defect.get("code") == _PASSING for defect in report.defects):
        checked = {"rules": _rules(spec), "defects": list(report.defects), "facts": report.facts}
        PushedImage.objects.filter(pk=image.pk).update(checked=checked)
    return report


def pushed_is_unread(*, submission: Submission) -> bool:
    """Whether the check would read the image from the registry, which takes its time."""
    reference = reference_parse(image=submission.image)
    return reference is not None and _known(submission, _image(submission, reference)) is None


def _image(submission: Submission, reference: Reference) -> PushedImage | None:
    found = PushedImage.objects.filter(repository=reference.repository, digest=reference.digest)
    return found.filter(participation=submission.participation_id).first()


def _known(submission: Submission, image: PushedImage | None) -> IntakeReport | None:
    if image is None or image.checked.get("rules") != _rules(submission.phase.competition.spec):
        return None
    return IntakeReport(tuple(image.checked["defects"]), dict(image.checked["facts"]))


def _rules(spec: dict[str, Any]) -> str:
    """Stands for all that the verdict depends on besides the image."""
    return hashlib.sha256(json.dumps([_RULES, spec["submission"]], sort_keys=True).encode()).hexdigest()
