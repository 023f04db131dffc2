"""`surrogates`: files that are there and given to nobody, and metrics that name them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from runners.spec import check_folder

Broken = Callable[..., Path]
DECLARED = "attributes:\n", "surrogates: {near: models/near.onnx}\nattributes:\n"
FIRST = "  - {use: performance.accuracy}\n"
TRANSFER = FIRST + "  - {use: robustness.transfer, as: t, surrogates: [near], attack: pgd, eps: 0.1}\n"
RANK = "    rank_by: performance.accuracy\n"


@pytest.fixture
def declared(broken: Broken, sound: Path) -> Broken:
    """The sound folder with a surrogate and a metric that names it."""
    (sound / "models").mkdir()
    (sound / "models/near.onnx").write_bytes(b"weights")
    return lambda *pairs: broken(*(() if "attributes:\n" in pairs else DECLARED), *pairs)


def test_its_results_can_be_ranked_by(declared: Broken) -> None:
    report = check_folder(declared(FIRST, TRANSFER, RANK, "    rank_by: t.accuracy[source=near]\n"))

    assert report.defects == []
    assert report.spec is not None
    assert report.spec.surrogates == {"near": "models/near.onnx"}


@pytest.mark.parametrize(
    ("pairs", "code", "where"),
    [
        (
            (FIRST, TRANSFER.replace("[near]", "[neer]")), "unknown_surrogate", "metrics[1].surrogates[0]",
        ),
        ((FIRST, TRANSFER.replace("surrogates: [near], ", "")), "missing_parameter", "metrics[1]"),
        ((FIRST, TRANSFER.replace("pgd", "pdg")), "unknown_attack", "metrics[1].attack"),
        (
            (FIRST, TRANSFER, RANK, "    rank_by: t.accuracy[source=far]\n"), "unknown_result",
            "leaderboards[0].rank_by",
        ),
        (
            (FIRST, TRANSFER, RANK, "    rank_by: t.source_accuracy[source=near]\n"), "no_direction",
            "leaderboards[0].rank_by",
        ),
        (("attributes:\n", "surrogates: {near: models/none.onnx}\nattributes:\n"), "missing_file", "surrogates.near"),
        (("attributes:\n", "surrogates: {near: ../near.onnx}\nattributes:\n"), "path", "surrogates.near"),
        (("attributes:\n", "surrogates: {near: data/test/near.onnx}\nattributes:\n"), "leak", "surrogates.near"),
        (
            ("attributes:\n", "starting_kit: kit\nsurrogates: {near: kit/deep/near.onnx}\nattributes:\n"), "leak",
            "surrogates.near",
        ),
        (("attributes:\n", "surrogates: {near: 7}\nattributes:\n"), "type", "surrogates.near"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told(
    declared: Broken, sound: Path, pairs: tuple[str, ...], code: str, where: str
) -> None:
    for place in ("data/test", "kit/deep"):
        (sound / place).mkdir(parents=True, exist_ok=True)
        (sound / place / "near.onnx").write_bytes(b"weights")
    found = [(d.code, d.where) for d in check_folder(declared(*pairs), data=False).defects]

    assert (code, where) in found
    assert {place for _, place in found} <= {where, where.rpartition(".")[0]}


def test_an_empty_file_is_none(declared: Broken, sound: Path) -> None:
    (sound / "models/near.onnx").write_bytes(b"")

    assert [(d.code, d.where) for d in check_folder(declared()).defects] == [("missing_file", "surrogates.near")]
