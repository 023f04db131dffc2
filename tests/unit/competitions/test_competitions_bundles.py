"""The ready-made competitions and the replays are sound bundles that do what their pages say."""

from __future__ import annotations

from pathlib import Path

import pytest

from runners.spec import catalogue, check_folder, load_competition
from runners.spec.models import CompetitionSpec
from scripts.competitions.build_replay import build_compas, build_ffpp, ffpp_cases
from scripts.competitions.common import COMPETITIONS

SLUGS = ("recidivism", "garments")


@pytest.fixture(scope="module")
def specs() -> dict[str, CompetitionSpec]:
    return {slug: load_competition(COMPETITIONS / slug) for slug in SLUGS}


@pytest.mark.parametrize("slug", SLUGS)
def test_a_ready_made_competition_has_no_defect(slug: str) -> None:
    report = check_folder(COMPETITIONS / slug)
    assert [defect.message for defect in report.defects] == []
    assert report.spec is not None
    assert report.spec.slug == slug


@pytest.mark.parametrize("attribute", ["compas", *ffpp_cases()])
def test_a_replay_has_no_defect(attribute: str, tmp_path: Path) -> None:
    replay = build_compas(tmp_path) if attribute == "compas" else build_ffpp(attribute, tmp_path)
    report = check_folder(replay.bundle)
    assert [defect.message for defect in report.defects] == []
    assert report.spec is not None
    assert report.spec.slug == replay.slug
    assert [phase.slug for phase in report.spec.phases] == [replay.phase]


@pytest.mark.parametrize("slug", SLUGS)
def test_phases_follow_one_another_and_the_last_uses_hidden_data(slug: str, specs: dict[str, CompetitionSpec]) -> None:
    development, final = specs[slug].phases
    assert development.closes is not None
    assert development.closes <= final.opens
    assert (development.feedback, final.feedback) == ("full", "none")
    visibility = {name: split.visibility for name, split in specs[slug].data.items()}
    assert visibility == {"train": "public", "sample": "public", "validation": "inputs", "test": "hidden"}
    assert (development.split, final.split) == ("validation", "test")


def _needs(spec: CompetitionSpec, key: str) -> set[str]:
    known = catalogue()["metrics"]
    matches = [use for use in spec.metrics if key == use.prefix or key.startswith((f"{use.prefix}[", f"{use.prefix}."))]
    assert matches, key
    return set(known[matches[0].use]["needs"])


def test_prediction_files_can_rank_by_trust_in_recidivism(specs: dict[str, CompetitionSpec]) -> None:
    spec = specs["recidivism"]
    (main,) = (board for board in spec.leaderboards if board.slug == "main")
    for key in main.utility:
        assert _needs(spec, key) <= {"predictions", "probabilities", "attributes", "favourable", "binary"}, key


def test_white_box_numbers_count_on_one_board_only(specs: dict[str, CompetitionSpec]) -> None:
    boards = {board.slug: board for board in specs["garments"].leaderboards}
    assert [slug for slug, board in boards.items() if "pgd.robust_accuracy" in board.utility] == ["robust"]
    assert boards["main"].rank_by == "performance.accuracy"
    assert boards["black-box"].rank_by == "hsj.robust_accuracy"


def test_no_package_hides_among_the_data() -> None:
    assert list(COMPETITIONS.rglob("__init__.py")) == []
