"""A matrix: which runs it makes, what they are asked, whom they concern, and how it is read."""

from __future__ import annotations

import csv
import io

import pytest
from rest_framework.test import APIClient

from runners.contract import MetricResult, RunSpec, Verdict, dump, surrogate_seconds
from tests.factories.server import (
    board_of,
    competition_make,
    node_make,
    participation_make,
    phase_of,
    queued_run,
    result_make,
    run_make,
    submission_make,
    user_make,
)
from touchstone.core.errors import Conflict, NotAllowed, NotFound, UserError
from touchstone.core.storage import blob_put
from touchstone.evaluations.models import Run, RunStatus
from touchstone.evaluations.services import file_signed, result_accept, run_claim
from touchstone.leaderboards.models import LeaderboardEntry
from touchstone.leaderboards.services import entries_update, leaderboard_rebuild
from touchstone.submissions.models import Submission
from touchstone.submissions.selectors import activity_of, quota, submission_get, submissions_all
from touchstone.transfers.models import Matrix
from touchstone.transfers.selectors import matrices_of, matrix_export_rows, matrix_get, matrix_view
from touchstone.transfers.services import matrix_cancel, matrix_create

pytestmark = pytest.mark.django_db
PGD = {"attack": "pgd", "eps": 0.1}
KINDS = ["model", "code", "predictions"]


@pytest.fixture
def competition():
    return competition_make(
        submission={"kinds": KINDS, "resources": {"time": 100, "start": 10}}, input={"kind": "array", "shape": [2]}
    )


@pytest.fixture
def phase(competition):
    return phase_of(competition)


def scored(competition, kind="model", value=0.5, participation=None):
    """A scored submission, on the board."""
    blob = blob_put(file=io.BytesIO(f"{kind}{value}{Submission.objects.count()}".encode()))
    name = {"model": "model.onnx", "code": "code.zip", "predictions": "p.csv"}[kind]
    files = [{"name": name, "sha256": blob.sha256, "size": blob.size}]
    submission = submission_make(participation or participation_make(competition), kind=kind, files=files)
    run = run_make(submission, RunStatus.SCORED, attempt=1)
    run.results.create(
        position=0, key="performance.accuracy", metric="performance.accuracy", pillar="performance", title="Accuracy",
        value=value, direction="maximise", state="ok",
    )  # fmt: skip
    entries_update(run=run)
    return submission


def claim(node) -> RunSpec:
    spec = run_claim(node=node, queue="cpu", kinds=["model", "code"])
    assert spec is not None
    return spec


def results(spec: RunSpec, base: float) -> tuple[MetricResult, ...]:
    """What the metric would give: accuracy `base` + 0.01 for each source."""
    common = {"metric": "robustness.transfer", "pillar": "robustness", "direction": "maximise"}
    found = [MetricResult(key=f"transfer.{key}", value=base, n=9, **common) for key in ("worst_case", "clean_accuracy")]
    for i, source in enumerate(spec.surrogates):
        for part in ("accuracy", "transfer_rate", "source_accuracy"):
            key = f"transfer.{part}[source={source.name}]"
            found.append(MetricResult(key=key, value=base + 0.01 * i, low=0.1, high=0.9, n=9, **common))
    return tuple(found)


def test_each_submission_is_asked_with_every_model_as_a_surrogate(competition, phase):
    one, two = scored(competition, value=0.9), scored(competition, value=0.8)
    code, _ = scored(competition, "code", 0.7), scored(competition, "predictions", 1.0)
    matrix = matrix_create(user=competition.owner, phase=phase, parameters={**PGD, "items": 50})

    assert [(e.submission_id, e.is_source) for e in matrix.entries.all()] == [
        (one.pk, True), (two.pk, True), (code.pk, False)
    ]  # fmt: skip
    node = node_make()
    for original in (one, two, code):
        spec = claim(node)
        assert RunSpec.model_validate(dump(spec)) == spec
        assert [f.sha256 for f in spec.submission.files] == [original.files[0]["sha256"]]
        (use,) = spec.metrics
        assert (use.use, use.prefix) == ("robustness.transfer", "transfer")
        assert use.parameters == {**PGD, "items": 50, "surrogates": ["s0", "s1"]}
        assert [(s.name, s.file.sha256, s.required) for s in spec.surrogates] == [
            ("s0", one.files[0]["sha256"], False), ("s1", two.files[0]["sha256"], False)
        ]  # fmt: skip
        for surrogate in spec.surrogates:
            assert surrogate.file.name == f"{surrogate.name}.onnx"
            assert file_signed(signed=surrogate.file.url.rsplit("/", 1)[1]) == surrogate.file.sha256
        run = Run.objects.get(pk=spec.run)
        allowed = (run.deadline - run.started_at).total_seconds()
        assert allowed == pytest.approx(110 + 600 + surrogate_seconds(spec.resources, 2))


