"""Build the data of `competitions/garments` from Debian's package of Fashion-MNIST.

    python -m scripts.competitions.build_garments [--check] [--source FOLDER_WITH_IDX_FILES]

Takes the installed package `dataset-fashion-mnist`, or downloads and unpacks it into a temporary
folder (`apt-get download`, `dpkg -x`): nothing is installed.
"""

from __future__ import annotations

import argparse
import gzip
import sys
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from scripts.competitions.common import SourceError, csv_bytes, fail, npz_bytes, publish, run, verified

PACKAGE = "dataset-fashion-mnist"
FOLDER = Path("usr/share/datasets/fashion-mnist")
SHA256 = {
    "train-images-idx3-ubyte.gz": "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
    "train-labels-idx1-ubyte.gz": "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
    "t10k-images-idx3-ubyte.gz": "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
    "t10k-labels-idx1-ubyte.gz": "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
}
CLASSES = (
    "t_shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle_boot",
)  # fmt: skip
SEED = 20170825
#: split: (source file set, images a class). Splits of one set are disjoint.
SIZES = {"train": ("train", 600), "sample": ("train", 5), "validation": ("train", 100), "test": ("t10k", 200)}

Bytes = npt.NDArray[np.uint8]
Source = dict[str, tuple[Bytes, Bytes]]


def read_folder(folder: Path) -> Source:
    """The two sets as (images (n, 28, 28), labels (n,)), verified."""
    content = {}
    for name, digest in SHA256.items():
        try:
            content[name] = verified((folder / name).read_bytes(), digest, name)
        except OSError as error:
            raise SourceError(f"{name} cannot be read from {folder}: {error.strerror}") from error
    return {
        kind: (
            _idx(content[f"{kind}-images-idx3-ubyte.gz"], offset=16).reshape(-1, 28, 28),
            _idx(content[f"{kind}-labels-idx1-ubyte.gz"], offset=8),
        )
        for kind in ("train", "t10k")
    }


def _idx(packed: bytes, *, offset: int) -> Bytes:
    return np.frombuffer(gzip.decompress(packed), dtype=np.uint8, offset=offset)


def read_source(source: Path | None) -> Source:
    """From `source`, else the installed package, else a downloaded one."""
    if source is not None:
        return read_folder(source)
    if (Path("/") / FOLDER).is_dir():
        return read_folder(Path("/") / FOLDER)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        run(["apt-get", "download", "-o", "APT::Sandbox::User=root", PACKAGE], cwd=folder)
        packages = list(folder.glob("*.deb"))
        if len(packages) != 1:
            raise SourceError(f"apt-get downloaded {len(packages)} packages for {PACKAGE}, expected 1")
        run(["dpkg", "-x", packages[0].name, "unpacked"], cwd=folder)
        return read_folder(folder / "unpacked" / FOLDER)


def split_images(labels: dict[str, Bytes]) -> dict[str, npt.NDArray[np.int64]]:
    """Indices into the source set of each split: the same number of each class, shuffled."""
    rng = np.random.default_rng(SEED)
    order = {
        (kind, each): rng.permutation(np.flatnonzero(labels[kind] == each))
        for kind in sorted(labels)
        for each in range(len(CLASSES))
    }
    splits = {}
    for name, (kind, size) in SIZES.items():
        chosen = []
        for each in range(len(CLASSES)):
            chosen.append(order[kind, each][:size])
            order[kind, each] = order[kind, each][size:]
        splits[name] = rng.permutation(np.concatenate(chosen))
    return splits


def build(data: Path, source: Source) -> None:
    """Write the four splits below `data`; ids are drawn over all splits."""
    splits = split_images({kind: labels for kind, (_, labels) in source.items()})
    total = sum(len(members) for members in splits.values())
    numbers = iter(np.random.default_rng([SEED, 1]).permutation(total) + 1)
    for name, members in splits.items():
        images, labels = source[SIZES[name][0]]
        ids = [f"g{next(numbers):05d}" for _ in members]
        order = np.argsort(ids)
        keys = np.array(ids)[order]
        folder = data / name
        folder.mkdir()
        chosen = members[order]
        (folder / "inputs.npz").write_bytes(npz_bytes(id=keys, x=images[chosen][:, None]))
        rows = ((str(key), CLASSES[int(label)]) for key, label in zip(keys, labels[chosen], strict=True))
        (folder / "labels.csv").write_bytes(csv_bytes(("id", "label"), rows))


def main() -> int:
    """Build, or compare with what is committed."""
    parser = argparse.ArgumentParser(description="Build competitions/garments/data")
    parser.add_argument("--check", action="store_true", help="compare with the committed files, write nothing")
    parser.add_argument("--source", type=Path, help="folder with the four .gz files, instead of the Debian package")
    options = parser.parse_args()
    try:
        source = read_source(options.source)
    except SourceError as error:
        return fail(error)
    return publish("garments", CLASSES, lambda data: build(data, source), check=options.check)


if __name__ == "__main__":
    sys.exit(main())
