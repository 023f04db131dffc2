"""A competition to start from: a folder that is valid as it is, with made-up data. `touchstone competition init`."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from string import Template

from touchstone_client.errors import ClientError, ExitCode

#: What each template is for; the first is taken where none is named.
TEMPLATES = {
    "tabular": "numbers about people, groups to compare, a development and a final phase; files, models and code",
    "predictions": "the smallest: one phase, files of predictions, two metrics",
}
_SHARED = (
    "pages/overview.md", "pages/evaluation.md", "pages/rules.md", "terms.md", "data_card.md", "starting_kit/README.md",
)  # fmt: skip
#: Rows of each split; a split's name seeds what is in it.
_ROWS = {"train": 200, "sample": 20, "validation": 120, "test": 120}
_SPLITS = {"tabular": ("train", "sample", "validation", "test"), "predictions": ("train", "test")}
_SLUG = re.compile(r"[^a-z0-9]+")


def bundle_write(folder: Path, *, template: str, title: str = "") -> str:
    """Write the template into `folder`, which must be empty or not there; the slug, made of the folder's name."""
    if template not in TEMPLATES:
        listed = "; ".join(f"{name}: {what}" for name, what in TEMPLATES.items())
        raise ClientError(
            f"There is no template {template!r}", why=f"there are {listed}",
            code="no_template", exit_code=ExitCode.USAGE,
        )  # fmt: skip
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ClientError(
            f"{folder} is not empty", why="nothing of yours is overwritten",
            hint="Name a folder that is not there yet.", code="not_empty", exit_code=ExitCode.USAGE,
        )  # fmt: skip
    name = folder.resolve().name
    slug = _SLUG.sub("-", name.lower()).strip("-")[:60].rstrip("-") or "my-competition"
    values = {"slug": slug, "title": _title(title or name), **_dates()}
    source = files("touchstone_client") / "templates" / "competition"
    texts = {"competition.yml": f"{template}.yml", **{name: name for name in _SHARED}}
    for target, made_of in texts.items():
        text = Template((source / made_of).read_text(encoding="utf-8")).substitute(values)
        _put(folder / target, text)
    for split in _SPLITS[template]:
        for target, text in _data(split, groups=template == "tabular"):
            _put(folder / "data" / split / target, text)
    return slug


def _title(text: str) -> str:
    """On one line and safe in YAML without quotes."""
    words = " ".join(re.sub(r"[^\w .,()-]+", " ", text.replace("_", " ").replace("-", " ")).split())
    return (words[:1].upper() + words[1:80]).rstrip(" .,(-") or "My competition"


def _dates() -> dict[str, str]:
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    days = {"opens": 0, "closes": 60, "ends": 74}
    return {name: f"{today + timedelta(days=count):%Y-%m-%dT%H:%MZ}" for name, count in days.items()}


def _data(split: str, *, groups: bool) -> Iterator[tuple[str, str]]:
    """inputs.csv, labels.csv and, where groups are compared, attributes.csv; the same each time."""
    draw = random.Random(split)  # noqa: S311 - made-up data, nothing secret
    inputs, labels, attributes = ["id,income,savings,years"], ["id,label"], ["id,group"]
    for number in range(_ROWS[split]):
        key, group = f"{split}{number:04d}", "AB"[number % 2]
        numbers = [draw.random() ** (1.0 if group == "A" else 1.3) for _ in range(3)]
        granted = 1.5 * numbers[0] + numbers[1] + 0.5 * numbers[2] + draw.gauss(0, 0.3) > 1.3
        inputs.append(f"{key},{','.join(f'{value:.4f}' for value in numbers)}")
        labels.append(f"{key},{'granted' if granted else 'refused'}")
        attributes.append(f"{key},{group}")
    yield "inputs.csv", "\n".join(inputs) + "\n"
    yield "labels.csv", "\n".join(labels) + "\n"
    if groups:
        yield "attributes.csv", "\n".join(attributes) + "\n"


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
