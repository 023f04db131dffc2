"""The committed data of the ready-made competitions: what the cards say is true, and nobody is named."""

from __future__ import annotations

import csv
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from scripts.competitions import build_garments, build_recidivism
from scripts.competitions.build_replay import COMPAS_TABLE
from scripts.competitions.common import COMPETITIONS, FACTS, facts, read_column, sha256
from scripts.competitions.splits import Items, read_items

SPLITS = ("train", "sample", "validation", "test")
CLASSES = {"recidivism": build_recidivism.CLASSES, "garments": build_garments.CLASSES}
SIZES = {
    "recidivism": {"train": 4000, "sample": 50, "validation": 1164, "test": 2000},
    "garments": {"train": 6000, "sample": 50, "validation": 1000, "test": 2000},
}


@pytest.fixture(scope="module")
def items() -> dict[str, dict[str, Items]]:
    return {
        slug: {split: read_items(COMPETITIONS / slug / "data" / split, classes) for split in SPLITS}
        for slug, classes in CLASSES.items()
    }


@pytest.mark.parametrize("slug", CLASSES)
def test_the_card_states_counts_and_digests_of_the_committed_files(slug: str) -> None:
    folder = COMPETITIONS / slug
    section = facts(folder / "data", CLASSES[slug])
    assert section in (folder / "data_card.md").read_text()
    listed = set(re.findall(r"^\| `([a-z]+/[a-z.]+)` \|", section, re.MULTILINE))
    assert listed == {path.relative_to(folder / "data").as_posix() for path in (folder / "data").rglob("*.*")}
    assert section.startswith(FACTS)


def test_the_cards_name_the_sources_the_scripts_verify() -> None:
    card = (COMPETITIONS / "recidivism" / "data_card.md").read_text()
    assert build_recidivism.CSV_SHA256 in card
    assert build_recidivism.WHEEL_SHA256 in card
    card = (COMPETITIONS / "garments" / "data_card.md").read_text()
    for name, digest in build_garments.SHA256.items():
        assert f"| `{name}` | `{digest}` |" in card


@pytest.mark.parametrize("slug", CLASSES)
def test_cards_have_the_seven_sections_limits_and_cautions(slug: str) -> None:
    card = (COMPETITIONS / slug / "data_card.md").read_text()
    titles = re.findall(r"^## (.+)$", card, re.MULTILINE)
    sheet = ["Motivation", "Composition", "Collection", "Preprocessing", "Uses", "Distribution", "Maintenance"]
    assert [title for title in titles if title[0].isdigit()] == [f"{n}. {name}" for n, name in enumerate(sheet, 1)]
    assert {"Known limits", "Ethical cautions"} <= set(titles)


@pytest.mark.parametrize("slug", CLASSES)
def test_splits_are_disjoint_and_as_large_as_stated(slug: str, items: dict[str, dict[str, Items]]) -> None:
    assert {split: len(part.ids) for split, part in items[slug].items()} == SIZES[slug]
    every = [key for part in items[slug].values() for key in part.ids]
    assert len(set(every)) == len(every) == sum(SIZES[slug].values())


@pytest.mark.parametrize("slug", CLASSES)
def test_no_item_is_in_two_splits_under_two_ids(slug: str, items: dict[str, dict[str, Items]]) -> None:
    if slug == "recidivism":  # six coarse features: different people coincide, so the joint counts must add up
        seen = Counter(
            (race, build_recidivism.CLASSES[label])
            for part in items[slug].values()
            for race, label in zip(part.attributes["race"], part.y, strict=True)
        )
        table = pq.read_table(COMPAS_TABLE).to_pydict()
        assert seen == Counter(zip(table["race"], table["label"], strict=True))
        return
    # The origin's training set has no two equal images among those chosen, so pixels tell items apart.
    drawn = [sha256(image.tobytes()) for name in SPLITS for image in items[slug][name].x]
    assert len(set(drawn)) == len(drawn)


def test_ids_tell_neither_row_nor_split(items: dict[str, dict[str, Items]]) -> None:
    for slug, letter, width in (("recidivism", "p", 4), ("garments", "g", 5)):
        total = sum(SIZES[slug].values())
        every = sorted(key for part in items[slug].values() for key in part.ids)
        assert every == [f"{letter}{number:0{width}d}" for number in range(1, total + 1)]
        for part in items[slug].values():
            assert part.ids == sorted(part.ids)
            places = np.array([int(key[1:]) for key in part.ids]) / total
            assert abs(places.mean() - 0.5) < 4 * np.sqrt(1 / 12 / len(places))


