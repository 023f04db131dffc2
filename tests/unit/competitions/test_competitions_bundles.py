"""The ready-made competitions and the replays are sound bundles that do what their pages say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest
from ruamel.yaml import YAML

from runners.intake.code import check_code
from runners.intake.model import check_model
from runners.intake.predictions import check_prediction_file
from runners.spec import catalogue, check_folder, load_competition
from runners.spec.models import CompetitionSpec, SubmissionKind
from scripts.competitions.build_replay import build_compas, build_ffpp, ffpp_cases
from scripts.competitions.common import COMPETITIONS, read_column

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


def _samples(slug: str) -> Iterator[tuple[SubmissionKind, Path]]:
    baselines = COMPETITIONS / slug / "baselines"
    for entry in YAML(typ="safe").load(baselines / "baselines.yml"):
        if entry["kind"] != "container":  # an archive made of the code folder when it is submitted
            yield SubmissionKind(entry["kind"]), baselines / entry["file"]
    kit = COMPETITIONS / slug / "starting_kit"
    yield SubmissionKind.PREDICTIONS, kit / "predictions.csv"
    yield SubmissionKind.MODEL, kit / "model.onnx"
    yield SubmissionKind.CODE, kit / "code"


@pytest.mark.parametrize("slug", SLUGS)
def test_intake_takes_every_baseline_and_sample(slug: str, specs: dict[str, CompetitionSpec], tmp_path: Path) -> None:
    spec = specs[slug]
    ids = read_column(COMPETITIONS / slug / "data" / "validation" / "labels.csv", "id")
    for kind, path in _samples(slug):
        assert path.exists(), path
        if kind is SubmissionKind.PREDICTIONS:
            report = check_prediction_file(path, task=spec.task, ids=ids)
        elif kind is SubmissionKind.MODEL:
            report = check_model(path, task=spec.task, input_spec=spec.input)
        else:
            archive = tmp_path / f"{path.name}.zip"
            with ZipFile(archive, "w") as out:
                for file in sorted(path.iterdir()):
                    out.write(file, file.name)
            report = check_code(archive)
        assert report.defects == [], path
