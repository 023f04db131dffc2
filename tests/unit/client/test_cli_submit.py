from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from runners.contract import Verdict
from tests.unit.api.api_helpers import accuracy
from tests.unit.api.bundle_maker import predictions_csv
from touchstone.accounts.models import User
from touchstone.competitions.models import Competition
from touchstone.submissions.models import Submission, Upload
from touchstone_client import transfer

pytestmark = pytest.mark.django_db(transaction=True)
Meanwhile = Callable[[Callable[[], object]], None]


def last_id() -> str:
    return str(Submission.objects.latest("created_at").pk)


def test_the_id_is_data_and_the_rest_is_talk(run: Callable, as_paula: User, predictions: Path) -> None:
    done = run("submit", "small/now", predictions, "--message", "first")
    assert done.code == 0, done.err
    assert done.out == f"{last_id()}\n"
    assert "4 of 5 left today" in done.err
    assert "sending predictions.csv" in done.err
    assert "verifying predictions.csv" in done.err
    made = Submission.objects.get()
    assert (made.kind, made.message, made.source) == ("predictions", "first", "api")


def test_without_a_phase_the_open_one_is_taken(run: Callable, as_paula: User, predictions: Path) -> None:
    found = run("submit", "small", predictions, "--json").json["submission"]
    assert (found["phase"], found["status"], found["final"]) == ("now", "received", False)


def test_waiting_shows_states_and_ends_with_results(
    run: Callable, as_paula: User, predictions: Path, score: Callable, meanwhile: Meanwhile
) -> None:
    from tests.unit.api.api_helpers import to_queue

    meanwhile(lambda: None, lambda: to_queue(last_id()), lambda: _claim_and_score(score))
    done = run("submit", "small/now", predictions, "--wait", "--timeout", "5m")
    assert done.code == 0, done.err
    assert done.rows == [
        {
            "key": "performance.accuracy", "value": "0.7500", "95 % interval": "0.6500 to 0.8500",
            "n": "12", "unit": "",
            "direction": "maximise", "state": "ok", "reason": "", "validity": "",
        }
    ]  # fmt: skip
    assert "place 1 in the queue" in done.err
    assert "on node test-node" in done.err


def _claim_and_score(score: Callable, **result: Any) -> None:
    """The run is queued already: the node's part only."""
    from runners.contract import RunResult
    from touchstone.evaluations.models import Node
    from touchstone.evaluations.services import result_accept, run_claim

    node = Node.objects.get()
    spec = run_claim(node=node, queue="cpu", kinds=["predictions"])
    assert spec is not None
    values = {"verdict": Verdict.OK, "results": (accuracy(0.75),), **result}
    result_accept(node=node, result=RunResult(run=spec.run, attempt=spec.attempt, **values))


def test_waiting_as_json(
    run: Callable, as_paula: User, predictions: Path, score: Callable, meanwhile: Meanwhile
) -> None:
    meanwhile(lambda: score(last_id(), 0.5))
    done = run("submit", "small/now", predictions, "--wait", "--json")
    assert done.code == 0
    assert done.json["submission"]["status"] == "scored"
    assert done.json["results"]["items"][0]["value"] == 0.5
    assert done.json["missed"] == []


def test_a_failed_submission_is_exit_3_and_explained(
    run: Callable, as_paula: User, predictions: Path, score: Callable, meanwhile: Meanwhile
) -> None:
    fault = {"verdict": Verdict.INVALID_OUTPUT, "message": "p03 is missing", "results": ()}
    meanwhile(lambda: score(last_id(), **fault))
    done = run("submit", "small/now", predictions, "--wait")
    assert done.code == 3
    assert done.out == ""
    for text in ("failed (invalid_output)", "what: ", "why: p03 is missing", "next: "):
        assert text in done.err


@pytest.mark.parametrize(("limit", "code"), [("0.7", 0), ("0.8", 8)])
def test_a_threshold(
    run: Callable, as_paula: User, predictions: Path, score: Callable, meanwhile: Meanwhile, limit: str, code: int
) -> None:
    meanwhile(lambda: score(last_id(), 0.75))
    done = run("submit", "small/now", predictions, "--wait", "--fail-under", f"performance.accuracy={limit}")
    assert done.code == code
    assert ("Threshold missed: performance.accuracy: 0.75, wanted at least 0.8" in done.err) is (code == 8)
    assert len(done.rows) == 1


