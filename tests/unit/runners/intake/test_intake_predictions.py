"""Predictions: what is written is read back; what is wrong is told, all at once, with examples."""

from __future__ import annotations

import gzip
import io
import time
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runners.contract import Verdict
from runners.errors import ParticipantFault
from runners.intake.predictions import check_prediction_file
from runners.models.predictions import check_predictions, read_predictions
from runners.spec.models import TaskSpec

BINARY = TaskSpec(kind="binary", classes=("no", "yes"), positive="yes")
FIRST = TaskSpec(kind="binary", classes=("yes", "no"), positive="yes")
MANY = TaskSpec(kind="multiclass", classes=("a", "b", "c"))
IDS = ["1", "2", "3"]
GOOD = b"id,score\n1,0.1\n2,0.9\n3,0.5\n"


def _fault(path: Path, content: bytes, task: TaskSpec = BINARY, ids: list[str] = IDS) -> ParticipantFault:
    path.write_bytes(content)
    with pytest.raises(ParticipantFault) as caught:
        read_predictions(path, task=task, ids=ids)
    assert caught.value.verdict is Verdict.INVALID_OUTPUT
    return caught.value


def _zip(name: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(name, GOOD)
    return out.getvalue()


def _parquet(frame: pd.DataFrame) -> bytes:
    out = io.BytesIO()
    frame.to_parquet(out, index=False)
    return out.getvalue()


TABLE = _parquet(pd.DataFrame({"id": IDS, "score": [0.1, 0.9, 0.5]}))


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        (b"", "empty", "the file is empty"),
        (b"id,score\n", "rows", "a header and no rows"),
        (_zip("predictions.csv"), "wrong_format", "not a CSV or Parquet table but zip"),
        (_zip("xl/workbook.xml"), "wrong_format", "but Excel (xlsx)"),
        (_zip("x.npy"), "wrong_format", "but npz"),
        (gzip.compress(GOOD, mtime=0), "wrong_format", "but gzip"),
        (b"\x80\x04\x95pickle", "wrong_format", "but pickle"),
        ("id,score\n".encode("utf-16"), "wrong_format", "but UTF-16 text"),
        (b"id,\x00score\n1,2\n", "wrong_format", "but binary"),
        (b"id,prediction\n1,\xe9\n2,no\n3,no\n", "encoding", "not UTF-8"),
        (b"id,pr\xe9diction\n1,no\n", "encoding", "first line is not UTF-8"),
        (TABLE[:-30], "truncated", "truncated or damaged"),
        (b"id;score\n1;0.1\n", "separator", "not separated by commas"),
        (b"ID,score\n1,0.1\n", "columns", "`id` is missing; found ID, score"),
        (b"id,scores\n1,0.1\n2,1\n3,1\n", "columns", "unknown column scores (Did you mean score?); found id, scores"),
        (b"id\n1\n2\n3\n", "columns", "no column holds answers"),
        (b"id,p_no\n1,0.1\n2,1\n3,1\n", "columns", "missing: p_yes"),
        (b"id,score,p_no,p_yes\n1,0.1,0.9,0.1\n2,1,0,1\n3,1,0,1\n", "columns", "the same thing twice"),
        (b"id,id,score\n1,1,0.1\n", "columns", "id stands twice"),
        (b",id,score\n0,1,0.1\n1,2,1\n2,3,1\n", "columns", "a pandas index"),
        (b"id,score\n1,0.1\n2,0.9\n", "missing_ids", "1 of 3 ids missing: 3"),
        (b"id,score\n01,0.1\n2,0.9\n3,0.9\n", "missing_ids", "1 of 3 ids missing: 1"),
        (GOOD + b"4,0.1\n", "unknown_ids", "1 row with an id that the split does not have: 4"),
        (GOOD + b"3,0.1\n", "duplicate_ids", "1 id more than once: 3"),
        (b"id,score\n1,nan\n2,inf\n3,\n", "not_finite", "3 rows with a missing, NaN or infinite `score`: row 1"),
        (b"id,score\n1,1.5\n2,-0.1\n3,0\n", "out_of_range", "2 rows with `score` outside 0 to 1: row 1 (id 1): 1.5"),
        (b"id,score\n1,high\n2,0.1\n3,0\n", "number", "no number in row 1: 'high'"),
        (b"id,p_no,p_yes\n1,0.5,0.4\n2,0,1\n3,1,0\n", "not_normalised", "do not sum to one: row 1 (id 1): 0.9"),
        (b"id,prediction\n1,maybe\n2,no\n3,\n", "unknown_class", "2 rows with a prediction that is no class: row 1"),
        (b"id,score\n1,0.1,7\n2,1\n3,1\n", "unreadable", "Expected 2 columns, got 3"),
        (b"id,score\n" + b"1,0.5\n" * 20_000, "rows", "at most"),
        (b"id,score\n" + b"x" * 20_000_000, "too_large", "such a table needs less than"),
        (
            _parquet(pd.DataFrame({"id": IDS, "prediction": [0.0, 1.0, 0.0]})),
            "type",
            "`prediction` holds double, not text",
        ),
        (
            _parquet(pd.DataFrame({"id": ["1", None, "3"], "score": [0.1, 0.2, 0.3]})),
            "empty_ids",
            "1 row without an id",
        ),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, content: bytes, code: str, message: str) -> None:
    fault = _fault(tmp_path / "file.csv", content)
    _, defects = check_predictions(tmp_path / "file.csv", task=BINARY, ids=IDS)
    assert code in {defect.code for defect in defects}
    assert message in fault.message
    assert fault.hint


