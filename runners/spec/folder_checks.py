"""Files that competition.yml names: they exist, stay inside the folder, and leak nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from runners.spec.defects import Defect, Loc
from runners.spec.draft import Draft

MAX_PAGE_BYTES = 2**20
MAX_PICTURE_BYTES = 2 * 2**20


def path_problem(folder: Path, name: str) -> str:
    """Why a relative path may not be followed, or nothing. Links are refused wherever they stand."""
    parts = PurePosixPath(name).parts
    if not name.strip() or "\x00" in name:
        return "the path is empty" if not name.strip() else "the path holds a NUL character"
    if "\\" in name or PurePosixPath(name).is_absolute() or (len(name) > 1 and name[1] == ":"):
        return f"{name} is not a path relative to the competition's folder with forward slashes"
    if ".." in parts:
        return f"{name} leaves the competition's folder"
    if any(len(part.encode("utf-8", "replace")) > 255 for part in parts) or len(name) > 1000:
        return f"{name[:80]}... is too long for a path"
    current = folder
    for part in parts:
        current = current / part
        if current.is_symlink():
            return f"{current.relative_to(folder).as_posix()} is a symbolic link"
    return ""


def file_defects(draft: Draft, folder: Path) -> Iterator[Defect]:
    """Defects of pages, terms, data card, starting kit and of the folders of the splits."""
    for index, page in draft.pages.items():
        yield from _text(draft, folder, ("pages", index, "file"), page.file)
    for key in ("terms", "data_card"):
        if draft.text(key):
            yield from _text(draft, folder, (key,), draft.text(key))
    if draft.text("image"):
        yield from _picture(draft, folder, draft.text("image"))
    if draft.text("starting_kit"):
        yield from _folder(draft, folder, ("starting_kit",), draft.text("starting_kit"))
    for name, entry in draft.data.items():
        yield from _folder(draft, folder, ("data", name, "path"), entry.path)
    yield from _nested(draft)


def _missing(folder: Path, name: str) -> str:
    parent = (folder / name).parent
    inside = sorted(path.name for path in parent.iterdir())[:12] if parent.is_dir() else []
    return f"There is: {', '.join(inside)}." if inside else "Add it."


def _text(draft: Draft, folder: Path, loc: Loc, name: str) -> Iterator[Defect]:
    problem = path_problem(folder, name)
    path = folder / name
    if problem:
        yield draft.defect("path", loc, problem, "Name a file inside the competition's folder.")
    elif not path.is_file():
        yield draft.defect("missing_file", loc, f"there is no file {name}", _missing(folder, name))
    elif path.stat().st_size > MAX_PAGE_BYTES:
        yield draft.defect("too_large", loc, f"{name} has more than {MAX_PAGE_BYTES // 2**20} MiB", "Shorten it.")
    else:
        yield from _utf8(draft, path, loc, name)


def _picture(draft: Draft, folder: Path, name: str) -> Iterator[Defect]:
    problem = path_problem(folder, name)
    path = folder / name
    if problem:
        yield draft.defect("path", ("image",), problem, "Name a file inside the competition's folder.")
    elif not path.is_file():
        yield draft.defect("missing_file", ("image",), f"there is no file {name}", _missing(folder, name))
    elif path.stat().st_size > MAX_PICTURE_BYTES:
        text = f"{name} has more than {MAX_PICTURE_BYTES // 2**20} MiB"
        yield draft.defect("too_large", ("image",), text, "Make it smaller; 1200 pixels wide are enough.")
    elif not picture_kind(_head(path)):
        yield draft.defect("not_a_picture", ("image",), f"{name} is no PNG, JPEG or WebP", "Save it as one of them.")


def _head(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(16)


def picture_kind(head: bytes) -> str:
    """The media type of a picture by its first 16 bytes; empty where it is none that pages show."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    return "image/webp" if head[:4] == b"RIFF" and head[8:12] == b"WEBP" else ""


def _utf8(draft: Draft, path: Path, loc: Loc, name: str) -> Iterator[Defect]:
    try:
        empty = not path.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError:
        yield draft.defect("encoding", loc, f"{name} is not UTF-8 text", "Save it as UTF-8.")
    else:
        if empty:
            yield draft.defect("empty", loc, f"{name} is empty", "Write something, or remove the key.")


def _folder(draft: Draft, folder: Path, loc: Loc, name: str) -> Iterator[Defect]:
    problem = path_problem(folder, name)
    path = folder / name
    if problem:
        yield draft.defect("path", loc, problem, "Name a folder inside the competition's folder.")
    elif not path.is_dir():
        what = "is a file, not a folder" if path.is_file() else "does not exist"
        yield draft.defect("missing_file", loc, f"the folder {name} {what}", _missing(folder, name))
    else:
        yield from _links(draft, path, loc, name)


def _links(draft: Draft, path: Path, loc: Loc, name: str) -> Iterator[Defect]:
    if loc[0] == "data":
        return  # told with the split's other files
    for found in sorted(path.rglob("*")):
        if found.is_symlink():
            inner = found.relative_to(path).as_posix()
            yield draft.defect("link", loc, f"{name}/{inner} is a symbolic link", "Put the file itself there.")


def _nested(draft: Draft) -> Iterator[Defect]:
    """One folder inside another would publish what is hidden."""
    places = {name: PurePosixPath(entry.path) for name, entry in draft.data.items()}
    for name, place in places.items():
        for other, parent in places.items():
            same = place == parent and name > other
            if same or parent in place.parents:
                text = f"the folder {place} of {name} is {'also' if same else 'inside'} that of {other}"
                yield draft.defect("nested", ("data", name, "path"), text, "Give each split a folder of its own.")
        kit = draft.text("starting_kit")
        if kit and draft.data[name].visibility != "public":
            kit_place = PurePosixPath(kit)
            if place == kit_place or kit_place in place.parents:
                text = f"the starting kit {kit} would give away the {draft.data[name].visibility} split {name}"
                yield draft.defect("leak", ("starting_kit",), text, "Move one of them.")
