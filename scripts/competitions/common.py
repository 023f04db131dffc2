"""What the build scripts of the ready-made competitions share: digests, deterministic files, comparison."""

from __future__ import annotations

import csv
import hashlib
import io
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).resolve().parents[2]
COMPETITIONS = ROOT / "competitions"
FACTS = "## Splits and checksums"


class SourceError(Exception):
    """The source data cannot be had, or is not what it was. The text says what to do."""


def sha256(data: bytes) -> str:
    """Hex digest of some bytes."""
    return hashlib.sha256(data).hexdigest()


def verified(data: bytes, expected: str, what: str) -> bytes:
    """The same bytes, or `SourceError` if their digest is not `expected`."""
    found = sha256(data)
    if found != expected:
        raise SourceError(
            f"{what} has sha256 {found}, expected {expected}: it is not the file this competition was made from. "
            "Get the version named in the data card, or pass that file with --source."
        )
    return data


def run(command: Sequence[str], *, cwd: Path) -> None:
    """Run a program; `SourceError` with its last lines if it fails."""
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    except OSError as error:
        raise SourceError(f"{command[0]} cannot be started: {error}") from error
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-5:])
        raise SourceError(f"`{' '.join(command)}` failed ({done.returncode}):\n{tail}")


def csv_bytes(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """A CSV file with `\\n` line ends: the same bytes everywhere."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()


def npz_bytes(**arrays: npt.NDArray[np.generic]) -> bytes:
    """A compressed npz; numpy writes its members with a fixed time, so equal arrays give equal bytes."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def short(value: float) -> str:
    """The shortest decimal that reads back as the same float32."""
    return np.format_float_positional(np.float32(value), unique=True, trim="-")


def facts(data: Path, classes: Sequence[str]) -> str:
    """The data card's section about the files, from the files themselves."""
    counts = ["| split | items | " + " | ".join(classes) + " |", "|---|---:|" + "---:|" * len(classes)]
    digests = ["| file | bytes | sha256 |", "|---|---:|---|"]
    for split in sorted(path for path in data.iterdir() if path.is_dir()):
        labels = read_column(split / "labels.csv", "label")
        each = " | ".join(f"{labels.count(name):,}" for name in classes)
        counts.append(f"| `{split.name}` | {len(labels):,} | {each} |")
        for file in sorted(split.iterdir()):
            content = file.read_bytes()
            digests.append(f"| `{split.name}/{file.name}` | {len(content):,} | `{sha256(content)}` |")
    return "\n".join([FACTS, "", *counts, "", *_group_table(data), *digests, ""])


def _group_table(data: Path) -> list[str]:
    """How many items of each split are in each group, largest group first; nothing where there are no attributes."""
    files = {path.parent.name: path for path in sorted(data.glob("*/attributes.csv"))}
    if not files:
        return []
    lines = [f"| attribute | group | {' | '.join(files)} |", "|---|---|" + "---:|" * len(files)]
    with next(iter(files.values())).open(newline="") as file:
        names = next(csv.reader(file))[1:]
    for name in names:
        counted = [Counter(read_column(path, name)) for path in files.values()]
        total = sum(counted, Counter())
        for group in sorted(total, key=lambda value: (-total[value], value)):
            each = " | ".join(f"{count[group]:,}" for count in counted)
            lines.append(f"| `{name}` | {group} | {each} |")
    return [*lines, ""]


def read_column(path: Path, column: str) -> list[str]:
    """One column of a CSV file as strings."""
    with path.open(newline="") as file:
        return [row[column] for row in csv.DictReader(file)]


def with_facts(card: str, section: str) -> str:
    """The card with its section about the files replaced."""
    pattern = re.compile(rf"^{re.escape(FACTS)}\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
    if not pattern.search(card):
        raise SourceError(f"the data card has no section {FACTS!r} to fill in")
    return pattern.sub(lambda _: section + "\n", card).rstrip() + "\n"


def differences(built: Path, committed: Path) -> list[str]:
    """Relative names of files that are missing, extra or other in `committed`."""
    names = {p.relative_to(base).as_posix() for base in (built, committed) for p in base.rglob("*") if p.is_file()}
    return sorted(name for name in names if not same(built / name, committed / name))


def same(one: Path, other: Path) -> bool:
    """Both files exist and hold the same bytes."""
    return one.is_file() and other.is_file() and one.read_bytes() == other.read_bytes()


def publish(slug: str, classes: Sequence[str], build: Callable[[Path], None], *, check: bool) -> int:
    """Build the splits of a competition in a temporary folder, then compare or replace.

    Returns the exit status: 1 if `check` found a difference.
    """
    folder = COMPETITIONS / slug
    with tempfile.TemporaryDirectory() as temporary:
        data = Path(temporary) / "data"
        data.mkdir()
        build(data)
        card = with_facts((folder / "data_card.md").read_text(), facts(data, classes))
        if check:
            other = differences(data, folder / "data")
            other += [] if card == (folder / "data_card.md").read_text() else ["data_card.md"]
            print("identical" if not other else "different: " + ", ".join(other))
            return 1 if other else 0
        shutil.rmtree(folder / "data", ignore_errors=True)
        shutil.copytree(data, folder / "data")
        (folder / "data_card.md").write_text(card)
    print(f"wrote {folder / 'data'}")
    return 0


def fail(error: SourceError) -> int:
    """Tell why the source cannot be used. Exit status 2: nothing was compared or written."""
    print(error, file=sys.stderr)
    return 2
