"""Images in a registry are read as streams and judged like archives; hostile ones are refused with the reason."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from runners.intake.image_rules import Rules
from runners.intake.pushed import check_pushed
from runners.intake.report import IntakeReport
from runners.spec.images import PUSHED
from runners.spec.models import ResourceSpec
from tests.factories.pushed_images import INDEX, LAYER, MANIFEST, TOKEN, Blobs, digest_of, layer, serving

RULES = Rules(ResourceSpec(image=2**22))


def check(
    folder: Path, blobs: Blobs, digest: str, *, rules: Rules = RULES, limit: int = 2**22, token: str = TOKEN,
    status: int = 200,
) -> IntakeReport:  # fmt: skip
    with serving(blobs, status=status) as (url, _):
        question = {"url": url, "repository": "c/alice/model", "digest": digest, "token": token}
        (folder / PUSHED).write_text(json.dumps(question))
        return check_pushed(folder / PUSHED, rules=rules, limit=limit)


def codes(report: IntakeReport) -> list[str]:
    return [defect.code for defect in report.defects]


def test_a_sound_image_is_taken(tmp_path: Path) -> None:
    blobs = Blobs()
    layers = [layer(), layer({"a": b"1", "b": b"2"})]

    report = check(tmp_path, blobs, blobs.image(layers))

    assert report.ok, report.defects
    assert (report.facts["layers"], report.facts["files"]) == (2, 3)
    assert report.facts["unpacked_bytes"] == sum(map(len, layers))
    assert (report.facts["platform"], report.facts["runs_as_root"]) == ("linux/amd64", False)


def test_a_layer_that_is_there_twice_is_fetched_once_and_counted_twice(tmp_path: Path) -> None:
    blobs, same = Blobs(), layer()
    digest = blobs.image([same, same])
    with serving(blobs) as (url, asked):
        question = {"url": url, "repository": "c/alice/model", "digest": digest, "token": TOKEN}
        (tmp_path / PUSHED).write_text(json.dumps(question))
        report = check_pushed(tmp_path / PUSHED, rules=RULES, limit=2**22)

    assert report.ok
    assert report.facts["unpacked_bytes"] == 2 * len(same)
    assert sum("/blobs/" in path for path in asked) == 2  # the config and the layer


def test_of_several_platforms_ours_is_taken(tmp_path: Path) -> None:
    blobs = Blobs()
    ours, other, note = blobs.image(), blobs.image(architecture="arm64"), blobs.image([layer({"sbom": b"{}"})])

    report = check(
        tmp_path, blobs, blobs.index([(other, "linux/arm64"), (ours, "linux/amd64"), (note, "unknown/unknown")])
    )

    assert report.ok, report.defects


@pytest.mark.parametrize(("places", "code"), [(["linux/arm64"], "architecture"), (["linux/amd64"] * 2, "images")])
def test_a_list_without_one_image_of_ours_is_refused(tmp_path: Path, places: list[str], code: str) -> None:
    blobs = Blobs()
    images = [(blobs.image([layer({str(n): b"x"})]), place) for n, place in enumerate(places)]

    assert codes(check(tmp_path, blobs, blobs.index(images))) == [code]


_OCI = "application/vnd.oci.image.layer.v1.tar"
_OTHER = {"mediaType": "application/x", "digest": digest_of(b"x"), "size": 1}
_CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "architecture": ("architecture", {"architecture": "arm64"}),
    "system": ("architecture", {"os": "windows"}),
    "volume": ("volumes", {"settings": {"Volumes": {"/data": {}}}}),
    "command": ("no_command", {"settings": {"Cmd": None}}),
    "command-nonsense": ("no_command", {"settings": {"Cmd": 7}}),
    "diff-id": ("digest", {"diff_ids": [digest_of(b"another")]}),
    "too-few-diff-ids": ("layers", {"diff_ids": ["a", "b"]}),
    "rootfs": ("layers", {"rootfs": 3}),
    "layers": ("layers", {"layers": [layer()] * 128}),
    "foreign": ("foreign_layer", {"part": {"urls": ["http://127.0.0.1/x"]}}),
    "type": ("foreign_layer", {"part": {"mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"}}),
    "zstd": ("compression", {"part": {"mediaType": f"{_OCI}+zstd"}}),
    "size-lie": ("digest", {"part": {"size": 1}}),
    "size-lie-more": ("digest", {"part": {"size": 2**20}}),
    "size-nonsense": ("json", {"part": {"size": -1}}),
    "size-text": ("json", {"part": {"size": "1"}}),
    "digest-path": ("json", {"part": {"digest": "sha256:../../../etc"}}),
    "missing": ("missing_part", {"part": {"digest": digest_of(b"nowhere")}}),
    "artifact": ("not_an_image", {"manifest": {"config": _OTHER}}),
    "no-layers": ("json", {"manifest": {"layers": None}}),
    "no-config": ("json", {"manifest": {"config": None}}),
    "old-schema": ("json", {"manifest": {"mediaType": "application/vnd.docker.distribution.manifest.v1+json"}}),
    "no-tar": ("layer_tar", {"layers": [b"this is no tar archive" * 100]}),
    "too-large": ("too_large", {"layers": [os.urandom(2**22 + 1)]}),
    "too-large-together": ("too_large", {"layers": [layer({"a": os.urandom(2**21)}), layer({"b": os.urandom(2**21)})]}),
}  # fmt: skip


@pytest.mark.parametrize("name", list(_CASES))
def test_what_is_refused(tmp_path: Path, name: str) -> None:
    blobs, (code, changes) = Blobs(), _CASES[name]

    report = check(tmp_path, blobs, blobs.image(**changes), limit=2**24)

    assert codes(report) == [code]
    assert all(defect.message and defect.hint for defect in report.defects)


@pytest.mark.parametrize("user", ["", "0", "root", "0:0", "root:1000", "00"])
def test_root_is_refused_where_it_is_forbidden(tmp_path: Path, user: str) -> None:
    blobs = Blobs()
    digest = blobs.image(user=user)

    assert check(tmp_path, blobs, digest).ok
    assert codes(check(tmp_path, blobs, digest, rules=Rules(RULES.resources, root_images=False))) == ["root_user"]


def test_more_compressed_bytes_than_allowed_are_not_even_fetched(tmp_path: Path) -> None:
    blobs = Blobs()
    report = check(tmp_path, blobs, blobs.image([os.urandom(5000)]), limit=4000)

    assert codes(report) == ["too_large"]
    assert "compressed" in report.defects[0].message


def test_a_bomb_is_stopped_by_its_ratio_long_before_the_limit(tmp_path: Path) -> None:
    blobs = Blobs()
    wide = Rules(ResourceSpec(image=2**40))

    report = check(tmp_path, blobs, blobs.image([layer({"zeros": bytes(2**27)})]), rules=wide)

    assert codes(report) == ["bomb"]
    assert "200 times" in report.defects[0].message


def test_millions_of_empty_files_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runners.intake.image_rules.MAX_FILES", 3)
    blobs = Blobs()

    report = check(tmp_path, blobs, blobs.image([layer({str(n): b"" for n in range(4)})]))

    assert codes(report) == ["too_many_files"]
    assert report.facts["files"] == 4


@pytest.mark.parametrize("harm", ["cut", "garbage"])
def test_damaged_gzip_is_told_as_such(tmp_path: Path, harm: str) -> None:
    blobs, plain = Blobs(), layer()
    packed = gzip.compress(plain)
    packed = packed[:-20] if harm == "cut" else packed + b"garbage"

    report = check(tmp_path, blobs, blobs.image([plain], part={"mediaType": LAYER, **blobs.put(packed)}))

    assert codes(report) == ["damaged"]


def test_bytes_that_are_not_what_their_name_says(tmp_path: Path) -> None:
    blobs = Blobs()
    digest = blobs.image()
    layer_digest = json.loads(blobs[digest])["layers"][0]["digest"]
    swapped = Blobs(blobs | {layer_digest: gzip.compress(layer({"evil": b"x"}), 1, mtime=0)})
    assert codes(check(tmp_path, swapped, digest)) == ["digest"]
    assert codes(check(tmp_path, Blobs(blobs | {digest: blobs[digest] + b" "}), digest)) == ["digest"]


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'{"manifests": 7}', b"[" * 100_000, b'{"layers": {"a": 1}}'])
def test_a_manifest_of_nonsense(tmp_path: Path, raw: bytes) -> None:
    blobs = Blobs()

    assert codes(check(tmp_path, blobs, str(blobs.put(raw)["digest"]))) == ["json"]


@pytest.mark.parametrize(("token", "status"), [("wrong", 200), (TOKEN, 503)])
def test_a_registry_that_fails_is_no_fault_of_the_image(tmp_path: Path, token: str, status: int) -> None:
    blobs = Blobs()

    with pytest.raises(OSError, match=r"answered (401|503)"):
        check(tmp_path, blobs, blobs.image(), token=token, status=status)


def test_a_registry_that_is_away_is_no_fault_of_the_image(tmp_path: Path) -> None:
    question = {"url": "http://127.0.0.1:1", "repository": "c/alice/model", "digest": digest_of(b""), "token": TOKEN}
    (tmp_path / PUSHED).write_text(json.dumps(question))

    with pytest.raises(OSError, match="refused"):
        check_pushed(tmp_path / PUSHED, rules=RULES, limit=2**22)


def test_a_pax_size_hides_no_entries(tmp_path: Path) -> None:
    """A header that says 'skip a gigabyte' and a pax record that says 'nothing': engines believe the record."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for n in range(3):
            archive.addfile(tarfile.TarInfo(str(n)))
    entry = tarfile.TarInfo("cover")
    entry.size = 2**30
    record = b"10 size=0\n"
    head = tarfile.TarInfo("pax")
    head.type, head.size = tarfile.XHDTYPE, len(record)
    raw = (
        head.tobuf(tarfile.USTAR_FORMAT) + record.ljust(512, b"\0") + entry.tobuf(tarfile.USTAR_FORMAT) + out.getvalue()
    )
    blobs = Blobs()

    assert check(tmp_path, blobs, blobs.image([raw])).facts["files"] == 4


@pytest.mark.parametrize("media_type", [MANIFEST, INDEX])
def test_a_manifest_that_is_two_things_at_once_is_refused(tmp_path: Path, media_type: str) -> None:
    blobs = Blobs()
    other = blobs.image()
    listed = json.loads(blobs[blobs.index([(other, "linux/amd64")])])["manifests"]

    report = check(tmp_path, blobs, blobs.image(manifest={"mediaType": media_type, "manifests": listed}))

    assert codes(report) == ["json"]
    assert "at once" in report.defects[0].message


@pytest.mark.parametrize("named", [True, False])
def test_the_type_under_which_the_registry_has_it_counts(tmp_path: Path, named: bool) -> None:
    blobs = Blobs()
    digest = blobs.image()
    if not named:
        body = json.loads(blobs[digest])
        del body["mediaType"]
        digest = blobs.put(json.dumps(body).encode())["digest"]
    with serving(blobs, media_type=INDEX) as (url, _):
        (tmp_path / PUSHED).write_text(
            json.dumps({"url": url, "repository": "c/a/m", "digest": digest, "token": TOKEN})
        )
        report = check_pushed(tmp_path / PUSHED, rules=RULES, limit=2**22)

    assert codes(report) == ["json"]
