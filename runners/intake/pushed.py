"""Intake of an image in the platform's registry: read by digest as a stream, judged like an archive, stored nowhere.

The file that is checked is a question of the server's own: {"url", "repository", "digest", "token"}.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from pathlib import Path
from typing import Any

from runners.intake.image_rules import Layer, Rules, diff_ids, judge_config, judge_layer, judge_total, layer_of
from runners.intake.images import MAX_JSON, parse_json
from runners.intake.registry_reader import RegistryReader
from runners.intake.report import IntakeReport
from runners.intake.streams import CHUNK, LayerHasher
from runners.spec.bundle import ArchiveError
from runners.spec.defects import Defect
from runners.spec.images import IMAGE_TYPES, INDEX_TYPES, MANIFESTS, MAX_MANIFEST, manifest_parts

_AGAIN = "Push the image again, and submit the digest that `docker push` prints."
_LAYERS = frozenset(
    {
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
        "application/vnd.docker.image.rootfs.diff.tar",
        "application/vnd.oci.image.layer.v1.tar",
        "application/vnd.oci.image.layer.v1.tar+gzip",
    }
)
_OF_IMAGES = frozenset({"layers", "config", "fsLayers"})
_CONFIGS = frozenset({"application/vnd.docker.container.image.v1+json", "application/vnd.oci.image.config.v1+json"})


def check_pushed(path: Path, *, rules: Rules, limit: int) -> IntakeReport:
    """Judge the image that the file names.

    Args:
        limit: bytes of all its parts as the registry stores them, compressed.

    Raises:
        OSError: the registry is away or refuses our token: no fault of the image.
    """
    asked = json.loads(path.read_bytes())
    report = IntakeReport()
    report.facts["digest"] = asked["digest"]
    try:
        reader = RegistryReader(asked["url"], asked["repository"], asked["token"])
        manifest = _image(reader, asked["digest"], rules.architecture)
        _judge(reader, manifest, rules, limit, report)
    except ArchiveError as error:
        report.defects += error.defects
    return report


def _refuse(code: str, message: str, where: str = "", hint: str = _AGAIN) -> ArchiveError:
    return ArchiveError([Defect(code, message, where, hint=hint)])


def _image(reader: RegistryReader, digest: str, architecture: str) -> dict[str, Any]:
    """The manifest of one image; of a list of platforms, that of ours."""
    manifest = _manifest(reader, digest)
    if manifest["mediaType"] not in INDEX_TYPES:
        return manifest
    listed = [part for part in manifest_parts(manifest) if isinstance(part.get("platform"), dict)]
    places = [(str(part["platform"].get("os")), str(part["platform"].get("architecture"))) for part in listed]
    ours = [part for part, place in zip(listed, places, strict=True) if place == ("linux", architecture)]
    if len(ours) == 1:
        return _manifest(reader, ours[0]["digest"])
    names = ", ".join(sorted({"/".join(place)[:40] for place in places if place[0] != "unknown"})[:5]) or "none"
    hint = f"Build it with `docker build --platform linux/{architecture}`."
    if ours:
        raise _refuse("images", f"the list names {len(ours)} images for linux/{architecture}", digest, hint)
    raise _refuse("architecture", f"it has images for {names}; the nodes run linux/{architecture}", digest, hint)


def _manifest(reader: RegistryReader, digest: str) -> dict[str, Any]:
    stream = reader.manifest(digest)
    told = stream.media_type
    manifest = parse_json(_whole(stream, digest, MAX_MANIFEST), digest)
    try:
        manifest_parts(manifest)
    except ValueError as error:
        raise _refuse("json", f"the manifest cannot be used: {error}", digest) from error
    return {**manifest, "mediaType": _media_type(manifest, told, digest)}


def _media_type(manifest: dict[str, Any], told: str, digest: str) -> str:
    """What a manifest is: one thing only, for engines choose by different marks what they read it as."""
    named = manifest.get("mediaType") or (told if told in MANIFESTS else IMAGE_TYPES[-1])
    if named not in MANIFESTS or (told in MANIFESTS and told != named):
        raise _refuse("json", "the manifest's media type is not that under which the registry has it", digest)
    if ("manifests" in manifest) != (named in INDEX_TYPES) or (
        "manifests" in manifest and manifest.keys() & _OF_IMAGES
    ):
        raise _refuse("json", "the manifest is of an image and of a list at once, or of neither", digest)
    return str(named)


def _whole(stream: Any, digest: str, limit: int) -> bytes:
    with stream:
        raw: bytes = stream.read(limit + 1)
    if len(raw) > limit:
        raise _refuse("too_large", f"has more than {limit:,} bytes", digest)
    if f"sha256:{hashlib.sha256(raw).hexdigest()}" != digest:
        raise _refuse("digest", "does not have the sha256 that its name says", digest)
    return raw


def _judge(reader: RegistryReader, manifest: dict[str, Any], rules: Rules, limit: int, report: IntakeReport) -> None:
    layers, config = manifest.get("layers"), manifest.get("config")
    media_type = manifest["mediaType"]
    if not isinstance(layers, list) or not isinstance(config, dict) or media_type not in IMAGE_TYPES:
        raise _refuse("json", "the manifest is not that of an image", report.facts["digest"])  # type: ignore[arg-type]
    if config.get("mediaType") not in _CONFIGS:
        raise _refuse("not_an_image", "it is something else than a container's image", config["digest"])
    stored = sum(part["size"] for part in [config, *layers])
    report.facts["bytes"] = stored
    if stored > limit:
        text = f"the image has {stored:,} bytes compressed; the competition allows {limit:,}"
        raise _refuse("too_large", text, hint="Use a smaller base image and clean caches in the same layer.")
    details = parse_json(_whole(reader.blob(config["digest"]), config["digest"], MAX_JSON), config["digest"])
    if not isinstance(details, dict):
        raise _refuse("json", "the config is not an object", config["digest"])
    report.facts["config_digest"] = config["digest"]
    judge_config(details, rules, report)
    expected = diff_ids(details, len(layers), report, hint=_AGAIN)
    if expected is not None and report.ok:  # what is refused anyway need not be fetched
        _layers(reader, layers, expected, rules, report)


def _layers(
    reader: RegistryReader, layers: list[dict[str, Any]], expected: list[str], rules: Rules, report: IntakeReport
) -> None:
    known: dict[str, Layer] = {}
    found: list[Layer] = []
    for part, diff_id in zip(layers, expected, strict=True):
        digest = part["digest"]
        if digest not in known:
            known[digest] = _layer(reader, part, rules.resources.image)
        judge_layer(known[digest], digest, diff_id, report, hint=_AGAIN)
        found.append(known[digest])
        if sum(each.size for each in found) > rules.resources.image:
            break  # too large already: the rest need not be fetched
    judge_total(found, rules, report)


def _layer(reader: RegistryReader, part: dict[str, Any], limit: int) -> Layer:
    digest = part["digest"]
    if part.get("urls") or part.get("mediaType") not in _LAYERS:
        if str(part.get("mediaType")).endswith("zstd"):
            hint = "Push it from an engine that writes gzip layers (`--output type=image,compression=gzip`)."
            raise _refuse("compression", "the layer is compressed with zstandard, which is not read", digest, hint)
        raise _refuse("foreign_layer", "the layer lies outside the registry, or is of an unknown type", digest)
    hasher, left = LayerHasher(limit=limit), int(part["size"])
    try:
        with reader.blob(digest) as stream:
            while chunk := stream.read(min(CHUNK, left + 1)):
                left -= len(chunk)
                if left < 0:
                    raise _refuse("digest", "is larger than the manifest says", digest)
                hasher.update(chunk)
        hasher.finish()
    except zlib.error as error:
        raise _refuse("damaged", f"the layer is damaged gzip: {error}", digest) from error
    layer = layer_of(hasher)
    if left or f"sha256:{layer.packed}" != digest:
        raise _refuse("digest", "the layer does not have the size and sha256 that the manifest says", digest)
    return layer
