"""A small competition bundle, written file by file: 12 people, two classes, prediction files only."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

IDS = [f"p{number:02d}" for number in range(12)]
LABELS = ["no", "yes"] * 6

SPEC = """touchstone: 1
slug: {slug}
title: A small test
summary: Twelve people, two classes.
visibility: {visibility}
terms: terms.md
starting_kit: kit
pages:
  - {{slug: overview, title: Overview, file: overview.md}}
task: {{kind: binary, classes: ["no", "yes"], positive: "yes"}}
data:
  train: {{path: data/train, visibility: public}}
  test: {{path: data/test, visibility: {test}}}
submission:
  kinds: [predictions]
  size: 1MiB
phases:
  - {{slug: past, split: test, opens: 2020-01-01T00:00Z, closes: 2021-01-01T00:00Z}}
  - {{slug: now, split: test, opens: 2022-01-01T00:00Z, closes: 2999-01-01T00:00Z, feedback: {feedback},
     limits: {{per_day: {per_day}, total: 50}}}}
  - {{slug: later, split: test, opens: 2999-01-01T00:00Z}}
metrics:
  - {{use: performance.accuracy}}
leaderboards:
  - {{slug: main, title: Main, rank_by: performance.accuracy}}
"""


def labels_csv(prefix: str = "") -> str:
    return "id,label\n" + "".join(f"{prefix}{key},{label}\n" for key, label in zip(IDS, LABELS, strict=True))


def predictions_csv(wrong: int = 0) -> str:
    """Right for all people but the first `wrong`."""
    flipped = {"no": "yes", "yes": "no"}
    rows = [
        f"{key},{flipped[label] if index < wrong else label}\n"
        for index, (key, label) in enumerate(zip(IDS, LABELS, strict=True))
    ]
    return "id,prediction\n" + "".join(rows)


def write_bundle(folder: Path, *, slug: str = "small", visibility: str = "public", **changes: str) -> Path:
    """Write the bundle below `folder`. `changes`: test (visibility), feedback, per_day, extra (text to append)."""
    extra = changes.pop("extra", "")
    values = {"test": "hidden", "feedback": "full", "per_day": "5", **changes}
    files = {
        "competition.yml": SPEC.format(slug=slug, visibility=visibility, **values) + extra,
        "terms.md": "Be fair.\n",
        "overview.md": "# Overview\n\nTwelve people.\n",
        "kit/readme.txt": "Start here.\n",
        "data/train/labels.csv": labels_csv("t"),
        "data/test/labels.csv": labels_csv(),
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def zip_of(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.writestr(zipfile.ZipInfo(path.relative_to(folder).as_posix()), path.read_bytes())
    return buffer.getvalue()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
