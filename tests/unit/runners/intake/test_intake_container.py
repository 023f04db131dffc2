"""`docker save` archives: both layouts are read as streams; hostile ones are refused."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runners.intake.container import check_container
from runners.intake.images import rewrite_without_tags
from runners.spec.bundle import ArchiveError
from runners.spec.models import ResourceSpec

RESOURCES = ResourceSpec(image=2**22)
Files = dict[str, bytes]


def _sha(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def _layer(size: int = 1000) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        entry = tarfile.TarInfo("app/data")
        entry.size = size
        archive.addfile(entry, io.BytesIO(bytes(size)))
    return out.getvalue()


def _config(layers: list[bytes], **changes: Any) -> bytes:
    config = {
        "architecture": "amd64", "os": "linux", "config": {"Cmd": ["python", "main.py"], "User": "1000"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{_sha(layer)}" for layer in layers]},
    }  # fmt: skip
    return json.dumps(config | changes).encode()


def _old(layers: list[bytes] | None = None, **changes: Any) -> Files:
    """The layout of older engines."""
    layers = layers or [_layer()]
    config = _config(layers, **changes)
    names = [f"{_sha(b'id' + layer)}/layer.tar" for layer in layers]
    manifest = [{"Config": f"{_sha(config)}.json", "RepoTags": ["team/model:1"], "Layers": names}]
    return {
        **dict(zip(names, layers, strict=True)), f"{_sha(config)}.json": config,
        "repositories": b'{"team/model": {"1": "x"}}', "manifest.json": json.dumps(manifest).encode(),
    }  # fmt: skip


def _oci(*, packed: bool = True) -> Files:
    """The OCI layout, with gzip layers as the containerd store writes them."""
    layer = _layer()
    blob = gzip.compress(layer) if packed else layer
    config = _config([layer])
    name = "blobs/sha256/"
    manifest = json.dumps({"config": {"digest": f"sha256:{_sha(config)}"}}).encode()
    notes = {
        "io.containerd.image.name": "docker.io/team/model:1",
        "org.opencontainers.image.ref.name": "1",
        "kept": "yes",
    }
    index = {"schemaVersion": 2, "manifests": [{"digest": f"sha256:{_sha(manifest)}", "annotations": notes}]}
    listed = [{"Config": name + _sha(config), "RepoTags": ["team/model:1"], "Layers": [name + _sha(blob)]}]
    return {
        "oci-layout": b"{}", name + _sha(blob): blob, name + _sha(config): config, name + _sha(manifest): manifest,
        "index.json": json.dumps(index).encode(), "manifest.json": json.dumps(listed).encode(),
    }  # fmt: skip


def _tar(path: Path, files: Files, *extra: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w", errors="surrogateescape") as archive:
        for name, raw in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(raw)
            archive.addfile(entry, io.BytesIO(raw))
        for entry in extra:
            archive.addfile(entry)
    return path


def _entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, link
    return entry


@pytest.mark.parametrize("files", [_old(), _old([_layer(), _layer(5000)]), _oci(), _oci(packed=False)])
@pytest.mark.parametrize("packed", [False, True])
def test_both_layouts_are_accepted(tmp_path: Path, files: Files, packed: bool) -> None:
    path = _tar(tmp_path / "image.tar", files)
    if packed:
        path.write_bytes(gzip.compress(path.read_bytes()))

    report = check_container(path, resources=RESOURCES)

    assert [defect.text() for defect in report.defects] == []
    assert report.facts["platform"] == "linux/amd64"
    assert report.facts["command"] == "python, main.py"
    assert report.facts["runs_as_root"] is False
    config = json.loads(files["manifest.json"])[0]["Config"].removesuffix(".json").rpartition("/")[2]
    assert report.facts["config_digest"] == f"sha256:{config}"


def _change(name: str, change: Callable[[Any], Any]) -> Files:
    files = _old()
    files[name] = json.dumps(change(json.loads(files[name]))).encode()
    return files


def _without(files: Files, ending: str) -> Files:
    return {name: raw for name, raw in files.items() if not name.endswith(ending)}


def _swapped(files: Files, ending: str, raw: bytes) -> Files:
    return {name: raw if name.endswith(ending) else old for name, old in files.items()}


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ({"readme.txt": b"x"}, "path"),
        (_without(_old(), "manifest.json"), "no_manifest"),
        (_without(_old(), "layer.tar"), "missing_part"),
        (_swapped(_old(), "layer.tar", _layer(7)), "digest"),
        (_swapped(_oci(), "manifest.json", b"{"), "json"),
        (_swapped(_oci(), "manifest.json", b"{}"), "json"),
        (_swapped(_oci(), "index.json", b'{"manifests": []}'), "images"),
        (_change("manifest.json", lambda images: images * 2), "images"),
        (_change("manifest.json", lambda images: [images[0] | {"Config": "../../etc/passwd"}]), "json"),
        (_change("manifest.json", lambda images: [images[0] | {"Layers": ["/etc/passwd"]}]), "json"),
        (_change("manifest.json", lambda images: [images[0] | {"Layers": []}]), "layers"),
        (_old(architecture="arm64"), "architecture"),
        (_old(os="windows"), "architecture"),
        (_old(config={}), "no_command"),
        (_old([_layer(2**23)]), "too_large"),
        (_old([_layer(3 * 2**20), _layer(2**21)]), "too_large"),
    ],
)
def test_wrong_images_are_refused(tmp_path: Path, files: Files, code: str) -> None:
    report = check_container(_tar(tmp_path / "image.tar", files), resources=RESOURCES)
    assert code in {defect.code for defect in report.defects}, [defect.text() for defect in report.defects]


def test_a_blob_must_have_the_digest_of_its_name(tmp_path: Path) -> None:
    files = _oci(packed=False)
    name = next(name for name, raw in files.items() if raw == _layer())
    files[name] = _layer(900)
    report = check_container(_tar(tmp_path / "image.tar", files), resources=RESOURCES)
    assert (report.defects[0].code, report.defects[0].where) == ("digest", name)


def test_a_gzip_bomb_inside_stops_at_the_limit(tmp_path: Path) -> None:
    bomb = gzip.compress(bytes(2**26))
    files = _oci() | {"blobs/sha256/" + _sha(bomb): bomb}
    assert len(bomb) < 2**17
    report = check_container(_tar(tmp_path / "image.tar", files), resources=RESOURCES)
    assert [defect.code for defect in report.defects] == ["too_large"]


def test_a_gzip_bomb_outside_stops_at_the_limit(tmp_path: Path) -> None:
    path = _tar(tmp_path / "image.tar", _old([_layer(2**26)]))
    path.write_bytes(gzip.compress(path.read_bytes()))
    report = check_container(path, resources=RESOURCES)
    assert [defect.code for defect in report.defects] == ["too_large"]


HEX = "a" * 64


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        (_entry("../evil"), "path"),
        (_entry("/etc/passwd"), "path"),
        (_entry(f"blobs/sha256/../{HEX}"), "path"),
        (_entry("blobs/sha256/short"), "path"),
        (_entry("manifest.json"), "duplicate"),
        (_entry(f"{HEX}/layer.tar", tarfile.SYMTYPE, "/etc/passwd"), "link"),
        (_entry(f"{HEX}/json", tarfile.SYMTYPE, f"../{HEX}/layer.tar"), "link"),
        (_entry(f"{HEX}/layer.tar", tarfile.LNKTYPE, "manifest.json"), "link"),
        (_entry(f"{HEX}/layer.tar", tarfile.CHRTYPE), "special"),
        (_entry(f"{HEX}/layer.tar", tarfile.FIFOTYPE), "special"),
        (_entry("x" * 70_000), "path"),
    ],
)
def test_hostile_entries_are_refused_by_the_check_and_by_the_copy(
    tmp_path: Path, entry: tarfile.TarInfo, code: str
) -> None:
    path = _tar(tmp_path / "image.tar", _old(), entry)

    report = check_container(path, resources=RESOURCES)
    with pytest.raises(ArchiveError) as caught:
        rewrite_without_tags(path, tmp_path / "out.tar")

    assert [defect.code for defect in report.defects] == [code]
    assert [defect.code for defect in caught.value.defects] == [code]
    assert not (tmp_path / "out.tar").exists()


def test_a_name_that_is_no_text_can_be_reported(tmp_path: Path) -> None:
    path = _tar(tmp_path / "image.tar", _old(), _entry("\udcff\udcfe"))
    report = check_container(path, resources=RESOURCES)
    assert report.defects[0].where == "??"
    assert report.json().encode("utf-8")


@pytest.mark.parametrize("files", [_old(), _oci()])
@pytest.mark.parametrize("share", [0.2, 0.6])
def test_truncated_archives_are_refused(tmp_path: Path, files: Files, share: float) -> None:
    raw = _tar(tmp_path / "whole.tar", files).read_bytes()
    path = tmp_path / "cut.tar"
    path.write_bytes(raw[: int(len(raw) * share) - 100])
    assert check_container(path, resources=RESOURCES).ok is False
    with pytest.raises(ArchiveError):
        rewrite_without_tags(path, tmp_path / "out.tar")
    assert not (tmp_path / "out.tar").exists()


def test_what_is_no_archive_is_named(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"PK\x03\x04")
    (defect,) = check_container(tmp_path / "x", resources=RESOURCES).defects
    assert defect.message == "the file is not a tar archive but zip"
    (tmp_path / "x").write_bytes(b"hello")
    assert [d.code for d in check_container(tmp_path / "x", resources=RESOURCES).defects] == ["damaged"]


def test_older_engines_link_equal_layers(tmp_path: Path) -> None:
    layer = _layer()
    files = _old([layer, layer])
    first = next(name for name in files if name.endswith("layer.tar"))
    manifest = json.loads(files["manifest.json"])
    manifest[0]["Layers"] = [first, f"{HEX}/layer.tar"]
    files["manifest.json"] = json.dumps(manifest).encode()
    path = _tar(tmp_path / "image.tar", files, _entry(f"{HEX}/layer.tar", tarfile.SYMTYPE, f"../{first}"))
    assert check_container(path, resources=RESOURCES).ok


@pytest.mark.parametrize("files", [_old(), _oci()])
def test_the_copy_has_no_names_and_is_otherwise_the_same(tmp_path: Path, files: Files) -> None:
    source = _tar(tmp_path / "image.tar", files)

    digest = rewrite_without_tags(source, tmp_path / "out.tar")

    with tarfile.open(tmp_path / "out.tar") as archive:
        copied = {entry.name: archive.extractfile(entry).read() for entry in archive if entry.isreg()}  # type: ignore[union-attr]
    assert b"team" not in b"".join(copied.values())
    assert "repositories" not in copied
    assert (
        json.loads(copied["manifest.json"])[0] | {"RepoTags": ["team/model:1"]} == json.loads(files["manifest.json"])[0]
    )
    for name in copied.keys() - {"manifest.json", "index.json"}:
        assert copied[name] == files[name]
    if "index.json" in files:
        assert json.loads(copied["index.json"])["manifests"][0]["annotations"] == {"kept": "yes"}
    report = check_container(tmp_path / "out.tar", resources=RESOURCES)
    assert report.ok
    assert report.facts["config_digest"] == digest


def test_declared_volumes_are_refused(tmp_path: Path) -> None:
    """A volume would be a writable folder of the node's disk without a limit."""
    settings = {"Cmd": ["python"], "Volumes": {"/data": {}}}
    report = check_container(_tar(tmp_path / "i.tar", _old(config=settings)), resources=RESOURCES)
    (defect,) = report.defects
    assert defect.code == "volumes"
    assert "/data" in defect.message
