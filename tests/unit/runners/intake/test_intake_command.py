"""The command as the server runs it: one line of JSON, and an exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[4]
SPEC: dict[str, Any] = {
    "touchstone": 1, "slug": "mini", "title": "Mini", "task": {"kind": "binary", "classes": ["no", "yes"]},
    "data": {"test": {"path": "data", "visibility": "hidden"}},
    "submission": {"kinds": ["predictions"], "size": 1000},
    "phases": [{"slug": "main", "split": "test", "opens": "2026-01-01T00:00:00Z"}],
    "metrics": [{"use": "performance.accuracy"}],
    "leaderboards": [{"slug": "main", "rank_by": "performance.accuracy"}],
}  # fmt: skip


def _run(folder: Path, kind: str, content: bytes, *, spec: object = SPEC, ids: object = None) -> tuple[int, str, str]:
    (folder / "blob").write_bytes(content)
    (folder / "spec.json").write_text(json.dumps(spec))
    command = [sys.executable, "-m", "runners.intake", kind, str(folder / "blob"), "--spec", str(folder / "spec.json")]
    if ids is not None:
        (folder / "ids.json").write_text(json.dumps(ids))
        command += ["--ids", str(folder / "ids.json")]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120, check=False)
    return ended.returncode, ended.stdout, ended.stderr


def test_a_sound_file_exits_0(tmp_path: Path) -> None:
    code, out, _ = _run(tmp_path, "predictions", b"id,prediction\na,no\n", ids=["a"])
    assert code == 0
    report = json.loads(out)
    assert report["ok"] is True
    assert report["defects"] == []
    assert report["facts"]["rows"] == 1


def test_defects_exit_1(tmp_path: Path) -> None:
    code, out, _ = _run(tmp_path, "predictions", b"id,prediction\nb,no\n", ids=["a"])
    assert code == 1
    assert [defect["code"] for defect in json.loads(out)["defects"]] == ["missing_ids", "unknown_ids"]
    assert set(json.loads(out)["defects"][0]) == {"code", "message", "where", "hint"}


@pytest.mark.parametrize("kind", ["predictions", "model", "container", "code"])
@pytest.mark.parametrize(("content", "expected"), [(b"", "empty"), (b"x" * 1001, "too_large")])
def test_every_kind_refuses_nothing_and_too_much(tmp_path: Path, kind: str, content: bytes, expected: str) -> None:
    code, out, _ = _run(tmp_path, kind, content)
    assert (code, [defect["code"] for defect in json.loads(out)["defects"]]) == (1, [expected])


@pytest.mark.parametrize("spec", [{}, [], {"touchstone": 1}])
def test_what_cannot_be_checked_exits_2(tmp_path: Path, spec: object) -> None:
    code, out, error = _run(tmp_path, "predictions", b"id,prediction\na,no\n", spec=spec)
    assert (code, out) == (2, "")
    assert error.startswith("could not check: ValidationError")
