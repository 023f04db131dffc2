from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from touchstone_client.errors import ClientError, ExitCode
from touchstone_client.packing import packed, sha256_file


def _tree(folder: Path) -> Path:
    (folder / "data" / "sample").mkdir(parents=True)
    (folder / "competition.yml").write_text("touchstone: 1\n")
    (folder / "data" / "sample" / "labels.csv").write_text("id,label\n1,a\n")
    (folder / "data" / "x.png").write_bytes(b"\x89PNG" + bytes(100))
    return folder


def _packed_digest(folder: Path) -> str:
    with packed(folder) as archive:
        return sha256_file(archive)


def test_same_files_same_bytes_whatever_their_times(tmp_path: Path) -> None:
    first, second = _tree(tmp_path / "a"), _tree(tmp_path / "b")
    for path in second.rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(0o700)
    assert _packed_digest(first) == _packed_digest(second)
    (second / "competition.yml").write_text("touchstone: 1 \n")
    assert _packed_digest(first) != _packed_digest(second)


def test_names_are_sorted_and_rubbish_stays_out(tmp_path: Path) -> None:
    folder = _tree(tmp_path)
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("secret")
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "a.pyc").write_bytes(b"x")
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / ".touchstone-client").mkdir()  # a job's own environment, which holds links
    (folder / ".touchstone-client" / "python").symlink_to("/usr/bin/python3")
    with packed(folder) as archive:
        names = zipfile.ZipFile(archive).namelist()
        content = zipfile.ZipFile(archive).read("data/sample/labels.csv")
    assert names == ["competition.yml", "data/sample/labels.csv", "data/x.png"]
    assert content == b"id,label\n1,a\n"
    assert not archive.exists()


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_links_are_refused(tmp_path: Path, kind: str) -> None:
    folder = _tree(tmp_path / "bundle")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("secret")
    (folder / "link").symlink_to(outside if kind == "folder" else outside / "secret.txt")
    with pytest.raises(ClientError, match="symbolic link") as caught, packed(folder):
        pass
    assert caught.value.exit_code == ExitCode.INVALID


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ClientError, match="holds no files"), packed(tmp_path):
        pass
