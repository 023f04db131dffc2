from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runners.spec import check_folder
from tests.unit.api.api_helpers import evaluate
from tests.unit.api.bundle_maker import write_bundle
from touchstone.accounts.models import User
from touchstone.competitions.models import Competition
from touchstone.submissions.models import Submission
from touchstone_client.bundle_templates import TEMPLATES

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def as_olga(as_user: Callable[[User], None], olga: User) -> User:
    as_user(olga)
    return olga


@pytest.mark.parametrize("template", sorted(TEMPLATES))
@pytest.mark.parametrize("name", ["Night calls_2026", "2026"])
def test_a_template_is_valid_as_it_is(run: Callable, tmp_path: Path, template: str, name: str) -> None:
    folder = tmp_path / name
    done = run("competition", "init", folder, "--template", template)
    assert (done.code, done.out) == (0, f"{folder}\n"), done.err
    report = check_folder(folder, data=True)
    assert [defect.message for defect in report.defects] == []
    assert report.spec is not None
    assert report.spec.slug == name.lower().replace(" ", "-").replace("_", "-")


def test_a_template_overwrites_nothing(run: Callable, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    for folder in (tmp_path, tmp_path / "mine"):
        done = run("competition", "init", folder)
        assert (done.code, "is not empty" in done.err) == (2, True)
    assert "tabular: " in run("competition", "init", tmp_path / "new", "--template", "none").err
    assert [path.name for path in tmp_path.iterdir() if path.name != "config"] == ["mine"]


def test_from_template_to_server_and_back(run: Callable, as_olga: User, tmp_path: Path) -> None:
    folder = tmp_path / "fresh"
    run("competition", "init", folder, "--template", "predictions")
    assert run("competition", "push", folder).code == 0
    back = tmp_path / "back"
    done = run("competition", "pull", "fresh", back)
    assert (done.code, done.out) == (0, f"{back}\n"), done.err
    assert (back / "data/test/labels.csv").read_text() == (folder / "data/test/labels.csv").read_text()
    assert "unchanged" in run("competition", "push", back).err
    saved = run("competition", "export", "fresh", "-o", tmp_path / "fresh.zip")
    assert saved.code == 0
    assert (tmp_path / "fresh.zip").stat().st_mode & 0o077 == 0, "the labels are in it"
    assert "competition.yml" in zipfile.ZipFile(tmp_path / "fresh.zip").namelist()


def test_pulling_keeps_what_is_there(run: Callable, as_olga: User, small: Competition, tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "small")
    (folder / "mine.txt").write_text("not to be lost")
    refused = run("competition", "pull", "small", folder)
    assert (refused.code, "--replace" in refused.err) == (2, True)
    assert (folder / "mine.txt").exists()
    assert run("competition", "pull", "absent", folder, "--replace").code == 1
    assert (folder / "mine.txt").exists()
    assert run("competition", "pull", "small", folder, "--replace").code == 0
    assert not (folder / "mine.txt").exists()
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("x")
    assert run("competition", "pull", "small", other, "--replace").code == 2
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".pull")) == []


