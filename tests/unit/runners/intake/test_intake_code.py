from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from runners.intake.code import check_code


def _zip(path: Path, files: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def test_a_zip_with_a_main_program_is_accepted(tmp_path: Path) -> None:
    report = check_code(_zip(tmp_path / "a.zip", {"main.py": "print('hi')\n", "weights.npz": "x"}))
    assert report.ok
    assert report.facts == {"files": 2, "bytes": 13}


@pytest.mark.parametrize(
    ("files", "code", "message", "hint"),
    [
        ({"model/main.py": ""}, "missing_main", "found model", "zip the contents of that folder"),
        ({"run.py": ""}, "missing_main", "found run.py", "serve(predict)"),
        ({"main.py": "def f(:\n"}, "syntax", "not valid Python", "Correct"),
        ({"main.py": "x = 1\n" * 300_000}, "too_large", "more than", ""),
        ({"main.py": "(" * 100_000}, "syntax", "", ""),
        ({"main.py": "", "../x": ""}, "path", "`..`", ""),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, files: dict[str, str], code: str, message: str, hint: str) -> None:
    report = check_code(_zip(tmp_path / "a.zip", files))
    assert [defect.code for defect in report.defects] == [code]
    assert message in report.defects[0].message
    assert hint in report.defects[0].hint


def test_what_is_no_zip_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"\x1f\x8b\x08rest")
    (defect,) = check_code(tmp_path / "a.zip").defects
    assert defect.message == "the file is not a zip but gzip"
