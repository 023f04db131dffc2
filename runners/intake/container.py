"""Intake of `container`: a `docker save` archive, read once as a stream and never unpacked to disk."""

from __future__ import annotations

import tarfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from runners.data.sniff import sniff
from runners.intake.images import MAX_JSON, config_digest, one_image, open_image, parse_json
from runners.intake.report import IntakeReport
from runners.intake.streams import CHUNK, LayerHasher
from runners.spec.bundle import ArchiveError
from runners.spec.defects import Defect, shortened
from runners.spec.models import ResourceSpec

MAX_LAYERS = 127
_KEPT_TOTAL = 16 * 2**20
_MANIFESTS = 4 * 2**20
_SAVE = "Make it with `docker save IMAGE -o image.tar`."


@dataclass
class _Entry:
    packed: str
    unpacked: str
    size: int
    link: str = ""
    content: bytes | None = None
    kind: str = "plain"


@dataclass
class _Contents:
    """Digests of all entries, and the bytes of the small ones that look like JSON."""

    entries: dict[str, _Entry] = field(default_factory=dict)
    kept: int = 0

    def json(self, name: str) -> Any:
        entry = self.entries.get(name)
        if entry is None:
            text = f"there is no {name} in the archive"
            raise ArchiveError([Defect("no_manifest" if name == "manifest.json" else "missing_part", text, hint=_SAVE)])
        if entry.content is None:
            raise ArchiveError([Defect("json", "is not JSON or too large", name, hint=_SAVE)])
        return parse_json(entry.content, name)

    def layer(self, name: str) -> _Entry | None:
        entry = self.entries.get(name)
        return self.entries.get(entry.link) if entry is not None and entry.link else entry


def check_container(path: Path, *, resources: ResourceSpec, architecture: str = "amd64") -> IntakeReport:
    """Judge a `docker save` archive.

    Args:
        resources: `image` bounds the bytes of the image, unpacked.
        architecture: of the platform's nodes, in the words of Docker (amd64, arm64).
    """
    report = IntakeReport()
    report.facts["bytes"] = path.stat().st_size
    kind = sniff(path)
    if kind not in ("text", "binary", "gzip"):
        report.note("not_an_image", f"the file is not a tar archive but {kind}", hint=_SAVE)
        return report
    try:
        contents = _scan(path, resources.image)
        _judge(contents, resources, architecture, report)
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
                contents.entries[name] = _Entry("", "", 0, link=entry.linkname.removeprefix("../"))
    return contents


def _digest(entry: tarfile.TarInfo, name: str, stream: IO[bytes], limit: int, contents: _Contents) -> _Entry:
    hasher = LayerHasher(limit=limit)
    content = b""
    small = entry.size <= MAX_JSON and contents.kept + entry.size <= _KEPT_TOTAL
    try:
        while chunk := stream.read(CHUNK):
            hasher.update(chunk)
            if small and hasher.head.lstrip()[:1] in (b"{", b"["):
                content += chunk
    except zlib.error as error:
        raise ArchiveError([Defect("damaged", f"is damaged gzip: {error}", name, hint=_SAVE)]) from error
    contents.kept += len(content)
    kind = "zstd" if hasher.head.startswith(b"(\xb5/\xfd") else "plain"
    return _Entry(
        hasher.packed.hexdigest(), hasher.unpacked.hexdigest(), hasher.size, content=content or None, kind=kind
    )


def _judge(contents: _Contents, resources: ResourceSpec, architecture: str, report: IntakeReport) -> None:
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
    report.facts |= {"config_digest": digest, "tags": list(image["RepoTags"] or [])[:5]}
    _index(contents, report)
    _platform(config, architecture, report)
    _layers(contents, image["Layers"], config, resources, report)
    _start(config, report)


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


def _platform(config: dict[str, Any], architecture: str, report: IntakeReport) -> None:
    system, machine = str(config.get("os", "")), str(config.get("architecture", ""))
    report.facts["platform"] = f"{system}/{machine}"[:60]
    if (system, machine) != ("linux", architecture):
        text = f"the image is for {system or 'nothing'}/{machine or 'nothing'}, the nodes run linux/{architecture}"
        report.note("architecture", text, hint=f"Build it with `docker build --platform linux/{architecture}`.")


def _layers(
    contents: _Contents, names: list[str], config: dict[str, Any], resources: ResourceSpec, report: IntakeReport
) -> None:
    rootfs = config.get("rootfs")
    expected = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if not isinstance(expected, list) or len(expected) != len(names) or not names:
        found = len(expected) if isinstance(expected, list) else 0
        report.note("layers", f"the config lists {found} layers, manifest.json {len(names)}", hint=_SAVE)
        return
    if len(names) > MAX_LAYERS:
        report.note("layers", f"the image has {len(names)} layers; at most {MAX_LAYERS} work", hint="Squash the image.")
    total = 0
    for name, digest in zip(names, expected, strict=True):
        layer = contents.layer(name)
        if layer is None:
            report.note("missing_part", f"the layer {name} is missing", "manifest.json", _SAVE)
        elif layer.kind == "zstd":
            hint = "Save it from an engine that writes gzip or plain layers."
            report.note("compression", "the layer is compressed with zstandard, which is not read", name, hint)
        elif f"sha256:{layer.unpacked}" != digest:
            report.note("digest", "the layer does not have the sha256 that the config says", name, _SAVE)
        total += layer.size if layer is not None else 0
    report.facts |= {"layers": len(names), "unpacked_bytes": total}
    if total > resources.image:
        text = f"the layers unpack to {total:,} bytes; resources.image allows {resources.image:,}"
        report.note("too_large", text, hint="Use a smaller base image and clean caches in the same layer.")


def _start(config: dict[str, Any], report: IntakeReport) -> None:
    inner = config.get("config")
    settings: dict[str, Any] = inner if isinstance(inner, dict) else {}
    command = [str(part) for key in ("Entrypoint", "Cmd") for part in (settings.get(key) or [])]
    user = str(settings.get("User") or "")
    report.facts |= {
        "user": user[:60],
        "command": shortened(command),
        "runs_as_root": user.split(":")[0] in ("", "0", "root"),
    }
    volumes = settings.get("Volumes")
    if isinstance(volumes, dict) and volumes:
        text = (
            f"the image declares volumes ({shortened(sorted(map(str, volumes)), limit=5)}); a sandbox writes /tmp only"
        )
        report.note("volumes", text, hint="Build it without VOLUME, from a base image without one.")
    if not command:
        text = "the image has neither an entry point nor a command, so nothing would start"
        report.note("no_command", text, hint="Add ENTRYPOINT or CMD to the Dockerfile.")