def test_its_runs_concern_nobody_but_who_asked(competition, phase):
    one, two = scored(competition, value=0.9), scored(competition, value=0.8)
    before = [
        list(LeaderboardEntry.objects.order_by("participation_id").values()),
        quota(participation=one.participation, phase=phase),
    ]
    version = board_of(competition).version
    matrix = matrix_create(user=competition.owner, phase=phase, parameters=PGD)
    node = node_make()
    for _ in range(2):
        spec = claim(node)
        run = Run.objects.get(pk=spec.run)
        assert run.share == competition.owner_id
        result_accept(node=node, result=result_make(run, results=results(spec, 0.1)))
        assert not run.counts_quota
    assert board_of(competition).version == version
    leaderboard_rebuild(leaderboard=board_of(competition))

    after = list(LeaderboardEntry.objects.order_by("participation_id").values())
    assert [(row["run_id"], row["n_submissions"]) for row in after] == [
        (row["run_id"], row["n_submissions"]) for row in before[0]
    ]
    assert quota(participation=one.participation, phase=phase) == before[1]
    assert activity_of(competitions=[competition])[competition.pk].submissions == 2
    assert {s.pk for s in submissions_all(user=competition.owner, competition=competition)} == {one.pk, two.pk}
    assert Submission.everything.count() == 4
    copy = matrix.entries.first().run.submission
    assert copy.original_id == one.pk
    with pytest.raises(NotFound):
        submission_get(user=one.participation.user, id=copy.pk)
    one.refresh_from_db()
    assert (one.run.status, one.run.submission_id) == (RunStatus.SCORED, one.pk)


def test_cells_are_columns_on_the_examples_of_rows(competition, phase):
    scored(competition, value=0.9), scored(competition, value=0.8), scored(competition, "code", 0.7)
    made = matrix_create(user=competition.owner, phase=phase, parameters=PGD)
    node = node_make()
    view = matrix_view(matrix=matrix_get(user=competition.owner, id=made.pk))
    assert (view.state, view.ended, view.total) == ("running", 0, 3)
    assert {cell.state for column in view.columns for cell in column.accuracy} == {"waiting"}

    for number in range(2):
        spec = claim(node)
        run = Run.objects.get(pk=spec.run)
        result_accept(node=node, result=result_make(run, results=results(spec, 0.1 * (number + 1))))
    failed = claim(node)
    fault = result_make(Run.objects.get(pk=failed.run), verdict=Verdict.CRASH, message="it ended", code="crash")
    result_accept(node=node, result=fault)

    view = matrix_view(matrix=matrix_get(user=competition.owner, id=made.pk))
    assert (view.state, view.ended) == ("partial", 3)
    assert [[cell.value for cell in column.accuracy] for column in view.columns[:2]] == [
        pytest.approx([0.1, 0.11]), pytest.approx([0.2, 0.21])
    ]  # fmt: skip
    assert [[cell.own for cell in column.accuracy] for column in view.columns] == [
        [True, False], [False, True], [False, False]
    ]  # fmt: skip
    assert (view.columns[0].clean.value, view.columns[1].accuracy[0].high) == (0.1, 0.9)
    assert {(cell.value, cell.state, cell.reason) for cell in view.columns[2].accuracy} == {
        (None, "failed", "it ended")
    }
    rows = list(matrix_export_rows(view=view))
    assert len(rows) == 6
    assert (rows[1]["accuracy"], rows[1]["own"], rows[1]["parameters.attack"]) == (pytest.approx(0.11), False, "pgd")


def test_only_organisers_see_one(competition, phase):
    one = scored(competition)
    scored(competition)
    for user in (one.participation.user, user_make()):
        with pytest.raises(NotAllowed):
            matrix_create(user=user, phase=phase, parameters=PGD)
        with pytest.raises(NotAllowed):
            matrices_of(user=user, phase=phase)
    made = matrix_create(user=competition.owner, phase=phase, parameters=PGD)
    assert [m.pk for m in matrices_of(user=competition.owner, phase=phase)] == [made.pk]
    with pytest.raises(NotFound):
        matrix_get(user=one.participation.user, id=made.pk)
    with pytest.raises(NotAllowed):
        matrix_cancel(user=one.participation.user, matrix=made)


