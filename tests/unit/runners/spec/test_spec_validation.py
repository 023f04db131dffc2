"""The `validation` of a phase: another split, labelled, and no more secret than the one scored on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from runners.spec import check_folder
from runners.spec.catalogue_file import catalogue

Broken = Callable[..., Path]
SPLIT = "    split: test\n"


def test_an_open_split_may_be_fitted_on(broken: Broken) -> None:
    report = check_folder(broken(SPLIT, SPLIT + "    validation: open\n"))

    assert report.defects == []
    assert report.spec is not None
    assert report.spec.phases[0].validation == "open"


@pytest.mark.parametrize(
    ("pairs", "code", "text"),
    [
        ([SPLIT, SPLIT + "    validation: opne\n"], "unknown_split", "no split opne"),
        ([SPLIT, SPLIT + "    validation: test\n"], "value", "would know the answers"),
        ([SPLIT, "    split: open\n    validation: test\n"], "leak", "test is hidden"),
    ],
)
def test_no_other(broken: Broken, pairs: list[str], code: str, text: str) -> None:
    found = [(d.code, d.where, d.line) for d in check_folder(broken(*pairs)).defects]

    assert found == [(code, "phases[0].validation", 15)]
    assert text in check_folder(broken(*pairs)).defects[0].message


def test_it_needs_labels(broken: Broken) -> None:
    folder = broken(SPLIT, SPLIT + "    validation: open\n")
    (folder / "data/open/labels.csv").unlink()

    assert "data.open" in {d.where for d in check_folder(folder).defects}


def test_a_metric_that_is_fitted_needs_one(broken: Broken, monkeypatch: pytest.MonkeyPatch) -> None:
    known = catalogue()
    known["metrics"]["performance.accuracy"]["needs"].append("validation")
    monkeypatch.setattr("runners.spec.metric_checks.catalogue", lambda: known)

    (defect,) = check_folder(broken()).defects
    assert (defect.code, defect.where) == ("missing_validation", "metrics[0]")
    assert check_folder(broken(SPLIT, SPLIT + "    validation: open\n")).defects == []
