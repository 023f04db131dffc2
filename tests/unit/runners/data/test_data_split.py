"""A split is read as it is meant, or every reason why not is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from runners.contract import Verdict
from runners.data import Split, examine_split, load_split
from runners.data.check import DataRules, check_data
from runners.errors import ScorerFault
from runners.spec.models import AggregateSpec, AttributeSpec, DataSpec, InputSpec, TaskSpec

TASK = TaskSpec(kind="binary", classes=("no", "yes"))
TABULAR = InputSpec(kind="tabular", shape=(2,), features=("a", "b"), range=(-1, 1))
IMAGE = InputSpec(kind="image", shape=(1, 2, 3))
COLOUR = InputSpec(kind="image", shape=(3, 2, 3), range=(-1, 1))
ARRAY = InputSpec(kind="array", shape=(4,))


@dataclass
class Parts:
    task: TaskSpec = TASK
    input: InputSpec | None = None
    attributes: dict[str, AttributeSpec] = field(default_factory=dict)
    aggregate: AggregateSpec | None = None


def _labels(folder: Path, text: str = "id,label\nb,yes\na,no\nc,no\n") -> None:
    (folder / "labels.csv").write_text(text)


def _problems(folder: Path, spec: Parts) -> list[tuple[str, str]]:
    _, defects = examine_split(
        folder, task=spec.task, input_spec=spec.input, attributes=spec.attributes, aggregate=spec.aggregate
    )
    return [(defect.code, defect.file) for defect in defects]


def _same(split: Split, ids: list[str], labels: list[int]) -> None:
    assert split.ids.tolist() == ids
    assert split.labels is not None
    assert split.labels.dtype == np.int64
    assert split.labels.tolist() == labels


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_tables_are_aligned_by_id(tmp_path: Path, ending: str) -> None:
    tables = {
        "labels": pd.DataFrame({"id": ["b", "a", "c"], "label": ["yes", "no", "no"]}),
        "inputs": pd.DataFrame({"b": [0.5, -1.0, 0.0], "id": ["c", "a", "b"], "a": [1.0, 0.25, -0.5]}),
        "attributes": pd.DataFrame({"id": ["a", "c"], "race": ["White", ""]}),
        "clusters": pd.DataFrame({"id": ["a", "b"], "video": ["v1", "v1"]}),
    }
    for name, table in tables.items():
        path = tmp_path / f"{name}.{ending}"
        table.to_csv(path, index=False) if ending == "csv" else table.to_parquet(path, index=False)
    parts = Parts(
        input=TABULAR, attributes={"race": AttributeSpec(privileged="White")}, aggregate=AggregateSpec(by="video")
    )

    split = load_split(tmp_path, parts)

    _same(split, ["b", "a", "c"], [1, 0, 0])
    assert split.inputs is not None
    assert split.clusters is not None
    assert split.inputs.dtype == np.float32
    assert split.inputs.tolist() == [[-0.5, 0.0], [0.25, -1.0], [1.0, 0.5]]
    assert split.attributes["race"].tolist() == [None, "White", None]
    assert split.clusters.tolist() == ["v1", "v1", "item:c"]


def test_ids_stay_text_and_whole_numbers_become_text(tmp_path: Path) -> None:
    _labels(tmp_path, "id,label\n007,1\n7,0\n")
    task = TaskSpec(kind="binary", classes=("0", "1"))
    _same(load_split(tmp_path, Parts(task=task)), ["007", "7"], [1, 0])
    (tmp_path / "labels.csv").unlink()
    pd.DataFrame({"id": [7, 8], "label": [1, 0]}).to_parquet(tmp_path / "labels.parquet")
    _same(load_split(tmp_path, Parts(task=task)), ["7", "8"], [1, 0])


@pytest.mark.parametrize(("spec", "mode", "low", "high"), [(IMAGE, "L", 0.0, 1.0), (COLOUR, "RGB", -1.0, 1.0)])
def test_images_are_scaled_and_channels_come_first(
    tmp_path: Path, spec: InputSpec, mode: str, low: float, high: float
) -> None:
    _labels(tmp_path, "id,label\na,no\nb,yes\n")
    (tmp_path / "inputs").mkdir()
    shape = (2, 3) if mode == "L" else (2, 3, 3)
    pixels = np.zeros(shape, dtype=np.uint8)
    pixels[0, 1] = 255
    Image.fromarray(pixels).save(tmp_path / "inputs/b.png")
    Image.fromarray(np.full(shape, 255, dtype=np.uint8)).save(tmp_path / "inputs/a.png")

    x = load_split(tmp_path, Parts(input=spec)).inputs

    assert x is not None
    assert x.shape == (2, *spec.shape)
    assert (x[0] == np.float32(high)).all()
    assert x[1, :, 0, 1].tolist() == [high] * spec.shape[0]
    assert x[1].min() == np.float32(low)


@pytest.mark.parametrize("kind", ["float32", "uint8"])
def test_arrays_are_read(tmp_path: Path, kind: str) -> None:
    _labels(tmp_path, "id,label\na,no\nb,yes\n")
    x = np.array([[0, 1, 0, 1], [1, 1, 0, 0]], dtype=kind) * (255 if kind == "uint8" else 1)
    np.savez_compressed(tmp_path / "inputs.npz", id=np.array(["b", "a"]), x=x.astype(kind))
    split = load_split(tmp_path, Parts(input=ARRAY))
    assert split.inputs is not None
    assert split.inputs.tolist() == [[1, 1, 0, 0], [0, 1, 0, 1]]


def test_inputs_are_left_unread_when_not_wanted(tmp_path: Path) -> None:
    _labels(tmp_path)
    (tmp_path / "inputs.npz").write_bytes(b"not read")
    assert load_split(tmp_path, Parts(input=ARRAY), inputs=False).inputs is None


@pytest.mark.parametrize(
    ("files", "spec", "expected"),
    [
        ({"labels.csv": "id,label\na,no\na,yes\n"}, Parts(), ("duplicate_id", "labels.csv")),
        ({"labels.csv": "id,label\na,no\n,yes\n"}, Parts(), ("empty_id", "labels.csv")),
        ({"labels.csv": "id,label\na,maybe\n"}, Parts(), ("unknown_class", "labels.csv")),
        ({"labels.csv": "id,lable\na,no\n"}, Parts(), ("columns", "labels.csv")),
        ({"labels.csv": "id,label,name\na,no,Jo\n"}, Parts(), ("columns", "labels.csv")),
        ({"labels.csv": "PK\x03\x04"}, Parts(), ("wrong_format", "labels.csv")),
        ({"labels.parquet": "PAR1xxxx"}, Parts(), ("truncated", "labels.parquet")),
        ({"labels.csv": "id,label\na,no\n", "labels.parquet": "x"}, Parts(), ("ambiguous", "labels.parquet")),
        ({"labels.csv": "id,label\na,no\n", "notes.txt": "x"}, Parts(), ("unexpected_file", "notes.txt")),
        ({"inputs.csv": "id,a,b\na,0,x\n"}, Parts(input=TABULAR), ("number", "inputs.csv")),
        ({"inputs.csv": "id,a,b\na,0,\n"}, Parts(input=TABULAR), ("not_finite", "inputs.csv")),
        ({"inputs.csv": "id,a,b\na,0,inf\n"}, Parts(input=TABULAR), ("not_finite", "inputs.csv")),
        ({"inputs.csv": "id,a,b\na,0,1.5\n"}, Parts(input=TABULAR), ("out_of_range", "inputs.csv")),
        ({"inputs.csv": "id,a\na,0\n"}, Parts(input=TABULAR), ("columns", "inputs.csv")),
        ({"inputs.csv": "id,a,b,label\na,0,0,no\n"}, Parts(input=TABULAR), ("columns", "inputs.csv")),
        ({"inputs.csv": "id,a,b\na,0,0\n"}, Parts(input=ARRAY), ("input_kind", "inputs.csv")),
        (
            {"inputs.csv": "id,a,b\nz,0,0\n", "labels.csv": "id,label\na,no\n"},
            Parts(input=TABULAR),
            ("ids", "inputs.csv"),
        ),
        ({"inputs.npz": "PK\x03\x04 cut"}, Parts(input=ARRAY), ("npz", "inputs.npz")),
        ({"inputs/a.png": "no image"}, Parts(input=IMAGE), ("image", "inputs")),
        (
            {"labels.csv": "id,label\na,no\n", "attributes.csv": "id,race\nz,x\n"},
            Parts(attributes={"race": AttributeSpec(privileged="x")}),
            ("ids", "attributes.csv"),
        ),
        ({}, Parts(), ("empty", "")),
    ],
)
def test_what_is_wrong_is_told_with_its_file(
    tmp_path: Path, files: dict[str, str], spec: Parts, expected: tuple[str, str]
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    assert expected in _problems(tmp_path, spec)
    with pytest.raises(ScorerFault) as caught:
        load_split(tmp_path, spec)
    assert caught.value.verdict is Verdict.SCORER
    assert caught.value.code == "bad_split"


def test_a_wrong_label_names_row_and_id(tmp_path: Path) -> None:
    _labels(tmp_path, "id,label\na,no\nb,yse\n")
    _, (defect,) = examine_split(tmp_path, task=TASK, input_spec=None, attributes={}, aggregate=None)
    assert defect.text() == (
        "labels.csv: row 2 (id b) has the label 'yse', which is not among the classes — Did you mean yes?"
    )


class _Trap:
    def __reduce__(self) -> Any:
        return (print, ("unpickled",))


@pytest.mark.parametrize(
    ("arrays", "code"),
    [
        ({"id": np.array(["a"]), "x": np.zeros((1, 5), np.float32)}, "shape"),
        ({"id": np.array(["a"]), "x": np.zeros((1, 4), np.float64)}, "dtype"),
        ({"id": np.array([1]), "x": np.zeros((1, 4), np.float32)}, "arrays"),
        ({"id": np.array(["a", "b"]), "x": np.zeros((1, 4), np.float32)}, "arrays"),
        ({"ids": np.array(["a"]), "x": np.zeros((1, 4), np.float32)}, "arrays"),
        ({"id": np.array(["a"]), "x": np.array([_Trap()], dtype=object)}, "dtype"),
    ],
)
def test_wrong_arrays_are_told_and_nothing_is_unpickled(
    tmp_path: Path, arrays: dict[str, Any], code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "inputs.npz", **arrays)
    assert (code, "inputs.npz") in _problems(tmp_path, Parts(input=ARRAY))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("size", "mode"), [((4, 2), "L"), ((3, 2), "I;16")])
def test_images_of_another_size_or_depth_are_told(tmp_path: Path, size: tuple[int, int], mode: str) -> None:
    (tmp_path / "inputs").mkdir()
    Image.new(mode, size).save(tmp_path / "inputs/a.png")
    assert ("image", "inputs") in _problems(tmp_path, Parts(input=IMAGE))


def _rules(**changes: Any) -> DataRules:
    base: dict[str, Any] = {
        "task": TASK, "input": None, "attributes": {}, "aggregate": None, "declared": (),
        "scored": ("test",), "asked": False,
    }  # fmt: skip
    return DataRules(**(base | changes))


def _two(tmp_path: Path, first: str, second: str, visibility: str = "public") -> dict[str, tuple[Path, DataSpec]]:
    found = {}
    for name, text, seen in (("train", first, visibility), ("test", second, "hidden")):
        (tmp_path / name).mkdir()
        _labels(tmp_path / name, text)
        found[name] = (tmp_path / name, DataSpec(path=name, visibility=seen))
    return found


def test_ids_in_a_public_and_a_hidden_split_are_a_leak(tmp_path: Path) -> None:
    folders = _two(tmp_path, "id,label\na,no\nb,yes\n", "id,label\nb,no\nc,yes\n")
    (defect,) = check_data(folders, _rules()).defects
    assert (defect.code, defect.where) == ("leak", "data.test")
    assert "1 id of this hidden split and of the public split train: b" in defect.message


def test_ids_may_repeat_where_nothing_leaks(tmp_path: Path) -> None:
    folders = _two(tmp_path, "id,label\na,no\nb,yes\n", "id,label\nb,no\nc,yes\n", visibility="hidden")
    assert check_data(folders, _rules()).defects == []


def test_a_scored_split_needs_what_the_competition_uses(tmp_path: Path) -> None:
    folders = _two(tmp_path, "id,label\na,no\n", "id,label\nb,no\nc,no\n")
    rules = _rules(
        attributes={"race": AttributeSpec(privileged="White")},
        aggregate=AggregateSpec(by="video"),
        asked=True,
        input=ARRAY,
    )
    report = check_data(folders, rules)
    assert [(d.code, d.where) for d in report.defects] == [
        ("one_class", "data.test"), ("missing_file", "data.test"), ("missing_file", "data.test"),
        ("missing_attribute", "data.test"),
    ]  # fmt: skip


def test_the_privileged_value_must_occur(tmp_path: Path) -> None:
    folders = _two(tmp_path, "id,label\na,no\n", "id,label\nb,no\nc,yes\n")
    (tmp_path / "test/attributes.csv").write_text("id,race\nb,Whit\n")
    (defect,) = check_data(folders, _rules(attributes={"race": AttributeSpec(privileged="White")})).defects
    assert (defect.code, defect.hint) == ("unknown_group", "Did you mean Whit?")
