"""The validation split of a phase: who gets it, and that it stays what scores were fitted on."""

from __future__ import annotations

import io
import json

import pytest

from runners.contract import RunSpec, dump
from tests.factories.server import (
    bundle_folder,
    competition_make,
    node_make,
    participation_make,
    queued_run,
    run_make,
    submission_make,
    user_make,
)
from touchstone.competitions.services import BundleError, competition_import
from touchstone.core.storage import blob_put
from touchstone.evaluations.models import RunStatus
from touchstone.evaluations.services import file_signed, run_check, run_claim

pytestmark = pytest.mark.django_db

DATA = {
    "test": {"path": "data/test", "visibility": "hidden"},
    "held_out": {"path": "data/held_out", "visibility": "hidden"},
}
PHASE = {"slug": "main", "split": "test", "opens": "2020-01-01T00:00Z"}


def claimed(kind: str, **phase) -> RunSpec:
    competition = competition_make(
        data=DATA, phases=[{**PHASE, **phase}], submission={"kinds": ["predictions", "model"]},
        input={"kind": "array", "shape": [2]},
    )  # fmt: skip
    run = queued_run(competition, kind=kind)
    type(run.submission).objects.filter(pk=run.submission_id).update(kind=kind)
    spec = run_claim(node=node_make(), queue="cpu", kinds=[kind])
    assert spec is not None
    return spec


@pytest.mark.parametrize("kind", ["model", "predictions"])
def test_a_run_comes_with_it(kind: str) -> None:
    spec = claimed(kind, validation="held_out")

    assert (spec.split.name, spec.validation.name) == ("test", "held_out")
    assert [file.name for file in spec.validation.files] == ["inputs.csv", "labels.csv"]
    for file in spec.validation.files:
        assert file_signed(signed=file.url.rsplit("/", 1)[1]) == file.sha256
    assert RunSpec.model_validate(dump(spec)) == spec


def test_a_phase_without_one_has_none() -> None:
    assert claimed("model").validation is None


@pytest.mark.parametrize(
    ("rows", "status"),
    [(["o1,yes", "o2,no"], RunStatus.QUEUED), ([], RunStatus.QUEUED), (["o1,yes"], RunStatus.REJECTED)],
)
def test_the_check_takes_a_file_that_answers_for_it_too(rows: list[str], status: RunStatus) -> None:
    competition = competition_make(data=DATA, phases=[{**PHASE, "validation": "held_out"}])
    ids = blob_put(file=io.BytesIO(json.dumps(["o1", "o2"]).encode())).sha256
    competition.splits.filter(name="held_out").update(ids=ids)
    file = "\n".join(["id,prediction", "a,no", "b,yes", *rows]).encode()
    submission = submission_make(participation_make(competition))
    info = blob_put(file=io.BytesIO(file))
    submission.files = [{"name": "p.csv", "sha256": info.sha256, "size": info.size}]
    submission.save()
    run = run_make(submission, RunStatus.RECEIVED)

    run_check(run_id=run.pk)

    run.refresh_from_db()
    assert run.status == status, run.message


@pytest.fixture
def used(tmp_path):
    """(owner, folder) of a competition whose phase fits on `held_out` and has a submission."""
    folder = bundle_folder(tmp_path)
    source, target = folder / "data" / "test", folder / "data" / "held_out"
    target.mkdir()
    for file in source.iterdir():
        (target / file.name).write_text(file.read_text().replace("item", "other"))
    _edit(folder, validation="held_out")
    user = user_make()
    competition = competition_import(user=user, archive=folder).competition
    run_make(submission_make(participation_make(competition)), RunStatus.QUEUED)
    return user, folder


def _edit(folder, **phase) -> None:
    path = folder / "competition.yml"
    spec = json.loads(path.read_text())
    spec |= {"data": DATA, "phases": [{**PHASE, **phase}]}
    path.write_text(json.dumps(spec))


@pytest.mark.parametrize(("phase", "text"), [({}, "to \\(none\\)"), ({"validation": "test2"}, "no split")])
def test_a_used_phase_keeps_its_own(used, phase, text) -> None:
    user, folder = used
    _edit(folder, **phase)

    with pytest.raises(BundleError, match=text):
        competition_import(user=user, archive=folder)


def test_its_data_are_never_replaced_once_used(used) -> None:
    user, folder = used
    labels = folder / "data/held_out/labels.csv"
    labels.write_text(labels.read_text().replace("other0,no", "other0,yes"))

    with pytest.raises(BundleError) as caught:
        competition_import(user=user, archive=folder, replace=True)
    assert [(d.code, d.where) for d in caught.value.defects] == [("in_use", "data.held_out")]
