"""More of what a `docker save` archive may try: bombs, cut layers, floods of files, names that are no names."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from runners.intake.container import check_container
from runners.intake.report import IntakeReport
from runners.spec.models import ResourceSpec
from tests.factories.pushed_images import digest_of, layer


def archive(
    path: Path, plain: bytes, packed: bytes | None = None, *, user: str = "1000", tags: Any = None, **config: Any
) -> Path:
    """An archive of one image with one layer, in the layout of content addresses."""
    stored = plain if packed is None else packed
    body = {
        "architecture": "amd64", "os": "linux", "config": {"Cmd": ["run"], "User": user},
        "rootfs": {"diff_ids": [digest_of(plain)]}, **config,
    }  # fmt: skip
    raw = json.dumps(body).encode()
    names = [f"blobs/sha256/{hashlib.sha256(each).hexdigest()}" for each in (raw, stored)]
    listed = json.dumps([{"Config": names[0], "RepoTags": tags, "Layers": [names[1]]}]).encode()
    with tarfile.open(path, "w") as out:
        for name, content in ((names[0], raw), (names[1], stored), ("manifest.json", listed)):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            out.addfile(entry, io.BytesIO(content))
    return path


def check(path: Path, *, image: int = 2**40, root_images: bool = True) -> IntakeReport:
    return check_container(path, resources=ResourceSpec(image=image), root_images=root_images)


def codes(report: IntakeReport) -> list[str]:
    return [defect.code for defect in report.defects]


def test_a_sound_archive_tells_its_files(tmp_path: Path) -> None:
    report = check(archive(tmp_path / "image.tar", layer({"a": b"1", "b": b"2"})))

    assert report.ok, report.defects
    assert report.facts["files"] == 2


def test_a_layer_that_is_a_bomb(tmp_path: Path) -> None:
    plain = layer({"zeros": bytes(2**27)})

    report = check(archive(tmp_path / "image.tar", plain, gzip.compress(plain)))

    assert codes(report) == ["bomb"]


def test_an_archive_that_is_a_bomb_itself(tmp_path: Path) -> None:
    inner = archive(tmp_path / "image.tar", layer({"zeros": bytes(2**27)}))
    packed = tmp_path / "image.tar.gz"
    packed.write_bytes(gzip.compress(inner.read_bytes()))

    report = check(packed)

    assert codes(report) == ["bomb"]
    assert report.defects[0].message.startswith("the archive unpacks to more than 200 times")


def test_zeros_that_are_not_packed_are_no_bomb(tmp_path: Path) -> None:
    assert check(archive(tmp_path / "image.tar", layer({"zeros": bytes(2**26)}))).ok


def test_a_layer_whose_gzip_is_cut_off(tmp_path: Path) -> None:
    plain = layer()

    assert codes(check(archive(tmp_path / "image.tar", plain, gzip.compress(plain)[:-9]))) == ["damaged"]


def test_a_layer_that_is_no_tar(tmp_path: Path) -> None:
    assert codes(check(archive(tmp_path / "image.tar", b"no tar archive " * 100))) == ["layer_tar"]


def test_a_flood_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runners.intake.image_rules.MAX_FILES", 5)

    assert codes(check(archive(tmp_path / "image.tar", layer({str(n): b"" for n in range(6)})))) == ["too_many_files"]


@pytest.mark.parametrize("user", ["", "0", "root:root"])
def test_root_where_it_is_forbidden(tmp_path: Path, user: str) -> None:
    made = archive(tmp_path / "image.tar", layer(), user=user)

    assert check(made).ok
    assert codes(check(made, root_images=False)) == ["root_user"]


@pytest.mark.parametrize("tags", [None, 7, "text", [1, None], {"a": 1}, ["touchstone/base:1"]])
def test_tags_are_shown_at_most(tmp_path: Path, tags: Any) -> None:
    report = check(archive(tmp_path / "image.tar", layer(), tags=tags))

    assert report.ok, report.defects
    assert all(isinstance(tag, str) for tag in report.facts["tags"])  # type: ignore[union-attr]
