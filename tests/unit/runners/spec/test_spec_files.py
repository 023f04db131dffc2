from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from runners.contract import FileRef
from runners.spec.files import part_of, split_digest, split_files


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("labels.csv", "labels"), ("labels.parquet", "labels"), ("attributes.csv", "attributes"),
        ("clusters.parquet", "clusters"), ("inputs.npz", "inputs"), ("inputs/a b.png", "inputs"),
        ("inputs/a.jpg", "inputs"), ("inputs/a/b.png", None), ("labels.pkl", None), ("README.md", None),
        ("x/labels.csv", None), ("inputs/a.svg", None),
        ("inputs/\udcff.png", None), ("inputs/a\nb.png", None), ("labels.npz", None),
    ],
)  # fmt: skip
def test_names_have_their_part(name: str, part: str | None) -> None:
    assert part_of(name) == part


def test_files_are_hashed_in_order_and_strays_left_out(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("id,label\n")
    (tmp_path / "inputs").mkdir()
    (tmp_path / "inputs/a.png").write_bytes(b"x")
    (tmp_path / "notes.txt").write_text("secret")
    (tmp_path / "attributes.csv").symlink_to("/etc/passwd")

    files = split_files(tmp_path)

    assert [(f.name, f.size, f.sha256) for f in files] == [
        ("inputs/a.png", 1, hashlib.sha256(b"x").hexdigest()),
        ("labels.csv", 9, hashlib.sha256(b"id,label\n").hexdigest()),
    ]


def test_the_digest_is_of_content_and_not_of_order_or_class() -> None:
    refs = [FileRef(name=name, sha256=name * 64, size=1, url=f"https://example.org/{name}") for name in "ab"]
    row = ",".join(f'{{"name":"{name}","sha256":"{name * 64}","size":1}}' for name in "ab")
    assert split_digest(refs) == split_digest(reversed(refs)) == hashlib.sha256(f"[{row}]".encode()).hexdigest()
    assert split_digest(refs[:1]) != split_digest(refs)
