"""Hostile zips are refused before anything is unpacked, and nothing is left behind."""

from __future__ import annotations

import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from runners.spec.bundle import ArchiveError, ArchiveLimits, extract_bundle, extract_zip, inspect_zip

Write = Callable[[zipfile.ZipFile], None]
LIMITS = ArchiveLimits(entries=50, total=10 * 2**20, entry=8 * 2**20)


def _zip(path: Path, write: Write) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        write(archive)
    return path


def _special(name: str, kind: int, body: str = "target") -> Write:
    info = zipfile.ZipInfo(name)
    info.external_attr = (kind | 0o644) << 16
    return lambda archive: archive.writestr(info, body)


def _named(*names: str) -> Write:
    def write(archive: zipfile.ZipFile) -> None:
        for name in names:
            archive.writestr(zipfile.ZipInfo(name), "x")

    return write


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("write", "code"),
    [
        (_named("../x"), "path"),
        (_named("a/../../x"), "path"),
        (_named("/etc/x"), "path"),
        (_named("a\\..\\x"), "path"),
        (_named("C:x"), "path"),
        (_named("a//b"), "path"),
        (_named("./a"), "path"),
        (_named("a\nb"), "path"),
        (_named("x" * 300), "path"),
        (_named("/".join("a" * 40)), "path"),
        (_special("link", stat.S_IFLNK), "link"),
        (_special("pipe", stat.S_IFIFO), "special"),
        (_special("device", stat.S_IFCHR), "special"),
        (_named("a", "a"), "duplicate"),
        (_named("a", "A"), "duplicate"),
        (_named("caf\u00e9", "cafe\u0301"), "duplicate"),
        (_named("a", "a/b"), "duplicate"),
        (_named(*map(str, range(60))), "too_many"),
        (lambda archive: archive.writestr("zeros", bytes(6 * 2**20)), "bomb"),
        (lambda archive: archive.writestr("big", bytes(9 * 2**20), zipfile.ZIP_STORED), "too_large"),
        (lambda archive: archive.writestr("x", "x", zipfile.ZIP_LZMA), "compression"),
    ],
)
def test_hostile_zips_are_refused(tmp_path: Path, write: Write, code: str) -> None:
    path = _zip(tmp_path / "a.zip", write)
    target = tmp_path / "out"

    with pytest.raises(ArchiveError) as caught:
        extract_zip(path, target, limits=LIMITS)

    assert code in {defect.code for defect in caught.value.defects}
    assert not target.exists()


def test_encrypted_entries_are_refused(tmp_path: Path) -> None:
    raw = bytearray(_zip(tmp_path / "a.zip", _named("a")).read_bytes())
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "b.zip").write_bytes(raw)
    with pytest.raises(ArchiveError) as caught:
        inspect_zip(tmp_path / "b.zip")
    assert [defect.code for defect in caught.value.defects] == ["encrypted"]


def test_entries_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    raw = _zip(tmp_path / "a.zip", lambda archive: archive.writestr("a", "x" * 1000)).read_bytes()
    start = raw.index(b"PK\x01\x02")
    entry, end = raw[start : raw.index(b"PK\x05\x06")], bytearray(raw[raw.index(b"PK\x05\x06") :])
    struct.pack_into("<HHL", end, 8, 2, 2, 2 * len(entry))
    (tmp_path / "b.zip").write_bytes(raw[:start] + entry + entry.replace(b"a", b"b", 1) + end)
    with pytest.raises(ArchiveError) as caught:
        inspect_zip(tmp_path / "b.zip")
    assert "bomb" in {defect.code for defect in caught.value.defects}


def test_a_huge_directory_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", lambda archive: [archive.writestr(f"{i:050}", "") for i in range(3000)] and None)
    with pytest.raises(ArchiveError) as caught:
        inspect_zip(path, limits=ArchiveLimits(entries=10))
    assert [defect.code for defect in caught.value.defects] == ["too_many"]


@pytest.mark.parametrize("cut", [10, 200, -1])
def test_truncated_zips_are_refused(tmp_path: Path, cut: int) -> None:
    raw = _zip(tmp_path / "a.zip", _named("a", "b", "c")).read_bytes()
    (tmp_path / "b.zip").write_bytes(raw[:cut])
    with pytest.raises(ArchiveError, match="not a whole zip"):
        inspect_zip(tmp_path / "b.zip")


def test_damage_found_while_unpacking_leaves_nothing(tmp_path: Path) -> None:
    def write(archive: zipfile.ZipFile) -> None:
        archive.writestr("first", "x")
        archive.writestr("x", bytes(range(256)), zipfile.ZIP_STORED)

    path = _zip(tmp_path / "a.zip", write)
    raw = bytearray(path.read_bytes())
    raw[raw.index(bytes(range(256))) + 5] ^= 0xFF  # the checksum no longer fits
    path.write_bytes(raw)
    target = tmp_path / "out"

    with pytest.raises(ArchiveError, match="truncated or damaged"):
        extract_zip(path, target)

    assert list(target.iterdir()) == []


def test_an_entry_that_lies_about_its_size_is_cut_off(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", lambda archive: archive.writestr("a", "x" * 100_000))
    raw = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<L", raw, raw.index(signature) + offset, 10)
    path.write_bytes(raw)
    with pytest.raises(ArchiveError):
        extract_zip(path, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_good_zip_is_unpacked_with_plain_modes(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("bin/run")
    info.external_attr = (stat.S_IFREG | 0o4777) << 16

    def write(archive: zipfile.ZipFile) -> None:
        archive.writestr("d/", "")
        archive.writestr(info, "hi")
        archive.writestr("main.py", "1")

    path = _zip(tmp_path / "a.zip", write)

    facts = extract_zip(path, tmp_path / "out")

    assert facts.names == ("bin/run", "main.py")
    assert facts.total == 3
    assert (tmp_path / "out/bin/run").read_text() == "hi"
    assert stat.S_IMODE((tmp_path / "out/bin/run").stat().st_mode) & 0o7111 == 0
    with pytest.raises(FileExistsError):
        extract_zip(path, tmp_path / "out")


@pytest.mark.parametrize(
    ("names", "inside"), [(["competition.yml", "data/x"], "."), (["mini/competition.yml"], "mini")]
)
def test_a_bundle_may_lie_in_one_folder(tmp_path: Path, names: list[str], inside: str) -> None:
    path = _zip(tmp_path / "a.zip", _named(*names))
    assert extract_bundle(path, tmp_path / "out") == tmp_path / "out" / inside


def test_a_zip_without_competition_is_refused(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", _named("a/competition.yml", "b/x"))
    with pytest.raises(ArchiveError, match=r"competition\.yml is not at the top.*found a, b"):
        extract_bundle(path, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
