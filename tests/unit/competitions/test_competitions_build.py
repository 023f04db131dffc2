"""The build scripts on made-up sources: what they let through, what they refuse, and that they repeat themselves."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from scripts.competitions import build_garments, build_recidivism, common
from scripts.competitions.common import SourceError

SECRETS = ("Zacharias", "Quimby", "1947-04-18", "13011352CF10A", "Grand Theft", "2013-08-14")


def _origin(count: int) -> bytes:
    header = [
        "id", "name", "first", "last", "compas_screening_date", "sex", "dob", "age", "age_cat", "race",
        "juv_fel_count", "juv_misd_count", "juv_other_count", "priors_count", "c_case_number", "c_charge_degree",
        "c_charge_desc", "score_text", "priors_count", "two_year_recid",
    ]  # fmt: skip
    rng = np.random.default_rng(3)
    rows = []
    for number in range(count):
        age = int(rng.integers(18, 97))
        priors = str(rng.integers(0, 39))
        rows.append([
            str(number), "Zacharias Quimby", "Zacharias", "Quimby", "2013-08-14", str(rng.choice(["Male", "Female"])),
            "1947-04-18", str(age), "25 - 45", str(rng.choice(["Caucasian", "African-American", "Other"])),
            "0", "1", "2", priors, "13011352CF10A", str(rng.choice(["F", "M"])), "Grand Theft",
            str(rng.choice(["Low", "High"])), priors, str(rng.integers(0, 2)),
        ])  # fmt: skip
    return "\n".join(",".join(row) for row in [header, *rows]).encode() + b"\n"


@pytest.fixture(scope="module")
def people() -> list[build_recidivism.Person]:
    return build_recidivism.read_people(_origin(7214))


def test_nothing_identifying_passes(people: list[build_recidivism.Person], tmp_path: Path) -> None:
    build_recidivism.build(tmp_path, people)
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) == 12
    for path in written:
        content = path.read_text()
        assert not [secret for secret in SECRETS if secret in content], path.name
    assert not [secret for secret in SECRETS if secret in repr(people)]


def test_a_build_repeats_itself_byte_for_byte(people: list[build_recidivism.Person], tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        build_recidivism.build(tmp_path / name, people)
    assert common.differences(tmp_path / "one", tmp_path / "two") == []
    (tmp_path / "two" / "test" / "labels.csv").write_text("id,label\n")
    (tmp_path / "two" / "train" / "labels.csv").unlink()
    assert common.differences(tmp_path / "one", tmp_path / "two") == ["test/labels.csv", "train/labels.csv"]


def test_splits_hold_everybody_once(people: list[build_recidivism.Person]) -> None:
    splits = build_recidivism.split_people(people)
    assert {name: len(members) for name, members in splits.items()} == {**build_recidivism.SIZES, "train": 4000}
    assert sorted(index for members in splits.values() for index in members) == list(range(7214))
    ids = build_recidivism.new_ids(splits)
    rank = np.argsort(np.argsort([ids[index] for index in range(7214)]))
    assert abs(np.corrcoef(rank, np.arange(7214))[0, 1]) < 0.05


def test_features_and_label_are_read_from_the_right_columns() -> None:
    header = ",".join(build_recidivism.WHITELIST)
    content = f"{header}\n57,1,0,0,19,F,Caucasian,Female,Greater than 45,Medium,1\n".encode()
    (person,) = build_recidivism.read_people(content)
    assert person.features == (0.5, 1 / 20, 0.0, 0.0, 0.5, 1.0)
    assert person.label == "recidivism"
    assert person.attributes == ("Caucasian", "Female", "Greater than 45")


def test_another_origin_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "compas-scores-two-years.csv"
    other.write_bytes(_origin(3))
    with pytest.raises(SourceError, match=f"expected {build_recidivism.CSV_SHA256}"):
        build_recidivism.read_source(other)
    with pytest.raises(SourceError, match=r"train-images-idx3-ubyte\.gz cannot be read"):
        build_garments.read_source(tmp_path)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(b"other"))
    with pytest.raises(SourceError, match="it is not the file this competition was made from"):
        build_garments.read_source(tmp_path)


def test_garments_are_dealt_by_class_and_never_twice(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    source = {}
    for kind, each in (("train", 710), ("t10k", 201)):
        labels = rng.permutation(np.repeat(np.arange(10, dtype=np.uint8), each))
        images = rng.integers(0, 256, (len(labels), 28, 28), dtype=np.uint8)
        images[:, 0, 0] = labels
        source[kind] = (images, labels)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        build_garments.build(tmp_path / name, source)
    assert common.differences(tmp_path / "one", tmp_path / "two") == []
    seen: list[bytes] = []
    for split, (_, size) in build_garments.SIZES.items():
        with np.load(tmp_path / "one" / split / "inputs.npz", allow_pickle=False) as arrays:
            x = arrays["x"]
        labels = common.read_column(tmp_path / "one" / split / "labels.csv", "label")
        assert [build_garments.CLASSES[image[0, 0, 0]] for image in x] == labels
        assert set(np.bincount(x[:, 0, 0, 0], minlength=10)) == {size}
        seen += [image.tobytes() for image in x]
    assert len(set(seen)) == len(seen)


def test_a_check_writes_nothing_and_tells_what_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(common, "COMPETITIONS", tmp_path)
    card = tmp_path / "toy" / "data_card.md"
    card.parent.mkdir()
    card.write_text(f"# Toy\n\n{common.FACTS}\n\nold\n\n## After\n\nstays\n")

    def build(data: Path) -> None:
        (data / "test").mkdir()
        (data / "test" / "labels.csv").write_text("id,label\na,yes\nb,no\n")

    assert common.publish("toy", ("yes", "no"), build, check=True) == 1
    assert capsys.readouterr().out == "different: test/labels.csv, data_card.md\n"
    assert not (tmp_path / "toy" / "data").exists()
    assert common.publish("toy", ("yes", "no"), build, check=False) == 0
    assert common.publish("toy", ("yes", "no"), build, check=True) == 0
    assert "| `test` | 2 | 1 | 1 |" in card.read_text()
    assert card.read_text().endswith("## After\n\nstays\n")
    assert "old" not in card.read_text()


def test_a_failing_download_is_told(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"failed \(3\):\nno such package"):
        common.run(["sh", "-c", "echo no such package >&2; exit 3"], cwd=tmp_path)
    with pytest.raises(SourceError, match="no-such-program cannot be started"):
        common.run(["no-such-program"], cwd=tmp_path)
