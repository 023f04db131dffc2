"""`docker save` archives as streams: which entries they may have, and a copy without names.

Two layouts occur: the older one (`<hex>.json`, `<hex>/layer.tar`, `manifest.json`) and the OCI one
(`blobs/sha256/<hex>`, `index.json`, `manifest.json`). Everything else in an archive is refused.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from runners.data.sniff import sniff
from runners.intake.streams import COMPRESSION_ERRORS, CappedReader, open_archive
from runners.spec.bundle import ArchiveError
from runners.spec.defects import Defect, shortened

MAX_ENTRIES = 4_096
MAX_JSON = 4 * 2**20
_MAX_HEADER = 2**16
_HEX = "[0-9a-f]{64}"
_FILE = re.compile(
    rf"oci-layout|index\.json|manifest\.json|repositories|blobs/sha256/{_HEX}|{_HEX}\.json|{_HEX}/(?:layer\.tar|json|VERSION)"
)
_FOLDER = re.compile(rf"\.|blobs|blobs/sha256|{_HEX}")
_LAYER = re.compile(rf"{_HEX}/layer\.tar")
_LAYER_LINK = re.compile(rf"\.\./({_HEX}/layer\.tar)")
_NAMES = ("io.containerd.image.name", "org.opencontainers.image.ref.name", "containerd.io/distribution.source")
_SAVE = "Make it with `docker save IMAGE -o image.tar`."


class _BoundedInfo(tarfile.TarInfo):
    """Refuses extended headers that would be read into memory whole."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        extended = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME)
        if self.type in (*extended, tarfile.GNUTYPE_LONGLINK) and self.size > _MAX_HEADER:
            raise ArchiveError([Defect("path", "an entry's header is larger than any name", hint=_SAVE)])
        return super()._proc_member(archive)  # type: ignore[misc, no-any-return]


@contextmanager
def open_image(path: Path, *, limit: int) -> Iterator[Iterator[tuple[tarfile.TarInfo, str, IO[bytes] | None]]]:
    """Entries of a `docker save` archive in order: (entry, clean name, its bytes or None for folders and links).

    `limit` bounds the bytes of the whole archive, unpacked where it is compressed.

    Raises:
        ArchiveError: not a tar, damaged, too large, or an entry that `docker save` never writes.
    """
    with open_archive(path) as raw:
        packed = path.stat().st_size if sniff(path) == "gzip" else 0
        capped = CappedReader(raw, limit=limit, what="the archive", packed=packed)
        try:
            with tarfile.open(fileobj=capped, mode="r|", tarinfo=_BoundedInfo, bufsize=2**20) as archive:  # type: ignore[call-overload]
                yield _entries(archive)
        # `tarfile` reads numbers and lists in extended headers without asking whether they are any, and tells an entry
        # that ends early by an `OSError` without a number.
        except (tarfile.TarError, *COMPRESSION_ERRORS, ValueError, OverflowError, IndexError, OSError) as error:
            if isinstance(error, ArchiveError) or (isinstance(error, OSError) and error.errno is not None):
                raise
            text = f"the archive is truncated, damaged or no tar: {error or type(error).__name__}"
            raise ArchiveError([Defect("damaged", text, hint=_SAVE)]) from error


def _entries(archive: tarfile.TarFile) -> Iterator[tuple[tarfile.TarInfo, str, IO[bytes] | None]]:
    seen: set[str] = set()
    for count, entry in enumerate(archive, start=1):
        name = entry.name.removeprefix("./").rstrip("/") or "."
        defect = _entry_defect(entry, name, seen)
        if defect is None and count > MAX_ENTRIES:
            defect = Defect("too_many", f"the archive has more than {MAX_ENTRIES:,} entries", hint=_SAVE)
        if defect is not None:
            raise ArchiveError([defect])
        seen.add(name)
        yield entry, name, archive.extractfile(entry) if entry.isreg() else None


def _entry_defect(entry: tarfile.TarInfo, name: str, seen: set[str]) -> Defect | None:
    where = name[:200]
    if name in seen and not entry.isdir():
        return Defect("duplicate", "stands twice in the archive", where, hint=_SAVE)
    if entry.isdir() and _FOLDER.fullmatch(name):
        return None
    if entry.issym() and _LAYER.fullmatch(name) and _LAYER_LINK.fullmatch(entry.linkname):
        return None  # older engines write a layer once and link to it
    if entry.issym() or entry.islnk():
        return Defect("link", f"is a link to {entry.linkname[:100]}", where, hint=_SAVE)
    if not entry.isreg() or entry.issparse():
        return Defect("special", "is neither a plain file nor a folder", where, hint=_SAVE)
    if not _FILE.fullmatch(name):
        text = "is not an entry that `docker save` writes"
        if name.startswith(("/", "..")) or "/../" in name:
            text = "leaves the archive: an absolute path or `..`"
        return Defect("path", text, where, hint=_SAVE)
    return None


