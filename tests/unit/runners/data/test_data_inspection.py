"""What is found in splits: counts, gaps, leaks; and files that want to hurt."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from runners.data.inspection import inspect_splits
from runners.data.inspection.__main__ import main
from runners.data.inspection.found import TEXT


def write(folder: Path, **files: str | bytes) -> dict[str, Path]:
    """Files of a split by name (`labels__csv`), as the report takes them."""
    folder.mkdir(parents=True, exist_ok=True)
    named = {}
    for name, content in files.items():
        path = folder / name.replace("__", ".")
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        named[path.name] = path
    return named


def look(tmp_path: Path, **splits: dict[str, Path]) -> dict:
    out = tmp_path / "out"
    out.mkdir(exist_ok=True)
    return json.loads(json.dumps(inspect_splits(splits, out), allow_nan=False))


def codes(facts: dict) -> set[str]:
    return {defect["code"] for defect in facts["defects"]}


def test_counts_gaps_and_crossings_of_a_table(tmp_path: Path) -> None:
    files = write(
        tmp_path / "a",
        inputs__csv="id,age,income\n1,20,0.5\n2,,0.25\n3,40,nan\n4,20,0.5\n",
        labels__csv="id,label\n1,no\n2,yes\n3,yes\n4,\n",
        attributes__csv="id,sex\n1,f\n2,m\n3,m\n4,\n9,f\n",
    )
    facts = look(tmp_path, a=files)["splits"]["a"]
    inputs = facts["inputs"]
    assert (facts["n"], inputs["shape"], inputs["range"], inputs["missing"]) == (4, [2], [0.25, 40.0], 2)
    assert inputs["columns"][0] == {
        "name": "age", "missing": 1, "infinite": 0, "wrong": 0, "low": 20.0, "high": 40.0, "mean": 80 / 3,
    }  # fmt: skip
    assert inputs["rows"][0] == ["1", "20", "0.5"]
    assert inputs["labels"] == ["no", "yes", "yes", ""]
    assert facts["classes"] == {"values": [["yes", 2], ["no", 1]], "distinct": 2, "unknown": 1}
    assert facts["attributes"]["sex"] == {"values": [["f", 2], ["m", 2]], "distinct": 2, "unknown": 1}
    assert facts["crossings"]["sex"]["label"] == [["f", {"no": 1, "yes": 0}], ["m", {"no": 0, "yes": 2}]]
    assert facts["repeated"] == {"count": 1, "examples": [["1", "4"]]}
    assert codes(facts) == {"not_finite", "ids"}


def test_words_ids_and_broken_rows_are_told_where_they_stand(tmp_path: Path) -> None:
    files = write(
        tmp_path / "a",
        inputs__csv="id,job\n1,baker\n2,7\n2,8\n,9\n",
        labels__parquet=b"PAR1 nonsense PAR1",
        attributes__csv="id;sex\n1;f\n",
        notes__txt="x",
    )
    facts = look(tmp_path, a=files)["splits"]["a"]
    told = {defect["file"]: defect["message"] for defect in facts["defects"] if defect["file"] != "inputs.csv"}
    assert told["attributes.csv"].startswith("the columns are not separated by commas")
    assert told["labels.parquet"].startswith("the Parquet file is truncated")
    assert told["notes.txt"] == "has no place in a data split"
    messages = [defect["message"] for defect in facts["defects"] if defect["file"] == "inputs.csv"]
    assert "the column `job` holds no number in 1 row: row 1: 'baker'" in messages
    assert "1 id more than once: 2" in messages
    assert "1 row without an id" in messages


def test_leaks_by_id_input_and_cluster(tmp_path: Path) -> None:
    def arrays(name: str, ids: list[str], x: np.ndarray, videos: list[str]) -> dict[str, Path]:
        folder = tmp_path / name
        folder.mkdir()
        np.savez(folder / "inputs.npz", id=np.array(ids, dtype=str), x=x)
        rows = "".join(f"{item},{video}\n" for item, video in zip(ids, videos, strict=True))
        (folder / "clusters.csv").write_text(f"id,video\n{rows}")
        return {path.name: path for path in folder.iterdir()}

    x = np.random.default_rng(0).random((5, 4), dtype=np.float32)
    found = look(
        tmp_path,
        test=arrays("test", ["a", "b", "c"], x[:3], ["v1", "v1", "v2"]),
        train=arrays("train", ["c", "d", "e"], x[[3, 1, 4]], ["v3", "v4", "v2"]),
    )
    leaks = {leak["kind"]: leak for leak in found["leaks"]}
    assert {kind: (leak["count"], leak["examples"]) for kind, leak in leaks.items()} == {
        "id": (1, ["c"]), "input": (1, [["b", "d"]]), "cluster": (1, ["v2"]),
    }  # fmt: skip
    assert leaks["cluster"]["name"] == "video"
    assert not leaks["input"]["chance"]
    assert found["splits"]["test"]["clusters"]["largest"] == 2


def test_equal_rows_of_a_coarse_table_may_be_chance(tmp_path: Path) -> None:
    one, two = (
        write(tmp_path / name, inputs__csv="id,bit\n" + "".join(f"{name}{i},{i % 2}\n" for i in range(8)))
        for name in "ab"
    )
    leak = look(tmp_path, a=one, b=two)["leaks"][0]
    assert (leak["kind"], leak["count"], leak["chance"]) == ("input", 2, True)


def test_pictures_of_images_are_made_anew(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "inputs"
    folder.mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)
    for name in ("x", "y"):
        Image.fromarray(noise).save(folder / f"{name}.png")
    Image.fromarray(noise[:20]).save(folder / "small.png")
    (folder / "fake.png").write_bytes(b"\x89PNG\r\n\x1a\n<script>")
    files = {f"inputs/{path.name}": path for path in folder.iterdir()}
    facts = look(tmp_path, a=files)["splits"]["a"]
    assert (facts["inputs"]["kind"], facts["inputs"]["shape"]) == ("image", [3, 40, 40])
    assert codes(facts) == {"shape", "image"}
    assert facts["repeated"]["examples"] == [["x", "y"]]
    shown = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert shown == sorted({picture["file"] for picture in facts["inputs"]["pictures"]})
    assert all((tmp_path / "out" / name).read_bytes()[:4] == b"\x89PNG" for name in shown)


@pytest.mark.parametrize("values", [np.array(["x"], dtype=object), np.array([1 + 2j])])
def test_arrays_that_are_no_numbers_are_not_unpacked(tmp_path: Path, values: np.ndarray) -> None:
    (tmp_path / "a").mkdir()
    path = tmp_path / "a" / "inputs.npz"
    np.savez(path, id=np.array(["1"]), x=values)
    facts = look(tmp_path, a={"inputs.npz": path})["splits"]["a"]
    assert codes(facts) & {"arrays", "dtype"}


def test_an_array_that_claims_more_than_there_is(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    path = tmp_path / "a" / "inputs.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, shape, kind in (("id", (3,), "<U1"), ("x", (3, 2**33), "<f4")):
            with archive.open(f"{name}.npy", "w") as stream:
                header = {"descr": kind, "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(stream, header)
                stream.write(np.array(list("abc"), dtype="<U1").tobytes())
    facts = look(tmp_path, a={"inputs.npz": path})["splits"]["a"]
    assert codes(facts) == {"too_large"}


def test_huge_text_and_odd_names_do_not_fill_the_report(tmp_path: Path) -> None:
    long = "x" * 100_000
    rows = "".join(f"{i},{long if i < 3 else i}\n" for i in range(200))
    files = write(tmp_path / "a", attributes__csv=f"id,free\n{rows}", labels__csv=f"id,label\n{long},a\n")
    report = look(tmp_path, a=files)
    assert len(json.dumps(report)) < 20_000
    counts = report["splits"]["a"]["attributes"]["free"]
    assert (counts["distinct"], len(counts["values"])) == (198, 50)
    assert max(len(value) for value, _n in counts["values"]) <= TEXT


def test_infinite_numbers_leave_the_range_finite(tmp_path: Path) -> None:
    table = pa.table({"id": ["1", "2"], "a": [float("inf"), 1.5]})
    (tmp_path / "a").mkdir()
    pq.write_table(table, tmp_path / "a" / "inputs.parquet")
    facts = look(tmp_path, a={"inputs.parquet": tmp_path / "a" / "inputs.parquet"})["splits"]["a"]
    assert facts["inputs"]["range"] == [1.5, 1.5]
    assert facts["inputs"]["missing"] == 1
    assert codes(facts) == {"not_finite"}


def test_the_module_reads_a_manifest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = write(tmp_path / "a", labels__csv="id,label\n1,no\n")
    (tmp_path / "out").mkdir()
    named = [{"name": name, "path": str(path)} for name, path in files.items()]
    (tmp_path / "manifest.json").write_text(json.dumps({"splits": {"a": named}}))
    main(tmp_path / "manifest.json", tmp_path / "out")
    assert json.loads(capsys.readouterr().out)["splits"]["a"]["n"] == 1


def test_an_input_that_is_a_table_by_name_alone(tmp_path: Path) -> None:
    files = write(tmp_path / "a", inputs__csv=b"\x89PNG\r\n\x1a\n", inputs__npz=b"PK\x03\x04", labels__csv="")
    facts = look(tmp_path, a=files)["splits"]["a"]
    assert {"ambiguous", "wrong_format", "empty"} <= codes(facts)