def test_recidivism_is_stratified(items: dict[str, dict[str, Items]]) -> None:
    parts = items["recidivism"]
    whole = np.concatenate([part.y for part in parts.values()]).mean()
    for part in parts.values():
        assert abs(part.y.mean() - whole) < 1.5 / len(part.ids) ** 0.5 / 2
        share = np.mean(part.attributes["race"] == "African-American")
        assert abs(share - 3696 / 7214) < 1 / len(part.ids) + 0.01


def test_recidivism_features_undo_to_the_published_units(items: dict[str, dict[str, Items]]) -> None:
    for part in items["recidivism"].values():
        assert part.x.min() >= 0
        assert part.x.max() <= 1
        for column, (_, low, high) in enumerate(build_recidivism.SCALES.values()):
            raw = part.x[:, column].astype(np.float64) * (high - low) + low
            np.testing.assert_allclose(raw, np.round(raw), atol=1e-5)
    every = np.concatenate([part.x for part in items["recidivism"].values()])
    np.testing.assert_array_equal(every.max(axis=0), 1)
    np.testing.assert_array_equal(every.min(axis=0), 0)


def test_garments_are_balanced_bytes_and_small(items: dict[str, dict[str, Items]]) -> None:
    for part in items["garments"].values():
        assert len(set(Counter(part.y.tolist()).values())) == 1
        assert part.x.shape[1:] == (1, 28, 28)
    with np.load(COMPETITIONS / "garments" / "data" / "train" / "inputs.npz", allow_pickle=False) as arrays:
        assert arrays["x"].dtype == np.uint8
    total = sum(path.stat().st_size for path in (COMPETITIONS / "garments" / "data").rglob("*.*"))
    assert total < 6_000_000


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]


def test_only_whitelisted_columns_are_committed() -> None:
    allowed = {
        "inputs.csv": ("id", *build_recidivism.FEATURES),
        "labels.csv": ("id", "label"),
        "attributes.csv": ("id", "race", "sex", "age_group"),
    }
    for path in _files(COMPETITIONS / "recidivism" / "data"):
        with path.open(newline="") as file:
            assert tuple(next(csv.reader(file))) == allowed[path.name]
    table = pq.read_table(COMPAS_TABLE)
    assert table.column_names == ["id", "label", "race", "prediction"]
    forbidden = {"name", "first", "last", "dob", "c_case_number", "id"}
    assert not forbidden & set(build_recidivism.WHITELIST)


def test_no_value_looks_like_a_name_date_or_case_number() -> None:
    number = re.compile(r"\d+(\.\d+)?")
    words = {
        "p_no_recidivism", "p_recidivism", "prediction", "no_recidivism", "recidivism", "id", "label",
        *build_recidivism.FEATURES, *build_recidivism.ATTRIBUTES,
        "African-American", "Caucasian", "Hispanic", "Other", "Asian", "Native American", "Male", "Female",
        "25 - 45", "Less than 25", "Greater than 45",
    }  # fmt: skip
    tables = [path for path in _files(COMPETITIONS / "recidivism") if path.suffix == ".csv"]
    assert len(tables) == 15
    for path in tables:
        with path.open(newline="") as file:
            for row in csv.reader(file):
                for value in row:
                    assert value in words or number.fullmatch(value) or re.fullmatch(r"p\d{4}", value), (path, value)


def test_the_replay_cannot_be_joined_to_the_competition_by_id_or_order(items: dict[str, dict[str, Items]]) -> None:
    table = pq.read_table(COMPAS_TABLE).to_pydict()
    assert table["id"] == [f"c{number:04d}" for number in range(1, 7215)]
    by_number = {
        key[1:]: build_recidivism.CLASSES[label]
        for part in items["recidivism"].values()
        for key, label in zip(part.ids, part.y, strict=True)
    }
    same = np.mean([by_number[key[1:]] == label for key, label in zip(table["id"], table["label"], strict=True)])
    share = 3251 / 7214
    chance = share**2 + (1 - share) ** 2
    assert abs(same - chance) < 0.03


@pytest.mark.parametrize("slug", CLASSES)
def test_every_label_file_names_known_classes(slug: str) -> None:
    for split in SPLITS:
        assert set(read_column(COMPETITIONS / slug / "data" / split / "labels.csv", "label")) == set(CLASSES[slug])
