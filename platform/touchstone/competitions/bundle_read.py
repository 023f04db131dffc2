"""A competition's bundle, checked and read: nothing here touches the database.

What strangers wrote is parsed in a process of its own; here files are only hashed, stored and decoded as text.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from runners.spec import Defect
from runners.spec.files import split_digest, split_files
from runners.spec.models import CompetitionSpec
from touchstone.core.errors import UserError
from touchstone.core.limited import LimitedTimeout, run_limited
from touchstone.core.storage import blob_put
from touchstone.evaluations.intake import IntakeBroken, intake_check

_SECONDS = 600
_CHECKER = "touchstone.competitions.bundle_check"
_SPEC_FILE = "competition.yml"


class BundleError(UserError):
    """A bundle with defects; `defects` lists all of them. Nothing was created or changed."""

    status = 422
    code = "invalid_bundle"

    def __init__(self, defects: Sequence[Defect]) -> None:
        count = len(defects)
        lines = "\n".join(defect.text() for defect in list(defects)[:20])
        more = f"\nand {count - 20} more" if count > 20 else ""
        super().__init__(
            f"The competition has {count} defect{'s' if count != 1 else ''}; nothing was changed.\n{lines}{more}",
            "Correct them all and send it again; `touchstone competition check DIR` finds the same without a server.",
        )
        self.defects = list(defects)


@dataclass(frozen=True)
class SplitContent:
    """A stored data split."""

    name: str
    visibility: str
    files: list[dict[str, Any]]
    digest: str
    n_items: int
    ids: str
    facts: dict[str, Any]


@dataclass(frozen=True)
class BundleContent:
    """Everything of a bundle, its files stored as blobs. `digest` covers all of it: same digest, same competition."""

    spec: CompetitionSpec
    source: str
    pages: list[dict[str, str]]
    terms: str
    data_card: str
    starting_kit: str
    image: str
    splits: list[SplitContent]
    surrogates: list[dict[str, Any]]
    digest: str


def bundle_read(*, folder: Path) -> BundleContent:
    """Check a competition's folder and store its files. Raises `BundleError` with every defect."""
    folder = folder.resolve()
    report = _check(folder)
    spec = CompetitionSpec.model_validate(report["spec"])
    splits = [_split(folder, name, spec, report) for name in spec.data]
    pages = [{"slug": p.slug, "title": p.title, "markdown": _text(folder, p.file)} for p in spec.pages]
    content = {
        "source": _text(folder, _SPEC_FILE),
        "pages": pages,
        "terms": _text(folder, spec.terms),
        "data_card": _text(folder, spec.data_card),
        "starting_kit": _kit(folder / spec.starting_kit) if spec.starting_kit else "",
    }
    _check_surrogates(folder, spec)
    surrogates = [_surrogate(folder, name, file) for name, file in spec.surrogates.items()]
    image = _stored(folder, spec.image) if spec.image else ""
    covered: dict[str, Any] = content | {"splits": {split.name: split.digest for split in splits}}
    if surrogates:  # else the digest is that of the version before, as for the image
        covered["surrogates"] = surrogates
    if image:
        covered["image"] = image
    digest = hashlib.sha256(json.dumps(covered, sort_keys=True).encode()).hexdigest()
    return BundleContent(  # type: ignore[arg-type]
        spec=spec, splits=splits, surrogates=surrogates, image=image, digest=digest, **content
    )


def _check(folder: Path) -> dict[str, Any]:
    try:
        ended = run_limited(_CHECKER, str(folder), folder=folder, seconds=_SECONDS)
    except LimitedTimeout:
        text = f"the data could not be read within {_SECONDS // 60} minutes"
        raise BundleError([Defect("too_slow", text, "data", hint="Use Parquet or npz, or fewer items.")]) from None
    if ended.code != 0:
        raise RuntimeError(f"the check of a bundle ended with status {ended.code}: {ended.last_line}")
    report: dict[str, Any] = json.loads(ended.out)
    if report["defects"]:
        raise BundleError([Defect(**defect) for defect in report["defects"]])
    return report


def _split(folder: Path, name: str, spec: CompetitionSpec, report: dict[str, Any]) -> SplitContent:
    place = folder / spec.data[name].path
    files = split_files(place)
    for file in files:
        with (place / file.name).open("rb") as stream:
            stored = blob_put(file=stream)
        if stored.sha256 != file.sha256:
            raise RuntimeError(f"{file.name} of the split {name} changed while it was read")
    facts = report["splits"][name]
    return SplitContent(
        name=name, visibility=spec.data[name].visibility, files=[dict(file.as_dict()) for file in files],
        digest=split_digest(files), n_items=facts["n_items"],
        ids=blob_put(file=io.BytesIO(json.dumps(report["ids"][name]).encode())).sha256, facts=facts,
    )  # fmt: skip


def _check_surrogates(folder: Path, spec: CompetitionSpec) -> None:
    """Whether each is what a `model` submission must be; parsed in a process of its own, and never run."""
    defects, told = [], spec.model_dump(mode="json", by_alias=True)
    for name, file in spec.surrogates.items():
        where = f"surrogates.{name}"
        try:
            report = intake_check(
                kind="model", file=folder / file, name="model.onnx", spec=told, ids=None, seconds=_SECONDS
            )
        except IntakeBroken as error:
            defects.append(Defect("too_slow", f"{file} could not be checked: {error}", where, _SPEC_FILE))
            continue
        found = [(item["code"], f"{file}: {item['message']}", item.get("hint") or "") for item in report.defects]
        defects += [Defect(code, text, where, _SPEC_FILE, hint=hint) for code, text, hint in found]
    if defects:
        raise BundleError(defects)


def _surrogate(folder: Path, name: str, file: str) -> dict[str, Any]:
    with (folder / file).open("rb") as stream:
        stored = blob_put(file=stream)
    return {"name": name, "sha256": stored.sha256, "size": stored.size}


def _stored(folder: Path, file: str) -> str:
    with (folder / file).open("rb") as stream:
        return blob_put(file=stream).sha256


def _text(folder: Path, name: str) -> str:
    return (folder / name).read_bytes().decode("utf-8").replace("\x00", "\ufffd") if name else ""


def _kit(folder: Path) -> str:
    """The starting kit as a zip whose bytes depend on its files alone: sorted, without times or owners."""
    with tempfile.TemporaryFile() as buffer:
        _kit_write(folder, buffer)
        buffer.seek(0)
        return blob_put(file=buffer).sha256


def _kit_write(folder: Path, target: IO[bytes]) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(p for p in folder.rglob("*") if p.is_file() and not p.is_symlink()):
            info = zipfile.ZipInfo(path.relative_to(folder).as_posix(), date_time=(1980, 1, 1, 0, 0, 0))
            info.external_attr = 0o644 << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            info.file_size = path.stat().st_size
            with path.open("rb") as source, archive.open(info, "w") as packed:
                shutil.copyfileobj(source, packed, 2**20)