def test_an_interrupted_pull_loses_nothing(
    run: Callable, as_olga: User, small: Competition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_bundle(tmp_path / "small")
    (folder / "mine.txt").write_text("not to be lost")
    replace = os.replace

    def interrupted(source: Any, target: Any) -> None:
        if Path(source).name == "bundle":
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", interrupted)
    done = run("competition", "pull", "small", folder, "--replace")
    assert (done.code, "Nothing was lost" in done.err) == (130, True), done.err
    assert (folder / "mine.txt").read_text() == "not to be lost"


def test_a_bundle_that_broke_on_its_way_is_explained(tmp_path: Path) -> None:
    from touchstone_client.cli.organising import _unpack
    from touchstone_client.errors import ClientError

    (tmp_path / "bundle.zip").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(ClientError, match="cannot be unpacked") as caught:
        _unpack(tmp_path / "bundle.zip", tmp_path / "in")
    assert caught.value.hint


def test_who_waits_for_a_check_that_nobody_made_is_told(run: Callable, as_olga: User, small: Competition) -> None:
    done = run("competition", "rehearse", "small", "--no-start", "--wait")
    assert (done.code, "Begin: touchstone competition rehearse small --wait" in done.err) == (3, True), done.err
    assert run("competition", "rehearse", "small", "--no-start").code == 0


@pytest.mark.parametrize("name", ["../out", "/abs", "a/../../out", "a\\b", "C:x"])
def test_a_bundle_that_climbs_is_refused(tmp_path: Path, name: str) -> None:
    from touchstone_client.cli.organising import _unpack
    from touchstone_client.errors import ClientError

    archive = tmp_path / "bundle.zip"
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr(zipfile.ZipInfo(name), "x")
    with pytest.raises(ClientError, match="outside"):
        _unpack(archive, tmp_path / "in")
    assert not (tmp_path / "out").exists()


def test_of_what_one_does_not_organise_nothing_is_told(
    run: Callable, as_paula: User, small: Competition, tmp_path: Path
) -> None:
    for command in (
        ["export", "small", "-o", tmp_path / "x.zip"],
        ["pull", "small", tmp_path / "x"],
        ["rehearse", "small"],
    ):
        assert run("competition", *command).code == 1
    assert run("competition", "open", "small").code == 1
    assert not (tmp_path / "x.zip").exists()


def test_opening_needs_a_rehearsal_or_a_reason(run: Callable, as_olga: User, small: Competition) -> None:
    Competition.objects.update(opened_at=None)
    shown = run("competition", "rehearse", "small", "--no-start")
    assert (shown.code, "was not checked yet" in shown.err) == (0, True)
    refused = run("competition", "open", "small")
    assert (refused.code, "not checked yet" in refused.err) == (1, True)
    assert Competition.objects.get().opened_at is None
    done = run("competition", "open", "small", "--reason", "a rehearsal of the machine")
    assert (done.code, done.out.endswith("/c/small/\n")) == (0, True), done.err
    assert Competition.objects.get().opened_at is not None


def test_evaluating_again(run: Callable, as_olga: User, small: Competition, node: Any, paula: User) -> None:
    from tests.unit.api.api_helpers import client_for, submit
    from touchstone.competitions.services import participation_join

    participation_join(competition=small, user=paula, accept_terms=True)
    sent = submit(client_for(paula)).json()["id"]
    evaluate(node, sent, 0.5)
    assert run("competition", "rerun", "small", "--reason", "x").code == 2
    assert run("competition", "rerun", "small", "--phase", "now", "--submission", sent, "--reason", "x").code == 2
    assert run("competition", "rerun", "small", "--phase", "now").code == 2
    done = run("competition", "rerun", "small", "--phase", "now", "--reason", "a new judge")
    assert done.code == 0, done.err
    assert "0 of 1 scored, 1 to go" in done.err
    shown = run("competition", "rerun", "small", "--status", done.out.strip(), "--json")
    assert shown.json["rerun"]["reason"] == "a new judge"


def test_comparing(
    run: Callable, as_paula: User, small: Competition, score: Callable[..., str], predictions: Path
) -> None:
    from tests.unit.api.bundle_maker import predictions_csv

    ids = []
    for wrong, value in ((0, 0.75), (1, 0.5), (2, 0.7)):
        predictions.write_text(predictions_csv(wrong))
        ids.append(run("submit", "small/now", predictions, "-m", f"try {wrong}").out.strip())
        score(ids[-1], value)
    done = run("compare", *ids)
    assert done.rows == [
        {
            "result": "Accuracy", "A": "0.7500 [0.6500, 0.8500]", "B": "0.5000 [0.4000, 0.6000]",
            "B less A": "-0.2500, worse, intervals apart", "C": "0.7000 [0.6000, 0.8000]",
            "C less A": "-0.0500, worse, intervals overlap",
        }
    ]  # fmt: skip
    assert f"B  {ids[1]}  paula (now, predictions, scored, try 1)" in done.err
    assert "chance may be all" in done.err
    assert run("compare", *ids, "--json").json["comparison"]["rows"][0]["cells"][1]["overlap"] is False
    assert run("compare", ids[0]).code == 2
    assert run("compare", *ids, *ids).code == 2
    assert run("compare", ids[0], str(Submission.objects.first().run_id)).code == 1
