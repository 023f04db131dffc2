"""Runs of prediction files evaluated in this process: claimed, judged and reported as a node does it."""

from __future__ import annotations

from pathlib import Path

from runners.contract import FileRef, RunSpec
from runners.judge import LocalFiles, evaluate
from tests.factories.server import node_make
from touchstone.core.storage import blob_open
from touchstone.evaluations.models import Run, RunStatus
from touchstone.evaluations.services import result_accept, run_check, run_claim


def run_everything(folder: Path) -> list[Run]:
    """Check and evaluate whatever was received; the runs as they ended."""
    for key in Run.objects.filter(status=RunStatus.RECEIVED).order_by("created_at").values_list("pk", flat=True):
        run_check(run_id=key)
    node = node_make()
    while (spec := run_claim(node=node, queue="cpu", kinds=["predictions"])) is not None:
        result_accept(node=node, result=_judged(spec, folder / spec.run))
    return list(Run.objects.order_by("created_at"))


def _judged(spec: RunSpec, place: Path):
    folders = {"split": spec.split, "sample": spec.sample, "validation": spec.validation}
    laid = {name: _laid(place / name, part.files) for name, part in folders.items() if part is not None}
    (place / "work").mkdir(parents=True)
    files = LocalFiles(
        split=laid["split"], sample=laid.get("sample"), validation=laid.get("validation"),
        submission=_laid(place / "submission", spec.submission.files),
    )  # fmt: skip
    return evaluate(spec=spec, files=files, engine=None, workdir=place / "work", emit=lambda _event: None)


def _laid(folder: Path, files: tuple[FileRef, ...]) -> Path:
    for file in files:
        target = folder / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        with blob_open(sha256=file.sha256) as source:
            target.write_bytes(source.read())
    return folder