def test_one_at_a_time_until_it_is_cancelled(competition, phase):
    scored(competition), scored(competition)
    made = matrix_create(user=competition.owner, phase=phase, parameters=PGD)
    with pytest.raises(Conflict, match="being computed"):
        matrix_create(user=competition.owner, phase=phase, parameters=PGD)
    for _ in range(2):
        matrix_cancel(user=competition.owner, matrix=made)
    view = matrix_view(matrix=matrix_get(user=competition.owner, id=made.pk))
    assert view.state == "cancelled"
    assert matrix_create(user=competition.owner, phase=phase, parameters=PGD).pk != made.pk


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"attack": "pdg", "eps": 0.1}, "no attack"),
        ({"attack": "pgd"}, "`eps` is missing"),
        ({**PGD, "colour": 1}, "colour"),
        ({**PGD, "norm": "l7"}, "l7"),
        ({**PGD, "surrogates": ["s1"]}, "are its submissions"),
        ({"attack": "square", "eps": -1}, "eps"),
    ],
)
def test_wrong_parameters_make_nothing(competition, phase, parameters, text):
    scored(competition), scored(competition)
    with pytest.raises(UserError, match=text):
        matrix_create(user=competition.owner, phase=phase, parameters=parameters)
    assert not Matrix.objects.exists()


def test_what_can_be_no_part_of_one(competition, phase):
    one = scored(competition)
    file = scored(competition, "predictions")
    other = scored(competition_make(submission={"kinds": KINDS}, input={"kind": "array", "shape": [2]}))
    waiting = submission_make(participation_make(competition), kind="model")
    run_make(waiting)
    for wrong in (file, other, waiting):
        with pytest.raises(UserError, match=str(wrong.pk)):
            matrix_create(user=competition.owner, phase=phase, parameters=PGD, submissions=[one.pk, wrong.pk])
    with pytest.raises(UserError, match="twice"):
        matrix_create(user=competition.owner, phase=phase, parameters=PGD, submissions=[one.pk, one.pk])
    with pytest.raises(UserError, match="two submissions or more"):
        matrix_create(user=competition.owner, phase=phase, parameters=PGD)
    codes = [scored(competition, "code").pk for _ in range(2)]
    with pytest.raises(UserError, match="`model` among them"):
        matrix_create(user=competition.owner, phase=phase, parameters=PGD, submissions=codes)


def test_a_run_of_the_competition_gets_the_surrogates_that_its_metrics_name(competition):
    transfer = {"use": "robustness.transfer", "surrogates": ["near"], **PGD}
    made = competition_make(
        submission={"kinds": KINDS}, input={"kind": "array", "shape": [2]}, surrogates={"near": "n", "far": "f"},
        metrics=[{"use": "performance.accuracy"}, transfer],
    )  # fmt: skip
    blob = blob_put(file=io.BytesIO(b"weights"))
    made.surrogates = [{"name": name, "sha256": blob.sha256, "size": blob.size} for name in ("near", "far")]
    made.save()
    queued_run(made, kind="model")
    spec = claim(node_make())
    assert [(s.name, s.file.name, s.required) for s in spec.surrogates] == [("near", "near.onnx", True)]
    queued_run(made)
    assert run_claim(node=node_make(), queue="cpu", kinds=["predictions"]).surrogates == ()


def test_the_interface_asks_follows_exports_and_cancels(competition, phase):
    one, two = scored(competition, value=0.9), scored(competition, value=0.8)
    client = APIClient()
    client.force_authenticate(competition.owner)
    base = f"/api/v1/competitions/{competition.slug}/phases/{phase.slug}/transfer-matrices"

    asked = client.post(base, {"submissions": [str(one.pk), str(two.pk)], "parameters": PGD}, format="json")
    assert asked.status_code == 201, asked.json()
    address = asked["Location"].removeprefix("http://testserver")
    assert [row["participant"] for row in asked.json()["rows"]] == [
        one.participation.display_name, two.participation.display_name
    ]  # fmt: skip
    assert client.get(base).json()["items"] == [asked.json()]
    again = client.post(base, {"parameters": PGD}, format="json")
    assert (again.status_code, again.json()["code"]) == (409, "matrix_running")

    table = b"".join(client.get(f"{address}?format=csv")).decode()
    lines = list(csv.DictReader(io.StringIO(table)))
    assert [(line["own"], line["accuracy"], line["accuracy.state"]) for line in lines] == [
        ("True", "", "waiting"), ("False", "", "waiting"), ("False", "", "waiting"), ("True", "", "waiting"),
    ]  # fmt: skip
    assert client.post(f"{address}/cancel").json()["state"] == "cancelled"

    client.force_authenticate(one.participation.user)
    assert client.get(address).status_code == 404
    assert client.get(base).status_code == 403


def test_the_audit_is_locked_after_the_queue(competition, phase, django_assert_max_num_queries) -> None:
    scored(competition)
    scored(competition, value=0.6)
    with django_assert_max_num_queries(200) as found:
        matrix_create(user=competition.owner, phase=phase, parameters=PGD)

    asked = [query["sql"] for query in found.captured_queries]
    audited = next(i for i, sql in enumerate(asked) if "pg_advisory_xact_lock" in sql)
    assert not any("FOR UPDATE" in sql or "FOR NO KEY UPDATE" in sql for sql in asked[audited:])
