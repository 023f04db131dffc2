"""The server's own checks of a submission, on this machine: `touchstone validate`.

    report = check_submission(artifact_of("predictions.csv"), description)
    for defect in report.defects:
        print(defect.file, defect.line, defect.message)

Needs no network. Tables, arrays and ONNX files are read with `touchstone-client[data]`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from touchstone_client.artifact import Artifact, docker, sendable
from touchstone_client.describing import Description
from touchstone_client.errors import ClientError, Detail, ExitCode

if TYPE_CHECKING:
    from runners.spec.defects import Defect
    from runners.spec.models import InputSpec, SubmissionSpec, TaskSpec

#: What reading a kind of file needs, beside what the client always has.
_READERS = {"predictions": ("numpy", "pyarrow"), "model": ("onnx",)}
_PLACE = re.compile(r"(?P<file>[^:]+):(?P<line>\d+)(?::(?P<column>\d+))?")
_ROW = re.compile(r"\brow ([\d,]+)")
_COLUMN = re.compile(r"`([^`]+)`")


@dataclass(frozen=True)
class Checked:
    """What was found. `notes` say what could not be looked at here, `facts` what the file is."""

    kind: str
    name: str
    competition: str
    phase: str
    defects: tuple[Detail, ...] = ()
    notes: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return not self.defects


def check_submission(artifact: Artifact, description: Description, *, phase: str = "") -> Checked:
    """All defects of what would be sent. Raises `ClientError` where it cannot be looked at at all."""
    competition, chosen = description.competition, description.phase(phase)
    notes: list[str] = []
    defects: list[Detail] = []
    facts: dict[str, Any] = {}
    if artifact.kind not in competition.kinds:
        text = f"{competition.slug} takes no {artifact.kind} submissions; it takes: {', '.join(competition.kinds)}"
        defects.append(Detail(text, code="kind_not_allowed", hint="Say what it is with --kind, or send another kind."))
    elif artifact.kind == "endpoint":
        defects += _address(artifact, notes)
    else:
        found, facts = _file(artifact, description, chosen.split, notes)
        defects += found
    return Checked(artifact.kind, artifact.name, competition.slug, chosen.slug, tuple(defects), tuple(notes), facts)


def _address(artifact: Artifact, notes: list[str]) -> list[Detail]:
    if artifact.path is not None:
        from touchstone_client.checking_folder import check_main

        notes.append("An endpoint is submitted by its address: only the program in this folder was looked at.")
        return check_main(artifact.path)
    notes.append("Whether the address answers is only seen when the platform asks it.")
    if artifact.url.startswith("https://"):
        return []
    return [Detail("the address is not https", code="not_https", hint="Put a server with a certificate before it.")]


def _file(
    artifact: Artifact, description: Description, split: str, notes: list[str]
) -> tuple[list[Detail], dict[str, Any]]:
    if artifact.kind == "container" and artifact.path is not None and artifact.path.is_dir():
        from touchstone_client.checking_folder import check_container_folder

        notes.append(
            "The Dockerfile was read; the image itself is checked when it is built: touchstone test, or submit."
        )
        return check_container_folder(artifact.path, root_images=description.competition.root_images), {}
    missing = [name for name in _READERS.get(artifact.kind, ()) if find_spec(name) is None]
    if missing:
        raise ClientError(
            f"A {artifact.kind} file cannot be looked into here",
            why=f"reading it needs {', '.join(missing)}",
            hint="pip install 'touchstone-client[data]'; the server checks it in any case",
            code="missing_extra",
        )
    if artifact.image:
        with _saved(artifact.image) as archive:
            return _looked_at(archive, artifact, description, split, notes)
    try:
        with sendable(artifact) as file:
            if file is None:
                raise RuntimeError("only an image and an address have no file")
            return _looked_at(file, artifact, description, split, notes)
    except ClientError as error:
        if error.exit_code is not ExitCode.INVALID:
            raise
        return [Detail(str(error), code=error.code, hint=error.hint)], {}


def _saved(image: str) -> Any:
    import tempfile
    from contextlib import contextmanager

    from touchstone_client.images import image_digest

    @contextmanager
    def saved() -> Any:
        with tempfile.TemporaryDirectory(prefix="touchstone-image-") as place:
            archive = Path(place) / "image.tar"
            docker(["save", image_digest(image), "-o", str(archive)], f"{image} cannot be saved")
            yield archive

    return saved()


def _looked_at(
    file: Path, artifact: Artifact, description: Description, split: str, notes: list[str]
) -> tuple[list[Detail], dict[str, Any]]:
    from runners.intake.__main__ import check
    from runners.spec.models import SubmissionKind

    spec = _asked(description)
    ids = None
    if artifact.kind == "predictions":
        ids = _ids(description, split, spec)
        if ids is None:
            notes.append(_no_ids(description, split))
    report = check(SubmissionKind(artifact.kind), file, spec, ids=ids)
    shown = artifact.name if artifact.kind in ("predictions", "model", "container") else ""
    return [_detail(defect, shown) for defect in report.defects], dict(report.facts)


@dataclass(frozen=True)
class _Asked:
    """As much of the competition as checks of submissions look at."""

    task: TaskSpec
    input: InputSpec | None
    submission: SubmissionSpec


def _asked(description: Description) -> _Asked:
    from runners.spec.models import InputSpec, SubmissionSpec, TaskSpec

    told = description.competition
    submission = {"kinds": told.kinds, "resources": told.resources, "root_images": told.root_images}
    if told.max_size:
        submission["size"] = told.max_size
    return _Asked(
        task=TaskSpec.model_validate(told.task),
        input=InputSpec.model_validate(told.input) if told.input else None,
        submission=SubmissionSpec.model_validate(submission),
    )


def _ids(description: Description, split: str, spec: _Asked) -> list[str] | None:
    """The ids that the phase asks for, from the split's public files; None where they are not here."""
    folder = description.data(split)
    if folder is None or find_spec("PIL") is None:
        return None
    from runners.data.split import examine_split

    names = list(description.competition.attributes)
    found, defects = examine_split(
        folder, task=spec.task, input_spec=spec.input, attributes={}, aggregate=None, tolerated=names
    )
    if defects:
        raise ClientError(
            f"The downloaded data in {folder} cannot be used",
            why=defects[0].text(),
            hint=f"Remove it, then: touchstone competitions download {description.competition.slug}",
            code="bad_data",
        )
    return [str(item) for item in found.ids]


def _no_ids(description: Description, split: str) -> str:
    slug, offered = description.competition.slug, description.split(split)
    if offered is None or not offered.files:
        return f"The ids were not checked: the split {split} of this phase is hidden."
    return f"The ids were not checked: the data is not here. touchstone competitions download {slug}"


def _detail(defect: Defect, shown: str) -> Detail:
    """The defect with its place in the file: rows of a table are lines below a header."""
    file, line, column, where = defect.file or shown, defect.line, None, defect.where
    place = _PLACE.fullmatch(where)
    row = _ROW.search(defect.message)
    if place is not None:
        file, line, where = place["file"], int(place["line"]), ""
        column = int(place["column"]) if place["column"] else None
    elif row is not None and shown.lower().endswith(".csv"):
        line = int(row[1].replace(",", "")) + 1
        named = _COLUMN.search(defect.message)
        where = where or (named[1] if named else "")
    return Detail(defect.message, where=where, file=file, line=line, hint=defect.hint, code=defect.code, column=column)
