"""Who may take part, and phases of finalists: what the validator refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runners.spec import check_folder
from tests.factories.server import bundle_folder

MAIN = {"slug": "main", "split": "test", "opens": "2026-01-01T00:00Z", "closes": "2026-02-01T00:00Z"}
FINAL = {"slug": "final", "split": "test", "opens": "2026-02-01T00:00Z", "finalists": {"phase": "main", "choose": 2}}


def _found(folder: Path, **changes: Any) -> list[tuple[str, str, str]]:
    report = check_folder(bundle_folder(folder, **changes))
    return [(defect.code, defect.where, defect.message) for defect in report.defects]


def test_sound_access_and_finalists(tmp_path: Path) -> None:
    access = {"approval": True, "email_domains": ["uni.example", "a-b.lab.example"]}
    assert _found(tmp_path, access=access, teams={"members": 4}, phases=[MAIN, FINAL]) == []


@pytest.mark.parametrize(
    ("domains", "code", "words"),
    [
        (["@uni.example"], "type", "without @"),
        (["Uni.example"], "type", "lower case"),
        (["example"], "type", "a domain"),
        (["uni.example", "uni.example"], "duplicate", "stands 2 times"),
        (["gmail.com"], "value", "keeps nobody out"),
    ],
)
def test_domains(tmp_path: Path, domains: list[str], code: str, words: str) -> None:
    ((found, where, message),) = _found(tmp_path, access={"email_domains": domains})
    assert found == code
    assert where.startswith("access.email_domains")
    assert words in message


@pytest.mark.parametrize(
    ("phases", "code", "words"),
    [
        ([MAIN, FINAL | {"finalists": {"phase": "mian"}}], "unknown_phase", "there is no phase mian"),
        ([MAIN, FINAL | {"finalists": {"phase": "final"}}], "value", "of itself"),
        (
            [MAIN, FINAL | {"closes": "2026-03-01T00:00Z"}, FINAL | {
                "slug": "third", "opens": "2026-03-01T00:00Z", "finalists": {"phase": "final"},
            }],
            "value", "takes finalists itself",
        ),
        (
            [MAIN | {"finalists": {"phase": "later"}}, FINAL | {"slug": "later", "finalists": None}],
            "value", "does not open before",
        ),
    ],
)  # fmt: skip
def test_finalists(tmp_path: Path, phases: list[dict[str, Any]], code: str, words: str) -> None:
    ((found, where, message),) = _found(tmp_path, phases=phases)
    assert found == code
    assert where.endswith(".finalists.phase")
    assert words in message


def test_a_phase_that_cannot_be_read_hides_no_other(tmp_path: Path) -> None:
    broken = {"slug": "main", "split": "test", "opens": "soon"}
    assert [where for _code, where, _text in _found(tmp_path, phases=[broken, FINAL])] == ["phases[0].opens"]
