"""What an image must be like, however it came: its platform, its user, its command and its layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from runners.intake.layer_entries import MAX_FILES
from runners.intake.report import IntakeReport
from runners.intake.streams import LayerHasher
from runners.spec.defects import shortened
from runners.spec.models import ResourceSpec

MAX_LAYERS = 127


@dataclass(frozen=True)
class Rules:
    """`architecture`: of the platform's nodes, in the words of Docker (amd64, arm64)."""

    resources: ResourceSpec
    root_images: bool = True
    architecture: str = "amd64"


@dataclass(frozen=True)
class Layer:
    """A layer as it was read. Digests are hex; `size` and `files` are of what it unpacks to."""

    packed: str
    unpacked: str
    size: int
    kind: str = "plain"
    files: int = 0
    fault: str = ""


def layer_of(hasher: LayerHasher) -> Layer:
    """What a finished hasher has seen."""
    kind = "zstd" if hasher.head.startswith(b"(\xb5/\xfd") else "plain"
    return Layer(
        hasher.packed.hexdigest(), hasher.unpacked.hexdigest(), hasher.size, kind=kind, files=hasher.entries.count,
        fault=hasher.entries.fault,
    )  # fmt: skip


def judge_config(config: dict[str, Any], rules: Rules, report: IntakeReport) -> None:
    """Platform, user, volumes and command of an image's config."""
    _platform(config, rules.architecture, report)
    _start(config, rules, report)


def diff_ids(config: dict[str, Any], count: int, report: IntakeReport, *, hint: str) -> list[str] | None:
    """The digests that the config gives for its unpacked layers; None, noted, where they are not `count`."""
    rootfs = config.get("rootfs")
    expected = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if not isinstance(expected, list) or len(expected) != count or not count:
        found = len(expected) if isinstance(expected, list) else 0
        report.note("layers", f"the config lists {found} layers, the manifest {count}", hint=hint)
        return None
    if count > MAX_LAYERS:
        report.note("layers", f"the image has {count} layers; at most {MAX_LAYERS} work", hint="Squash the image.")
        return None
    return [str(digest) for digest in expected]


def judge_layer(layer: Layer, name: str, digest: str, report: IntakeReport, *, hint: str) -> None:
    """One layer against the digest that the config gives for it unpacked."""
    if layer.kind == "zstd":
        text = "the layer is compressed with zstandard, which is not read"
        report.note("compression", text, name, "Use an engine that writes gzip or plain layers.")
    elif f"sha256:{layer.unpacked}" != digest:
        report.note("digest", "the layer does not have the sha256 that the config says", name, hint)
    elif layer.fault:
        report.note("layer_tar", f"the layer {layer.fault}", name, hint)


def judge_total(layers: Sequence[Layer], rules: Rules, report: IntakeReport) -> None:
    """What all layers unpack to, together."""
    total, files, allowed = sum(each.size for each in layers), sum(each.files for each in layers), rules.resources.image
    report.facts |= {"layers": len(layers), "unpacked_bytes": total, "files": files}
    if total > allowed:
        text = f"the layers unpack to {total:,} bytes; resources.image allows {allowed:,}"
        report.note("too_large", text, hint="Use a smaller base image and clean caches in the same layer.")
    if files > MAX_FILES:
        text = f"the layers hold {files:,} files; {MAX_FILES:,} are allowed"
        report.note("too_many_files", text, hint="Pack many small files into one, and clean caches in the same layer.")


def _platform(config: dict[str, Any], architecture: str, report: IntakeReport) -> None:
    system, machine = str(config.get("os", "")), str(config.get("architecture", ""))
    report.facts["platform"] = f"{system}/{machine}"[:60]
    if (system, machine) != ("linux", architecture):
        text = f"the image is for {system or 'nothing'}/{machine or 'nothing'}, the nodes run linux/{architecture}"
        report.note("architecture", text[:300], hint=f"Build it with `docker build --platform linux/{architecture}`.")


def _start(config: dict[str, Any], rules: Rules, report: IntakeReport) -> None:
    inner = config.get("config")
    settings: dict[str, Any] = inner if isinstance(inner, dict) else {}
    parts = (settings.get(key) for key in ("Entrypoint", "Cmd"))
    command = [str(word) for part in parts if isinstance(part, list) for word in part]
    user = str(settings.get("User") or "")
    root = is_root(user)
    report.facts |= {"user": user[:60], "command": shortened(command), "runs_as_root": root}
    if root and not rules.root_images:
        text = f"the image's user is root ({user[:60] or 'it names none'}); this competition takes no such images"
        report.note("root_user", text, hint="End the Dockerfile with `USER 65534:65534`.")
    volumes = settings.get("Volumes")
    if isinstance(volumes, dict) and volumes:
        text = (
            f"the image declares volumes ({shortened(sorted(map(str, volumes)), limit=5)}); a sandbox writes /tmp only"
        )
        report.note("volumes", text, hint="Build it without VOLUME, from a base image without one.")
    if not command:
        text = "the image has neither an entry point nor a command, so nothing would start"
        report.note("no_command", text, hint="Add ENTRYPOINT or CMD to the Dockerfile.")


def is_root(user: str) -> bool:
    """Whether an image's `User` (`name`, `uid`, either with `:group`) is root, as far as the name itself tells."""
    name = user.partition(":")[0]
    return name in ("", "root") or (name.isdecimal() and int(name) == 0)