def read_json(stream: IO[bytes], entry: tarfile.TarInfo, name: str) -> Any:
    """The JSON of an entry. Raises `ArchiveError`."""
    if entry.size > MAX_JSON:
        raise ArchiveError([Defect("too_large", f"has more than {MAX_JSON:,} bytes", name, hint=_SAVE)])
    return parse_json(stream.read(), name)


def parse_json(raw: bytes, name: str) -> Any:
    """JSON of at most `MAX_JSON` bytes. Raises `ArchiveError`."""
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ArchiveError([Defect("json", f"is not JSON: {type(error).__name__}", name, hint=_SAVE)]) from error


def rewrite_without_tags(source: Path, target: Path, *, limit: int = 2**36) -> str:
    """Copy a `docker save` archive to a plain tar without image names, so loading it can name nothing.

    `RepoTags` become null, name annotations of index.json and the file `repositories` are dropped,
    owners and times are reset. Exactly one image may be in it.

    Returns:
        The image's config digest, `sha256:<hex>`: the image id of engines that store images by config.

    Raises:
        ArchiveError: see `open_image`; also where manifest.json is missing or not of one image.
    """
    try:
        return _rewrite(source, target, limit)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _rewrite(source: Path, target: Path, limit: int) -> str:
    digest = ""
    with open_image(source, limit=limit) as entries, tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as out:
        for entry, name, stream in entries:
            if name in ("repositories", "."):
                continue
            if name == "manifest.json" and stream is not None:
                manifest = one_image(read_json(stream, entry, name))
                digest = config_digest(manifest)
                _write_json(out, name, [manifest | {"RepoTags": None}])
            elif name == "index.json" and stream is not None:
                _write_json(out, name, _without_names(read_json(stream, entry, name)))
            else:
                out.addfile(_clean(entry, name), stream)
    if not digest:
        raise ArchiveError([Defect("no_manifest", "there is no manifest.json in the archive", hint=_SAVE)])
    return digest


def one_image(manifest: Any) -> dict[str, Any]:
    """The only entry of manifest.json: `Config` and `Layers` name entries of the archive. Raises `ArchiveError`."""
    if not isinstance(manifest, list) or not all(isinstance(image, dict) for image in manifest):
        raise ArchiveError([Defect("json", "is not a list of images", "manifest.json", hint=_SAVE)])
    if len(manifest) != 1:
        names = shortened([tag for image in manifest for tag in _tags(image) or ["(no name)"]], limit=5)
        text = f"the archive must hold one image, it holds {len(manifest)}: {names}"
        raise ArchiveError([Defect("images", text, "manifest.json", hint="Save one image only.")])
    image: dict[str, Any] = manifest[0]
    layers = image.get("Layers")
    named = [image.get("Config"), *(layers if isinstance(layers, list) else [None])]
    if not all(isinstance(name, str) and _FILE.fullmatch(name) for name in named):
        raise ArchiveError([Defect("json", "names files that are no parts of an image", "manifest.json", hint=_SAVE)])
    return {"Config": image["Config"], "RepoTags": _tags(image), "Layers": image["Layers"]}


def _tags(image: dict[str, Any]) -> list[str]:
    """The names an image was saved under: shown, and never used."""
    tags = image.get("RepoTags")
    return [str(tag)[:200] for tag in tags] if isinstance(tags, list) else []


def config_digest(image: dict[str, Any]) -> str:
    """`sha256:<hex>` of the config that an entry of manifest.json names."""
    match = re.search(_HEX, image["Config"])
    if match is None:
        raise ArchiveError([Defect("json", "the config is not named by its sha256", "manifest.json", hint=_SAVE)])
    return f"sha256:{match[0]}"


def _without_names(index: Any) -> dict[str, Any]:
    manifests = index.get("manifests") if isinstance(index, dict) else None
    if not isinstance(manifests, list) or len(manifests) != 1 or not isinstance(manifests[0], dict):
        raise ArchiveError([Defect("images", "must list exactly one image", "index.json", hint="Save one image only.")])
    only = dict(manifests[0])
    notes = only.pop("annotations", None) or {}
    kept = {key: value for key, value in notes.items() if not key.startswith(_NAMES)} if isinstance(notes, dict) else {}
    return {key: value for key, value in index.items() if key != "annotations"} | {
        "manifests": [only | ({"annotations": kept} if kept else {})]
    }


def _clean(entry: tarfile.TarInfo, name: str) -> tarfile.TarInfo:
    fresh = tarfile.TarInfo(name)
    fresh.size = entry.size if entry.isreg() else 0
    fresh.type = tarfile.DIRTYPE if entry.isdir() else tarfile.SYMTYPE if entry.issym() else tarfile.REGTYPE
    fresh.linkname = entry.linkname if entry.issym() else ""
    fresh.mode = 0o755 if entry.isdir() else 0o644
    return fresh


def _write_json(out: tarfile.TarFile, name: str, value: Any) -> None:
    raw = json.dumps(value).encode()
    entry = tarfile.TarInfo(name)
    entry.size = len(raw)
    out.addfile(entry, io.BytesIO(raw))
