"""A folder as a zip that is the same, byte for byte, whenever the files are the same."""

from __future__ import annotations

import fnmatch
import hashlib
import os
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from touchstone_client.errors import ClientError, ExitCode

#: Names that never belong to a bundle or a submission.
IGNORED = (
    ".git", ".hg", ".svn", "__pycache__", "*.pyc", ".DS_Store", "Thumbs.db", ".venv", "venv", ".mypy_cache",
    ".ruff_cache", ".pytest_cache", ".ipynb_checkpoints", ".idea", ".vscode", ".touchstone-client",
)  # fmt: skip
#: Names more of them, for the folder that it is in.
IGNORE_FILE = ".touchstoneignore"
#: Already compressed: deflating these again costs time and gains nothing.
_STORED = frozenset({".parquet", ".npz", ".png", ".jpg", ".jpeg", ".zip", ".gz", ".onnx"})
_EPOCH = (1980, 1, 1, 0, 0, 0)
_CHUNK = 1 << 20


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's content, hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def folder_files(folder: Path) -> list[Path]:
    """The files of `folder` in the order of their names, without `IGNORED` and what `.touchstoneignore` names.

    Refuses links: they may lead outside.
    """
    patterns = (*IGNORED, *own_patterns(folder))
    found: list[Path] = []
    for root, folders, names in os.walk(folder, followlinks=False):
        folders[:] = sorted(name for name in folders if not _ignored(name, patterns))
        for name in [*folders, *names]:
            if not _ignored(name, patterns) and (Path(root) / name).is_symlink():
                raise _refused(Path(root) / name, "is a symbolic link", "Replace the link by the file it points to.")
        found += [Path(root) / name for name in names if not _ignored(name, patterns)]
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def own_patterns(folder: Path) -> tuple[str, ...]:
    """Names, one a line, with * and ?, that a folder's `.touchstoneignore` keeps out; # begins a comment."""
    try:
        lines = (folder / IGNORE_FILE).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        raise _refused(folder / IGNORE_FILE, "is not a text file", "Write one name a line, as UTF-8.") from error
    found = (line.strip().rstrip("/") for line in lines)
    return tuple(line for line in found if line and not line.startswith("#"))


@contextmanager
def packed(folder: Path) -> Iterator[Path]:
    """A temporary zip of `folder`, removed afterwards. Raises `ClientError` for links, odd files, an empty folder."""
    files = folder_files(folder)
    if not files:
        raise _refused(folder, "holds no files", "Give the folder that holds your files.")
    handle, name = tempfile.mkstemp(suffix=".zip", prefix="touchstone-")
    os.close(handle)
    target = Path(name)
    try:
        with zipfile.ZipFile(target, "w") as archive:
            for path in files:
                _add(archive, path=path, name=path.relative_to(folder).as_posix())
        yield target
    finally:
        target.unlink(missing_ok=True)


def _add(archive: zipfile.ZipFile, *, path: Path, name: str) -> None:
    if not path.is_file():
        raise _refused(path, "is not a regular file", "Remove it, or give a folder without it.")
    info = zipfile.ZipInfo(name, date_time=_EPOCH)
    info.external_attr = 0o100644 << 16
    info.create_system = 3
    info.compress_type = zipfile.ZIP_STORED if path.suffix.lower() in _STORED else zipfile.ZIP_DEFLATED
    info.file_size = path.stat().st_size
    with path.open("rb") as source, archive.open(info, "w") as sink:
        while chunk := source.read(_CHUNK):
            sink.write(chunk)


def _ignored(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)


def _refused(path: Path, why: str, hint: str) -> ClientError:
    return ClientError(
        f"{path} cannot be packed", why=f"it {why}", hint=hint, code="bad_folder", exit_code=ExitCode.INVALID
    )