def test_all_defects_come_at_once(tmp_path: Path) -> None:
    fault = _fault(tmp_path / "x", b"id,score\n1,0.2\n1,0.5\n9,nan\n7,1.5\n")
    assert fault.message.startswith("The predictions file has 5 defects: (1) ")
    for part in ("1 id more than once: 1", "2 of 3 ids missing: 2, 3", "2 rows with an id", "NaN", "outside 0 to 1"):
        assert part in fault.message


def test_only_the_first_five_are_named(tmp_path: Path) -> None:
    fault = _fault(tmp_path / "x", b"id,score\nx,0.5\n", ids=[str(i) for i in range(1000)])
    assert "1,000 of 1,000 ids missing: 0, 1, 2, 3, 4 and 995 more" in fault.message


def test_rows_come_in_the_order_asked_for(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\xef\xbb\xbfid,score\r\n3,0.5\r\n1,0.1\r\n2,0.9\r\n")
    found = read_predictions(tmp_path / "x", task=BINARY, ids=IDS)
    assert found.predictions.tolist() == [0, 1, 0]  # 0.5 is a tie: the lowest index
    assert found.probabilities is not None
    assert found.probabilities[:, 1].tolist() == [0.1, 0.9, 0.5]


def test_score_is_of_the_positive_class_wherever_it_stands(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(GOOD)
    found = read_predictions(tmp_path / "x", task=FIRST, ids=IDS)
    assert found.probabilities is not None
    assert found.probabilities[:, 0].tolist() == [0.1, 0.9, 0.5]
    assert found.predictions.tolist() == [1, 0, 0]


def test_a_given_class_stands_against_the_probabilities(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"id,prediction,score\n1,yes,0.1\n2,no,0.9\n3,no,0.1\n")
    assert read_predictions(tmp_path / "x", task=BINARY, ids=IDS).predictions.tolist() == [1, 0, 0]


def test_score_is_no_column_of_many_classes(tmp_path: Path) -> None:
    assert "unknown column score" in _fault(tmp_path / "x", GOOD, task=MANY).message


def test_whole_numbers_serve_as_ids_and_classes(tmp_path: Path) -> None:
    task = TaskSpec(kind="multiclass", classes=("0", "1", "2"))
    frame = pd.DataFrame({"id": [3, 1, 2], "prediction": pd.Categorical([2, 0, 1])})
    (tmp_path / "x").write_bytes(_parquet(frame))
    assert read_predictions(tmp_path / "x", task=task, ids=IDS).predictions.tolist() == [0, 1, 2]


def test_sums_within_the_tolerance_are_normalised(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"id,p_a,p_b,p_c\n1,0.3333,0.3333,0.3333\n")
    found = read_predictions(tmp_path / "x", task=MANY, ids=["1"])
    assert found.probabilities is not None
    assert found.probabilities.sum() == pytest.approx(1.0, abs=1e-12)


def test_without_ids_any_set_will_do(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"id,score\nz,0.1\ny,0.9\n")
    report = check_prediction_file(tmp_path / "x", task=BINARY, ids=None)
    assert report.ok
    assert report.facts["rows"] == 2
    assert report.facts["ids_checked"] is False


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), parquet=st.booleans(), classes=st.lists(TEXT, min_size=2, max_size=5, unique=True))
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, parquet: bool, classes: list[str]
) -> None:
    task = TaskSpec(kind="multiclass", classes=tuple(classes))
    ids = data.draw(st.lists(TEXT, min_size=1, max_size=8, unique=True))
    answers = np.array([data.draw(st.integers(0, len(classes) - 1)) for _ in ids])
    raw = np.array([[data.draw(st.floats(0, 1)) + 1e-3 for _ in classes] for _ in ids])
    shares = raw / raw.sum(axis=1, keepdims=True)
    columns = {"id": pa.array(ids), "prediction": pa.array([classes[i] for i in answers])}
    columns |= {f"p_{name}": pa.array(shares[:, i]) for i, name in enumerate(classes)}
    table = pa.table(columns).take(data.draw(st.permutations(range(len(ids)))))
    path = tmp_path_factory.mktemp("round") / "file"
    pa.parquet.write_table(table, path) if parquet else pa.csv.write_csv(table, path)

    found = read_predictions(path, task=task, ids=ids)

    assert found.predictions.tolist() == answers.tolist()
    np.testing.assert_allclose(found.probabilities, shares, rtol=1e-12)


def test_a_million_rows_take_seconds(tmp_path: Path) -> None:
    n = 10**6
    ids = np.char.add("item", np.arange(n).astype(str))
    score = np.random.default_rng(0).random(n)
    pa.csv.write_csv(pa.table({"id": ids[::-1].copy(), "score": score[::-1].copy()}), tmp_path / "x.csv")

    started = time.monotonic()
    found = read_predictions(tmp_path / "x.csv", task=BINARY, ids=ids.tolist())

    assert time.monotonic() - started < 20
    assert found.probabilities is not None
    np.testing.assert_allclose(found.probabilities[:, 1], score)
