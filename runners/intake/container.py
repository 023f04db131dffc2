"""Intake of `container`: a `docker save` archive, read once as a stream and never unpacked to disk."""

from __future__ import annotations

import tarfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from runners.data.sniff import sniff
from runners.intake.image_rules import Layer, Rules, diff_ids, judge_config, judge_layer, judge_total, layer_of
from runners.intake.images import MAX_JSON, config_digest, one_image, open_image, parse_json
from runners.intake.report import IntakeReport
from runners.intake.streams import CHUNK, LayerHasher
from runners.spec.bundle import ArchiveError
from runners.spec.defects import Defect
from runners.spec.models import ResourceSpec

_KEPT_TOTAL = 16 * 2**20
_SAVE = "Make it with `docker save IMAGE -o image.tar`."


@dataclass
class _Contents:
    """What all entries are, where links lead, and the bytes of the small ones that look like JSON."""

    entries: dict[str, Layer] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    texts: dict[str, bytes] = field(default_factory=dict)
    kept: int = 0

    def json(self, name: str) -> Any:
        if name not in self.entries:
            text = f"there is no {name} in the archive"
            raise ArchiveError([Defect("no_manifest" if name == "manifest.json" else "missing_part", text, hint=_SAVE)])
        if name not in self.texts:
            raise ArchiveError([Defect("json", "is not JSON or too large", name, hint=_SAVE)])
        return parse_json(self.texts[name], name)

    def layer(self, name: str) -> Layer | None:
        return self.entries.get(self.links.get(name, name))


def check_container(
    path: Path, *, resources: ResourceSpec, root_images: bool = True, architecture: str = "amd64"
) -> IntakeReport:
    """Judge a `docker save` archive.

    Args:
        resources: `image` bounds the bytes of the image, unpacked.
        root_images: whether an image may name root as its user.
        architecture: of the platform's nodes, in the words of Docker (amd64, arm64).
    """
    report = IntakeReport()
    report.facts["bytes"] = path.stat().st_size
    kind = sniff(path)
    if kind not in ("text", "binary", "gzip"):
        report.note("not_an_image", f"the file is not a tar archive but {kind}", hint=_SAVE)
        return report
    try:
        _judge(_scan(path, resources.image), Rules(resources, root_images, architecture), report)
    except ArchiveError as error:
        report.defects += error.defects
    return report


def _scan(path: Path, limit: int) -> _Contents:
    contents = _Contents()
    with open_image(path, limit=limit + limit // 8 + 16 * CHUNK) as entries:
        for entry, name, stream in entries:
            if stream is not None:
                contents.entries[name] = _digest(entry, name, stream, limit, contents)
            elif entry.issym():
                contents.links[name] = entry.linkname.removeprefix("../")
    return contents


def _digest(entry: tarfile.TarInfo, name: str, stream: IO[bytes], limit: int, contents: _Contents) -> Layer:
    hasher = LayerHasher(limit=limit)
    content = b""
    small = entry.size <= MAX_JSON and contents.kept + entry.size <= _KEPT_TOTAL
    try:
        while chunk := stream.read(CHUNK):
            hasher.update(chunk)
            if small and hasher.head.lstrip()[:1] in (b"{", b"["):
                content += chunk
        hasher.finish()
    except zlib.error as error:
        raise ArchiveError([Defect("damaged", f"is damaged gzip: {error}", name, hint=_SAVE)]) from error
    if content:
        contents.kept += len(content)
        contents.texts[name] = content
    return layer_of(hasher)


def _judge(contents: _Contents, rules: Rules, report: IntakeReport) -> None:
    for name, entry in contents.entries.items():
        if name.startswith("blobs/sha256/") and entry.packed != name.rpartition("/")[2]:
            report.note("digest", "does not have the sha256 that its name says", name, _SAVE)
    image = one_image(contents.json("manifest.json"))
    digest = config_digest(image)
    config = contents.json(image["Config"])
    if f"sha256:{contents.entries[image['Config']].packed}" != digest:
        report.note("digest", "the config does not have the sha256 that its name says", image["Config"], _SAVE)
    if not isinstance(config, dict):
        report.note("json", "the config is not an object", image["Config"], _SAVE)
        return
    report.facts |= {"config_digest": digest, "tags": image["RepoTags"][:5]}
    _index(contents, report)
    _layers(contents, image["Layers"], config, rules, report)
    judge_config(config, rules, report)


def _index(contents: _Contents, report: IntakeReport) -> None:
    """The digest of the OCI manifest: the image id of engines that store images by manifest."""
    if "index.json" not in contents.entries:
        return
    index = contents.json("index.json")
    manifests = index.get("manifests") if isinstance(index, dict) else None
    if not isinstance(manifests, list) or len(manifests) != 1 or not isinstance(manifests[0], dict):
        report.note("images", "index.json must list exactly one image", "index.json", "Save one image only.")
        return
    report.facts["manifest_digest"] = str(manifests[0].get("digest", ""))[:80]


def _layers(contents: _Contents, names: list[str], config: dict[str, Any], rules: Rules, report: IntakeReport) -> None:
    expected = diff_ids(config, len(names), report, hint=_SAVE)
    if expected is None:
        return
    found = []
    for name, digest in zip(names, expected, strict=True):
        layer = contents.layer(name)
        if layer is None:
            report.note("missing_part", f"the layer {name} is missing", "manifest.json", _SAVE)
            continue
        judge_layer(layer, name, digest, report, hint=_SAVE)
        found.append(layer)
    judge_total(found, rules, report)
