"""The way back: a competition, or the folder of one, becomes the sections and files of a draft, and nothing is lost.

What the steps of the wizard do not hold is kept in a section of its own, `bundle`: how files are called where they
came from, the original competition.yml and data card. Written out unchanged, they are the same bytes again.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from runners.spec.folder_checks import MAX_PAGE_BYTES, path_problem
from runners.spec.yamlfile import parse_yaml, read_yaml
from touchstone.accounts.models import User
from touchstone.competitions.bundle_read import BundleError
from touchstone.competitions.models import Competition
from touchstone.competitions.writer import SPEC_FILE
from touchstone.core.errors import UserError
from touchstone.core.storage import blob_open, blob_put
from touchstone.drafts.datacard import card_parse
from touchstone.drafts.models import Draft, DraftFile, DraftSection
from touchstone.drafts.sections import DATA_CARD, KIT, SURROGATES, TERMS, image_stem, page_file

#: Name of the section that no step shows.
BUNDLE = "bundle"
_ABOUT = ("slug", "title", "summary", "licence")


@dataclass(frozen=True)
class Stored:
    """A stored file, by its name in the bundle that it came from."""

    path: str
    sha256: str
    size: int


def draft_from_competition(*, draft: Draft, user: User) -> None:
    """Fill the sections and files of a new draft with those of its competition."""
    if draft.competition is None:
        raise ValueError("the draft is of no competition")
    data, texts = _told(draft.competition)
    _fill(draft, user, draft.competition.source, data, texts, list(_competition_files(draft.competition)))


def competition_bodies(*, competition: Competition) -> dict[str, dict[str, Any]]:
    """The sections that a draft of this competition would have now, to compare one with."""
    data, texts = _told(competition)
    image = [Stored(_plain(competition.spec["image"]), competition.image, 0)] if competition.image else []
    return _bodies(data, texts, image)


def _told(competition: Competition) -> tuple[dict[str, Any], dict[str, str]]:
    """competition.yml as plain data, and the texts that it names."""
    found = parse_yaml(competition.source, file=SPEC_FILE).data
    data = found if isinstance(found, dict) and "task" in found else competition.spec
    spec = competition.spec
    texts = {told["file"]: page["markdown"] for told, page in zip(spec["pages"], competition.pages, strict=False)}
    return data, texts | {spec["terms"]: competition.terms, spec["data_card"]: competition.data_card}


def draft_from_folder(*, draft: Draft, user: User, folder: Path) -> None:
    """Fill the sections and files of a new draft with those of a competition's folder, sound or not.

    Raises `BundleError` where competition.yml cannot be read at all.
    """
    document = read_yaml(folder / SPEC_FILE)
    data = document.data
    if not isinstance(data, dict):
        raise BundleError(document.defects) if document.defects else UserError(_("competition.yml holds no keys."))
    named = [page.get("file") for page in _rows(data.get("pages"))] + [data.get("terms"), data.get("data_card")]
    texts = {name: _read(folder, name) for name in named if isinstance(name, str) and name}
    source = (folder / SPEC_FILE).read_bytes().decode("utf-8", "replace")
    _fill(draft, user, source, data, texts, list(_folder_files(folder, data)))


def _fill(
    draft: Draft, user: User, source: str, data: dict[str, Any], texts: Mapping[str, str], stored: list[Stored]
) -> None:
    names = _names(data, stored)
    bodies = _bodies(data, texts, stored)
    kit = any(path.startswith(f"{KIT}/") for path, _file in _ours(names, stored))
    bodies[BUNDLE] = {
        "source": source, "names": names, "card": texts.get(str(data.get("data_card") or ""), ""),
        "empty_kit": bool(data.get("starting_kit")) and not kit,
    }  # fmt: skip
    with transaction.atomic():
        for name, body in bodies.items():
            DraftSection.objects.update_or_create(draft=draft, name=name, defaults={"body": body, "updated_by": user})
        DraftFile.objects.bulk_create(
            DraftFile(draft=draft, path=path, sha256=file.sha256, size=file.size, added_by=user)
            for path, file in _ours(names, stored)
        )


def _bodies(data: dict[str, Any], texts: Mapping[str, str], stored: list[Stored]) -> dict[str, dict[str, Any]]:
    pages = [
        {"slug": page.get("slug", ""), "title": page.get("title", ""), "markdown": texts.get(str(page.get("file")), "")}
        for page in _rows(data.get("pages"))
    ]
    image = next((file.sha256 for file in stored if file.path == _plain(data.get("image"))), "")
    splits = _table(data.get("data"))
    about = {key: data.get(key, "") for key in _ABOUT}
    about |= {"visibility": data.get("visibility", "public"), "pages": pages, "image": image}
    about["terms"] = texts.get(str(data.get("terms") or ""), "")
    return {
        "about": about,
        "concepts": {"concepts": data.get("concepts", [])},
        "data": {
            "splits": [
                {
                    "name": n, "visibility": _table(s).get("visibility", "hidden"),
                    **({"leaves_platform": True} if _table(s).get("leaves_platform") is True else {}),
                }
                for n, s in splits.items()
            ],
            "data_card": card_parse(texts.get(str(data.get("data_card") or ""), "")),
        },
        "task": {
            "task": data.get("task", {}), "input": data.get("input"), "attributes": data.get("attributes", {}),
            "aggregate": data.get("aggregate"),
        },
        "metrics": {"metrics": data.get("metrics", [])},
        "boards": {"leaderboards": data.get("leaderboards", [])},
        "phases": {"phases": data.get("phases", [])},
        "rules": {"submission": data.get("submission", {}), "teams": data.get("teams", {})},
        "people": {"access": data.get("access", {})},
    }  # fmt: skip


def _names(data: dict[str, Any], stored: list[Stored]) -> dict[str, str]:
    """What a file or folder is called here → what it is called where it came from. Each of those stands once."""
    pairs = [(page_file(page.get("slug", "")), page.get("file")) for page in _rows(data.get("pages"))]
    pairs += [(TERMS, data.get("terms")), (DATA_CARD, data.get("data_card")), (KIT, data.get("starting_kit"))]
    pairs += [(f"data/{name}", _table(split).get("path")) for name, split in _table(data.get("data")).items()]
    pairs += [(f"{SURROGATES}/{name}.onnx", file) for name, file in _table(data.get("surrogates")).items()]
    image = _plain(data.get("image"))
    for file in stored:
        if image and file.path == image:
            pairs.append((f"{image_stem(file.sha256)}{PurePosixPath(image).suffix}", image))
    names: dict[str, str] = {}
    for ours, theirs in pairs:
        if isinstance(theirs, str) and theirs and theirs not in names.values():
            names[ours] = theirs
    return names


def _ours(names: Mapping[str, str], stored: Iterable[Stored]) -> Iterator[tuple[str, Stored]]:
    """Each stored file under the path that it has in a draft. One of several that hold it: the longest."""
    theirs = sorted(((_plain(value), key) for key, value in names.items()), key=lambda pair: -len(pair[0]))
    for file in stored:
        for place, ours in theirs:
            if file.path == place:
                yield ours, file
                break
            if place in ("", file.path[: len(place)]) and (not place or file.path[len(place)] == "/"):
                yield f"{ours}/{file.path[len(place) :].lstrip('/')}", file
                break


def _competition_files(competition: Competition) -> Iterator[Stored]:
    spec = competition.spec
    for split in competition.splits.all():
        place = _plain(spec["data"][split.name]["path"])
        for file in split.files:
            yield Stored(f"{place}/{file['name']}", file["sha256"], file["size"])
    for item in competition.surrogates:
        yield Stored(_plain(spec["surrogates"][item["name"]]), item["sha256"], item["size"])
    if competition.image:
        with blob_open(sha256=competition.image) as stream:
            yield Stored(_plain(spec["image"]), competition.image, len(stream.read()))
    if competition.starting_kit:
        place = _plain(spec["starting_kit"])
        with blob_open(sha256=competition.starting_kit) as packed, zipfile.ZipFile(packed) as kit:
            for info in kit.infolist():
                with kit.open(info) as stream:
                    blob = blob_put(file=stream)
                yield Stored(f"{place}/{info.filename}", blob.sha256, blob.size)


def _folder_files(folder: Path, data: dict[str, Any]) -> Iterator[Stored]:
    """What competition.yml names, as far as it is there: nothing outside the folder, and no link."""
    folders = [_table(split).get("path") for split in _table(data.get("data")).values()] + [data.get("starting_kit")]
    files = [*_table(data.get("surrogates")).values(), data.get("image")]
    named = [name for name in folders if _inside(folder, name) and (folder / str(name)).is_dir()]
    found = {path for name in named for path in (folder / str(name)).rglob("*")}
    found |= {folder / str(name) for name in files if _inside(folder, name)}
    for path in sorted(found):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as stream:
                blob = blob_put(file=stream)
            yield Stored(path.relative_to(folder).as_posix(), blob.sha256, blob.size)


def _inside(folder: Path, name: object) -> bool:
    return isinstance(name, str) and bool(name) and not path_problem(folder, name)


def _read(folder: Path, name: str) -> str:
    path = folder / name
    if not _inside(folder, name) or not path.is_file():
        return ""
    with path.open("rb") as stream:
        return stream.read(MAX_PAGE_BYTES).decode("utf-8", "replace").replace("\x00", "\ufffd")


def _plain(name: object) -> str:
    plain = PurePosixPath(str(name or "")).as_posix()
    return "" if plain == "." else plain


def _rows(value: object) -> list[dict[str, Any]]:
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