def test_a_wait_that_is_too_long(
    run: Callable, as_paula: User, predictions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from touchstone_client import sdk

    clock = [0.0]
    monkeypatch.setattr(sdk.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(sdk.time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
    done = run("submit", "small/now", predictions, "--wait", "--timeout", "30s")
    assert done.code == 6
    assert f"touchstone status {last_id()} --watch" in done.err


def test_what_is_told_afterwards_does_not_undo_it(
    run: Callable, as_paula: User, predictions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is told that it failed sends it again, and has two."""
    from touchstone.api.views.competitions import CompetitionQuota
    from touchstone.core.errors import NotAllowed

    answer = CompetitionQuota.get

    def only_before(self: CompetitionQuota, request: Any, slug: str) -> Any:
        if Submission.objects.exists():
            raise NotAllowed("Not now.", "Later.", "later")
        return answer(self, request, slug)

    monkeypatch.setattr(CompetitionQuota, "get", only_before)
    done = run("submit", "small/now", predictions)
    assert (done.code, done.out) == (0, f"{last_id()}\n"), done.err
    assert "what is left cannot be read" in done.err


def test_results_that_cannot_be_read_are_no_submission_that_was_not_made(
    run: Callable, as_paula: User, predictions: Path, score: Callable, meanwhile: Meanwhile, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from touchstone.api.views.submissions import SubmissionResults
    from touchstone.core.errors import NotAllowed

    def refuse(self: SubmissionResults, request: Any, submission: Any) -> Any:
        raise NotAllowed("Not now.", "Later.", "later")

    monkeypatch.setattr(SubmissionResults, "get", refuse)
    meanwhile(lambda: score(last_id(), 0.5))
    done = run("submit", "small/now", predictions, "--wait", "--json", "--summary", tmp_path / "summary.md")
    assert done.code == 4, done.err
    assert done.json["submission"]["id"] == last_id()
    assert "Not submitted" not in (tmp_path / "summary.md").read_text()


def test_interrupting_a_wait(run: Callable, as_paula: User, predictions: Path, meanwhile: Meanwhile) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    meanwhile(interrupt)
    done = run("submit", "small/now", predictions, "--wait")
    assert done.code == 130
    assert Submission.objects.count() == 1


@pytest.mark.parametrize(("phase", "word"), [("past", "closed"), ("later", "not open yet")])
def test_outside_the_window_nothing_is_sent(
    run: Callable, as_paula: User, predictions: Path, phase: str, word: str
) -> None:
    done = run("submit", f"small/{phase}", predictions)
    assert done.code == 5
    assert word in done.err
    assert Upload.objects.count() == 0


def test_over_quota_nothing_is_sent(
    run: Callable, as_user: Callable, import_bundle: Callable, paula: User, predictions: Path
) -> None:
    import_bundle(per_day="1")
    as_user(paula)
    run("join", "small", "--accept-terms")
    assert run("submit", "small/now", predictions, "--idempotency-key", "job-1").code == 0
    Upload.objects.all().delete()
    done = run("submit", "small/now", predictions)
    assert done.code == 5
    assert "0 of 1 left today, resets" in done.err
    assert Upload.objects.count() == 0
    # The server says the same to who asks it directly, and knows a submission that it has.
    assert run("submit", "small/now", predictions, "--idempotency-key", "job-2").code == 5
    again = run("submit", "small/now", predictions, "--idempotency-key", "job-1")
    assert (again.code, again.out) == (0, f"{last_id()}\n")
    assert Submission.objects.count() == 1


def test_not_joined(
    run: Callable, as_user: Callable[[User], None], paula: User, small: Competition, predictions: Path
) -> None:
    as_user(paula)
    done = run("submit", "small/now", predictions)
    assert done.code == 4
    assert "touchstone competitions join small --accept-terms" in done.err


def test_names_that_are_none(run: Callable, as_paula: User, predictions: Path) -> None:
    done = run("submit", "small/never", predictions)
    assert done.code == 2
    assert "now (open)" in done.err
    assert run("submit", "absent/now", predictions).code == 1
    assert run("submit", "a/b/c", predictions).code == 2
    assert run("submit", "small/now", "absent.csv").code == 2
    assert run("submit", "small/now").code == 2


def test_a_kind_that_is_not_taken_is_not_sent(run: Callable, as_paula: User, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"x")
    done = run("submit", "small/now", path)
    assert done.code == 7
    assert "takes no model submissions" in done.err
    assert Upload.objects.count() == 0


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("p.csv", "predictions"),
        ("P.PARQUET", "predictions"),
        ("m.onnx", "model"),
        ("c.zip", "code"),
        ("i.tar", "container"),
        ("i.tar.gz", "container"),
    ],
)
def test_the_ending_tells_the_kind(tmp_path: Path, name: str, kind: str) -> None:
    from touchstone_client.artifact import artifact_of

    path = tmp_path / name
    path.write_bytes(b"x")
    assert artifact_of(str(path)).kind == kind
    assert artifact_of(str(path), kind="code").kind == "code"
    assert artifact_of(str(tmp_path)).kind == "code"
    assert artifact_of("", image="python:3").kind == "container"
    assert artifact_of("python:3").kind == "container"
    assert artifact_of("https://model.example.org/v2").kind == "endpoint"


def test_an_ending_that_tells_nothing(run: Callable, as_paula: User, tmp_path: Path) -> None:
    path = tmp_path / "answers.txt"
    path.write_text(predictions_csv())
    done = run("submit", "small/now", path)
    assert done.code == 2
    assert "--kind" in done.err
    assert run("submit", "small/now", path, "--kind", "predictions").code == 0


def test_too_large_and_empty_files_are_not_sent(run: Callable, as_paula: User, tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_bytes(b"x" * (2**20 + 1))
    done = run("submit", "small/now", path)
    assert done.code == 7
    assert "too large" in done.err
    path.write_bytes(b"")
    assert run("submit", "small/now", path).code != 0
    assert Upload.objects.count() == 0


def test_a_broken_upload_goes_on_where_it_was(
    run: Callable, as_paula: User, predictions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    put = transfer._put

    def broken(http: Any, path: str, data: bytes, digest: bytes) -> None:
        if len(sent) == 2:
            raise KeyboardInterrupt
        sent.append(path)
        put(http, path, data, digest)

    with override_settings(TOUCHSTONE_UPLOAD_PART_SIZE=40):
        monkeypatch.setattr(transfer, "_put", broken)
        assert run("submit", "small/now", predictions).code == 130
        assert sorted(Upload.objects.get().parts) == ["1", "2"]
        monkeypatch.setattr(transfer, "_put", lambda http, path, *rest: (sent.append(path), put(http, path, *rest)))
        assert run("submit", "small/now", predictions).code == 0
    assert len(sent) == len(set(sent)) == -(-predictions.stat().st_size // 40)
    assert Upload.objects.count() == 1
    assert Submission.objects.get().files[0]["size"] == predictions.stat().st_size


def test_a_folder_is_sent_as_code(run: Callable, as_paula: User, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    done = run("submit", "small/now", folder)
    assert done.code == 7
    spec = Competition.objects.get().spec
    spec["submission"]["kinds"] = ["predictions", "code"]
    Competition.objects.update(spec=spec)
    assert "no main.py" in run("submit", "small/now", folder).err
    (folder / "main.py").write_text("print('hello')\n")
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "main.pyc").write_bytes(b"x")
    done = run("submit", "small/now", folder)
    assert done.code == 0, done.err
    made = Submission.objects.get()
    assert (made.kind, made.files[0]["name"]) == ("code", "code.zip")
    assert Upload.objects.get().name == "mine.zip"
    from touchstone.core.storage import blob_open

    with blob_open(sha256=made.files[0]["sha256"]) as stored:
        assert zipfile.ZipFile(stored).namelist() == ["main.py"]


@pytest.mark.parametrize("text", ["soon", "0", "-1s"])
def test_times_that_are_none(run: Callable, as_paula: User, predictions: Path, text: str) -> None:
    assert run("submit", "small/now", predictions, "--wait", "--timeout", text).code == 2
    assert Submission.objects.count() == 0


def test_thresholds_need_waiting(run: Callable, as_paula: User, predictions: Path) -> None:
    assert run("submit", "small/now", predictions, "--fail-under", "a=1").code == 2
    assert run("submit", "small/now", predictions, "--wait", "--fail-under", "a").code == 2
    assert Submission.objects.count() == 0
