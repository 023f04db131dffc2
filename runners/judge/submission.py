"""From the files of a submission to what an engine can start: a folder, or an image."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from runners.contract import RunSpec, Verdict
from runners.engines.base import Engine
from runners.errors import ParticipantFault, RetryableError, UserError
from runners.spec.bundle import ArchiveError, extract_zip
from runners.spec.models import SubmissionKind

MODEL_FILE = "model.onnx"
_MAIN = "main.py"


@dataclass(frozen=True)
class Startable:
    """What `open_model` takes: one of the two is given. `loaded`: the image came as an archive, with the submission."""

    folder: Path | None = None
    image: str | None = None
    loaded: bool = False


def only_file(folder: Path, *, what: str) -> Path:
    """The one file of a submission.

    Raises:
        ParticipantFault: there is none, or more than one.
    """
    found = sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []
    if len(found) != 1:
        raise _refused(f"A {what} submission is one file; this one has {len(found)}.", "Submit one file.")
    return found[0]


def prepare(spec: RunSpec, submission: Path, *, engine: Engine, workdir: Path) -> Startable:
    """Unpack code, name a model as its server expects it, or take an image into the engine.

    Args:
        submission: folder with the artifact as it was uploaded.
        workdir: folder of this attempt or run; `submission` below it is made here, unless an attempt before did.

    Raises:
        ParticipantFault: invalid_output, where the artifact cannot be used.
        RetryableError: from the engine, and where this node lacks a named image.
    """
    kind = spec.submission.kind
    if kind is SubmissionKind.CONTAINER:
        loaded = spec.submission.pull is not None or not spec.submission.image
        return Startable(image=_image(spec, submission, engine), loaded=loaded)
    target, ready = workdir / "submission", workdir / "submission.ready"
    artifact = only_file(submission, what=kind.value)
    if ready.exists():
        return Startable(folder=target)  # a sandbox that still runs may read it: it is left as it is
    shutil.rmtree(target, ignore_errors=True)
    if kind is SubmissionKind.CODE:
        try:
            extract_zip(artifact, target)
        except ArchiveError as error:
            raise _refused(f"The zip cannot be unpacked: {error}.", "Zip the folder's contents anew.") from error
        if not (target / _MAIN).is_file():
            raise _refused(f"There is no {_MAIN} at the top of the zip.", "Zip the contents of the folder that has it.")
    else:
        target.mkdir(parents=True)
        place_file(artifact, target / MODEL_FILE)
    ready.touch()
    return Startable(folder=target)


def _image(spec: RunSpec, submission: Path, engine: Engine) -> str:
    named, pull = spec.submission.image, spec.submission.pull
    if pull is not None:
        return _taken(lambda: engine.pull_image(pull, limit=spec.resources.image))
    if named:
        if not engine.has_image(named):
            # Another node may hold it: what a node lacks is never the participant's fault.
            raise RetryableError(
                f"The engine of this node holds no image {named!r}. "
                "Submit the archive that `docker save` makes: it reaches every node.",
                code="image_missing",
            )
        return named
    archive = only_file(submission, what="container")
    return _taken(lambda: engine.load_image(archive, limit=spec.resources.image))


def _taken(take: Callable[[], str]) -> str:
    """What the engine gives for an image; what it refuses is the participant's to mend."""
    try:
        return take()
    except ArchiveError as error:
        raise _refused(f"The image archive cannot be used: {error}.", "Make it anew with `docker save`.") from error
    except ParticipantFault:
        raise
    except UserError as error:
        raise _refused(error.message, error.hint, code=error.code) from error


def place_file(source: Path, target: Path) -> None:
    """The same file under another name; a copy where the file system cannot link."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _refused(message: str, hint: str, *, code: str = "bad_artifact") -> ParticipantFault:
    return ParticipantFault(Verdict.INVALID_OUTPUT, message, hint=hint, code=code)
