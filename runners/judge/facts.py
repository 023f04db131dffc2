"""What is known of a submission besides its answers: how large it is, what it holds, what it used."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runners.context import SubmissionFacts
from runners.contract import RunSpec
from runners.models.served import ServedModel
from runners.spec.models import SubmissionKind

_OUTSIDE = "only the file of a `model` submission can be looked into: what else runs in a sandbox is not known"


def submission_facts(spec: RunSpec, folder: Path, model: ServedModel) -> SubmissionFacts:
    """Facts of a submission that was asked; call it when every item was answered once.

    Args:
        folder: the artifact as it was submitted; empty for an image of a registry.
    """
    files = [path for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []
    size = sum(path.stat().st_size for path in files) if files else None
    image = spec.submission.kind is SubmissionKind.CONTAINER
    return SubmissionFacts(
        model_bytes=None if image else size,
        image_bytes=size if image else None,
        parameters=_count(model.offer, "parameters"),
        flops=_count(model.offer, "flops"),
        uncounted=str(model.offer.get("uncounted", "")) if model.offer else _OUTSIDE,
        # Looks from outside miss what was short: a number that is too low is none to compare by.
        peak_memory=None if model.samples_memory else model.peak_memory(),
    )


def _count(offer: Mapping[str, Any], key: str) -> int | None:
    value = offer.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
